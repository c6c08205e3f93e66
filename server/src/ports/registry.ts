import type { AccessPolicy, PolicyOwner } from '../model/access-policy.ts'
import type { Alarm, AlarmKind } from '../model/alarm.ts'
import type { Approval } from '../model/approval.ts'
import type { CertificateAuthority } from '../model/certificate-authority.ts'
import type { CredentialUse } from '../model/credential-use.ts'
import type { Device, DeviceCounts } from '../model/device.ts'
import type { EnrollmentGroup, IndividualEnrollment } from '../model/enrollment.ts'
import type { ExpectedEtag } from '../model/etag.ts'
import type { AuthorityName, DeviceId, EnrollmentGroupId, HubName, RegistrationId } from '../model/ids.ts'
import type { MessageCounter } from '../model/message-counter.ts'
import type { Refusal, RefusalRule } from '../model/refusal.ts'
import type { Registration } from '../model/registration.ts'
import type { RevocationRecord, RevocationRecordKind, SequencedRecord } from '../model/revocation.ts'
import type { PathUse, Sighting } from '../model/sighting.ts'
import type { Webhook } from '../model/webhook.ts'

/**
 * The registry is the truth about identities, authorities, enrollments and policies.
 *
 * Contract, for every adapter:
 * - A method is one transaction. A write resolves only after it is durable; it is visible to every read that starts
 *   after that. Rows come back exactly as given (bytes, strings, order of object members).
 * - `replace…` and `delete…` compare the etag and write in the same transaction: `'absent'` when there is no row,
 *   `'etag-mismatch'` when there is another etag, in that order of judgement. Who makes etags is the caller.
 * - Pages are stable: `after` is exclusive, rows are ordered by id in byte order, at most `limit` of them.
 * - A full disk or a broken store rejects with HubError `storage-full` or `internal`; nothing is half written.
 */
export interface Registry {
  readonly devices: DeviceStore
  readonly authorities: AuthorityStore
  readonly enrollments: EnrollmentStore
  readonly registrations: RegistrationStore
  readonly policies: PolicyStore
  readonly refusals: RefusalStore
  readonly sightings: SightingStore
  readonly messageCounters: MessageCounterStore
  readonly revocations: RevocationStore
  readonly alarms: AlarmStore
  readonly credentialUses: CredentialUseStore
  readonly webhooks: WebhookStore
  readonly approvals: ApprovalStore
  readonly consumerGroups: ConsumerGroupStore
  /** Small named facts such as the id scope or the schema's birth; a value is written once or replaced whole. */
  readonly settings: SettingStore
  close(): Promise<void>
}

export type WriteOutcome = 'written' | 'absent' | 'etag-mismatch'

export interface DeviceStore {
  get(hub: HubName, deviceId: DeviceId): Promise<Device | null>
  list(hub: HubName, page: { after: DeviceId | null; limit: number }): Promise<readonly Device[]>
  count(hub: HubName): Promise<DeviceCounts>
  create(device: Device): Promise<'written' | 'exists'>
  replace(device: Device, expected: ExpectedEtag): Promise<WriteOutcome>
  delete(hub: HubName, deviceId: DeviceId, expected: ExpectedEtag): Promise<WriteOutcome>
  /** Applies each change on its own merits, all in one transaction; outcomes are in the order of the changes. */
  apply(changes: readonly DeviceChange[]): Promise<readonly ('written' | 'exists' | 'absent' | 'etag-mismatch')[]>
  /**
   * Connection bookkeeping that moves no etag and need not be durable before it returns. The two times only move
   * forward: neither an older touch nor a replacement made from an older read moves them back.
   */
  touch(
    hub: HubName,
    deviceId: DeviceId,
    times: { lastActivityTime: number; connectionStateUpdatedTime?: number },
    /** The certificate (DER) that the device showed, to be remembered as seen. */
    certificate?: Uint8Array,
  ): void
  /** Certificates that the device was touched with until now, the last one first; at most the newest eight are kept. */
  certificatesSeen(hub: HubName, deviceId: DeviceId): Promise<readonly CertificateSeen[]>
}

export interface CertificateSeen {
  /** DER. */
  readonly certificate: Uint8Array
  /** ms. */
  readonly lastSeen: number
}

export type DeviceChange =
  | { readonly kind: 'create'; readonly device: Device }
  | { readonly kind: 'replace'; readonly device: Device; readonly expected: ExpectedEtag }
  | { readonly kind: 'delete'; readonly hub: HubName; readonly deviceId: DeviceId; readonly expected: ExpectedEtag }

export interface AuthorityStore {
  get(hub: HubName, name: AuthorityName): Promise<CertificateAuthority | null>
  /** All of a hub; a hub holds at most a configured number (default 1,000). */
  list(hub: HubName): Promise<readonly CertificateAuthority[]>
  /** Every hub where this certificate is registered and verified: to explain a refusal at another hub. */
  findVerified(sha256: string): Promise<readonly CertificateAuthority[]>
  create(authority: CertificateAuthority): Promise<'written' | 'exists'>
  replace(authority: CertificateAuthority, expected: ExpectedEtag): Promise<WriteOutcome>
  delete(hub: HubName, name: AuthorityName, expected: ExpectedEtag): Promise<WriteOutcome>
  /** Grows with each write to any authority: caches compare it. */
  revision(): Promise<number>
}

export interface EnrollmentStore {
  getIndividual(id: RegistrationId): Promise<IndividualEnrollment | null>
  listIndividual(page: { after: RegistrationId | null; limit: number }): Promise<readonly IndividualEnrollment[]>
  createIndividual(enrollment: IndividualEnrollment): Promise<'written' | 'exists'>
  replaceIndividual(enrollment: IndividualEnrollment, expected: ExpectedEtag): Promise<WriteOutcome>
  deleteIndividual(id: RegistrationId, expected: ExpectedEtag): Promise<WriteOutcome>
  getGroup(id: EnrollmentGroupId): Promise<EnrollmentGroup | null>
  listGroups(page: { after: EnrollmentGroupId | null; limit: number }): Promise<readonly EnrollmentGroup[]>
  createGroup(group: EnrollmentGroup): Promise<'written' | 'exists'>
  replaceGroup(group: EnrollmentGroup, expected: ExpectedEtag): Promise<WriteOutcome>
  deleteGroup(id: EnrollmentGroupId, expected: ExpectedEtag): Promise<WriteOutcome>
  /** Grows with each write to any group: caches compare it. */
  groupRevision(): Promise<number>
}

export interface RegistrationStore {
  get(id: RegistrationId): Promise<Registration | null>
  listByGroup(
    group: EnrollmentGroupId,
    page: { after: RegistrationId | null; limit: number },
  ): Promise<readonly Registration[]>
  delete(id: RegistrationId, expected: ExpectedEtag): Promise<WriteOutcome>
  /** Keeps a registration that did not end in an assignment (failed, disabled). */
  record(registration: Registration): Promise<void>
  /**
   * The end of a provisioning decision in one transaction: stores the registration, puts the device (create or replace
   * by `expectedDevice`: null means it must be absent) and removes it from the hub it moved away from.
   * `'conflict'`: the device is not as expected any more; nothing was written, decide again.
   */
  complete(completion: {
    registration: Registration
    device: Device | null
    expectedDevice: ExpectedEtag | null
    leave: { hub: HubName; deviceId: DeviceId } | null
  }): Promise<'written' | 'conflict'>
}

export interface PolicyStore {
  get(owner: PolicyOwner, name: string): Promise<AccessPolicy | null>
  list(owner: PolicyOwner): Promise<readonly AccessPolicy[]>
  put(policy: AccessPolicy): Promise<void>
  delete(owner: PolicyOwner, name: string): Promise<WriteOutcome>
}

/** Bounded: the adapter keeps the newest `capacity` refusals (given when it is opened) and drops the oldest. */
export interface RefusalStore {
  /** Batched; durable within a second; never waits for the disk. When the queue is full the refusal is only counted. */
  add(refusal: Refusal): void
  get(trackingId: string): Promise<Refusal | null>
  /** Newest first. `before` and `after` are row sequences for paging and following. */
  list(filter: RefusalFilter): Promise<readonly (Refusal & { readonly sequence: number })[]>
  countByRule(since: number): Promise<readonly { readonly rule: RefusalRule; readonly count: number }[]>
}

/**
 * By which certificates each device was seen last: one for each device of the registry, gone with it. The chains of CAs
 * that no device uses any more are kept for the newest thousand.
 */
export interface SightingStore {
  /** Batched; durable within seconds; never waits for the disk. Of one device the latest `seen` stays. */
  note(sighting: Sighting): void
  /** Every chain of CAs that was seen at the hub, with how many devices were seen with it last. */
  paths(hub: HubName): Promise<readonly PathUse[]>
  /** Devices that were seen last with one of these chains (`authorities` of a PathUse). */
  listByPaths(
    hub: HubName,
    paths: readonly (readonly string[])[],
    page: { after: DeviceId | null; limit: number },
  ): Promise<readonly Sighting[]>
  /** Those whose own certificate ends in [from, before), the earliest first. */
  ending(hub: HubName, range: { from: number; before: number; limit: number }): Promise<readonly Sighting[]>
  countEnding(hub: HubName, range: { from: number; before: number }): Promise<number>
}

/** How far each device that seals its messages has counted: one of each device, gone with it. */
export interface MessageCounterStore {
  /** Of that generation of the device; what was noted before is seen. */
  get(hub: HubName, deviceId: DeviceId, generationId: string): Promise<MessageCounter | null>
  /** Batched; durable within a second; never waits for the disk. Of one device the last note stays. */
  note(counter: MessageCounter): void
}

/**
 * Everything that decides about revocation, in one order: each write gives its record the next sequence, so that whoever
 * holds the records in memory catches up by it. What decides is never deleted: a lifted hold is a changed record.
 */
export interface RevocationStore {
  get(hub: HubName, kind: RevocationRecordKind, id: string): Promise<SequencedRecord | null>
  /** Records last written after this sequence, in its order, at most `limit`. */
  changes(after: number, limit: number): Promise<readonly SequencedRecord[]>
  /** Of the last write; 0 before the first. */
  sequence(): Promise<number>
  create(record: RevocationRecord): Promise<'written' | 'exists'>
  replace(record: RevocationRecord, expected: ExpectedEtag): Promise<WriteOutcome>
  /** Deletes a known CA, which decides nothing; moves no sequence. */
  forget(hub: HubName, authority: string): Promise<void>
}

/** Keeps the newest 10,000. */
export interface AlarmStore {
  add(alarm: Alarm): Promise<void>
  get(id: string): Promise<Alarm | null>
  /** Newest first; `after` and `before` are sequences, exclusive. */
  list(filter: AlarmFilter): Promise<readonly (Alarm & { readonly sequence: number })[]>
}

export interface AlarmFilter {
  readonly hub?: HubName
  readonly kind?: AlarmKind
  readonly subject?: string
  readonly before?: number
  readonly after?: number
  readonly limit: number
}

/** The certificates that each device of the registry was seen with, at most the newest eight; gone with the device. */
export interface CredentialUseStore {
  /** Of devices that are gone meanwhile nothing is kept. */
  add(uses: readonly CredentialUse[]): Promise<void>
  /** Other uses of this certificate, serial or key; at most 16. */
  related(use: CredentialUse): Promise<readonly CredentialUse[]>
}

/** A hub holds at most a few dozen. */
export interface WebhookStore {
  list(): Promise<readonly Webhook[]>
  get(hub: HubName, id: string): Promise<Webhook | null>
  create(webhook: Webhook): Promise<'written' | 'exists'>
  /** `'absent'` when it was deleted meanwhile: it does not come back. */
  replace(webhook: Webhook): Promise<'written' | 'absent'>
  delete(hub: HubName, id: string): Promise<'written' | 'absent'>
}

/** Dangerous acts that wait for a second person: at most a hundred, which whoever writes them sees to. */
export interface ApprovalStore {
  /** In the order in which they were put first. */
  list(): Promise<readonly Approval[]>
  put(approval: Approval): Promise<void>
  delete(id: string): Promise<'written' | 'absent'>
}

export interface RefusalFilter {
  readonly identity?: string
  readonly address?: string
  readonly rule?: string
  readonly hub?: HubName
  /** Only refusals of a smaller sequence: the next page. */
  readonly before?: number
  /** Only refusals of a greater sequence: those that came since. */
  readonly after?: number
  readonly limit: number
}

export interface ConsumerGroupStore {
  list(hub: HubName): Promise<readonly string[]>
  create(hub: HubName, name: string): Promise<'written' | 'exists'>
  delete(hub: HubName, name: string): Promise<'written' | 'absent'>
}

export interface SettingStore {
  get(key: string): Promise<string | null>
  put(key: string, value: string): Promise<void>
}
