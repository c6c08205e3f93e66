import assert from 'node:assert/strict'
import { createHmac, randomBytes } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  encodePem,
  generateKey,
  issueDevice,
  issueIntermediate,
  issueRoot,
  issuerOf,
  keySigner,
  parseCertificate,
  spkiOf,
} from '@holdfast/pki'
import type { HubErrorCode } from '../../src/errors.ts'
import { Holders } from '../../src/hub/holders.ts'
import { Hubs } from '../../src/hub/hubs.ts'
import { Refusals, RefusedError } from '../../src/hub/refusals/refusals.ts'
import { TrustAnchors } from '../../src/hub/authorities/trust-anchors.ts'
import { openLocalBus } from '../../src/local/bus.ts'
import { createLog } from '../../src/log.ts'
import { Metrics } from '../../src/metrics.ts'
import type { AuthorityState } from '../../src/model/certificate-authority.ts'
import type { Device } from '../../src/model/device.ts'
import { parseAuthorityName, parseDeviceId, parseHubName } from '../../src/model/ids.ts'
import type { Peer } from '../../src/model/peer.ts'
import type { RefusalRule } from '../../src/model/refusal.ts'
import { AllocationWebhook } from '../../src/provisioning/allocation-webhook.ts'
import type { WebhookLimits } from '../../src/provisioning/allocation-webhook.ts'
import { Enrollments } from '../../src/provisioning/enrollments.ts'
import { Registrar } from '../../src/provisioning/register.ts'
import type { RegistrationResult } from '../../src/provisioning/wire-registration.ts'
import { DATA_KEYS } from '../at-rest/data-keys.ts'
import { openSqliteStores } from '../../src/sqlite/open.ts'
import { openTrust } from '../revocation/open-trust.ts'

export const NOW = Date.UTC(2026, 5, 1)
const DAY = 24 * 60 * 60 * 1000
export const SCOPE = '0neDEADBEEF'
export const EAST = parseHubName('east')
export const WEST = parseHubName('west')

export interface Authority {
  readonly der: Buffer
  readonly pem: string
  readonly key: KeyObject
}

const random = (size: number) => randomBytes(size)
const term = { now: NOW - DAY, lifetime: 400 * DAY }

export async function makeRoot(commonName: string): Promise<Authority> {
  const key = generateKey('p256')
  return authority(await issueRoot(keySigner(key), { subject: { commonName }, term }, random), key)
}

export async function makeIntermediate(parent: Authority, commonName: string, key = generateKey('p256')) {
  const profile = { subject: { commonName }, spki: spkiOf(key), term }
  return authority(await issueIntermediate(issuer(parent), profile, random), key)
}

export function makeLeaf(parent: Authority, id: string, lifetime = 100 * DAY): Promise<Buffer> {
  const holder = { spki: spkiOf(generateKey('p256')), term: { now: NOW - DAY, lifetime } }
  return issueDevice(issuer(parent), { id, ...holder }, random)
}

function issuer({ der, key }: Authority) {
  return issuerOf(parseCertificate(der), keySigner(key))
}

function authority(der: Buffer, key: KeyObject): Authority {
  return { der, pem: encodePem('CERTIFICATE', der), key }
}

/** A server's provisioning side on the real store, with two hubs of which `east` is the home. */
export async function openProvisioning(options: { webhookLimits?: WebhookLimits } = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-provisioning-'))
  const clock = { time: NOW, now: () => clock.time }
  const dice = { bytes: (count: number) => randomBytes(count) }
  const stores = await openSqliteStores({ keys: DATA_KEYS, folder, refusalCapacity: 1_000, clock })
  const { registry } = stores
  const bus = openLocalBus()
  const metrics = new Metrics()
  const hubs = new Hubs([
    { name: EAST, hosts: ['east.example'], partitions: 1 },
    { name: WEST, hosts: ['west.example'], partitions: 1 },
  ])
  const parts = { registry, bus, clock, random: dice, metrics, hubs, log: createLog({ level: 'silent' }) }
  const anchors = new TrustAnchors(parts)
  const refusals = new Refusals(parts)
  const linkedHubs = [
    { hub: EAST, host: 'east.example', weight: 1, latency: 20 },
    { hub: WEST, host: 'west.example', weight: 1, latency: 5 },
  ]
  const { revocations, trust, close: closeTrust } = await openTrust(parts)
  const holders = new Holders(parts)
  const webhook = new AllocationWebhook(options.webhookLimits)
  const registrar = new Registrar({ ...parts, scope: SCOPE, linkedHubs, anchors, trust, refusals, holders, webhook })
  const enrollments = new Enrollments(parts)

  return {
    ...parts,
    anchors,
    revocations,
    trust,
    holders,
    refusals,
    registrar,
    enrollments,
    async close() {
      await registrar.close()
      holders.close()
      anchors.close()
      closeTrust()
      await bus.close()
      await stores.close()
      await rm(folder, { recursive: true })
    },
    async registerAuthority(name: string, { der }: Authority, state: AuthorityState['kind'] = 'verified', hub = EAST) {
      const states: Record<AuthorityState['kind'], AuthorityState> = {
        unverified: { kind: 'unverified' },
        'code-issued': { kind: 'code-issued', code: 'A'.repeat(40), expires: NOW + DAY },
        verified: { kind: 'verified', since: NOW, by: 'operator' },
      }
      const row = { hub, name: parseAuthorityName(name), certificate: der, sha256: parseCertificate(der).sha256 }
      await registry.authorities.create({ ...row, etag: 'e', created: NOW, updated: NOW, state: states[state] })
      bus.publish({ kind: 'authorities-changed', hub })
    },
    authenticate(
      registrationId: string,
      credential: { chain?: readonly Uint8Array[]; token?: string; scope?: string },
    ) {
      const { chain = [], token = null, scope = SCOPE } = credential
      return registrar.authenticate({ scope, registrationId, token }, peerWith(chain))
    },
    async register(registrationId: string, credential: { chain?: readonly Uint8Array[]; token?: string }) {
      const who = await this.authenticate(registrationId, credential)
      return registrar.register(who, {}, { force: false })
    },
    device(hub: typeof EAST, id: string): Promise<Device | null> {
      return registry.devices.get(hub, parseDeviceId(id))
    },
  }
}

export type Provisioning = Awaited<ReturnType<typeof openProvisioning>>

export function peerWith(chain: readonly Uint8Array[]): Peer {
  return { address: '127.0.0.1', port: 4711, protocol: 'mqtt', tls: null, chain }
}

export function tokenFor(
  registrationId: string,
  key: string,
  { scope = SCOPE, expires = NOW + DAY, policy = 'registration' } = {},
): string {
  const resource = `${scope}/registrations/${registrationId}`
  const expiry = Math.floor(expires / 1000)
  const signature = createHmac('sha256', Buffer.from(key, 'base64')).update(`${resource}\n${expiry}`).digest('base64')
  return `SharedAccessSignature sr=${resource}&sig=${encodeURIComponent(signature)}&skn=${policy}&se=${expiry}`
}

export function derivedKey(groupKey: string, id: string): string {
  return createHmac('sha256', Buffer.from(groupKey, 'base64')).update(id).digest('base64')
}

/** Awaits a refusal by this rule; it must carry a remedy and a tracking id. */
export async function assertRefused(
  attempt: Promise<unknown>,
  rule: RefusalRule,
  code: HubErrorCode = 'unauthorized',
): Promise<void> {
  await assert.rejects(attempt, (error) => {
    assert.ok(error instanceof RefusedError, String(error))
    assert.equal(error.refusal.rule, rule, error.refusal.message)
    assert.equal(error.code, code)
    assert.match(error.refusal.trackingId, /^[0-9a-f]{32}$/)
    assert.ok(error.refusal.remedy.length > 10)
    return true
  })
}

export function assertAssigned({ status, registration }: RegistrationResult) {
  assert.equal(status, 'assigned')
  assert.ok(registration)
  return registration
}
