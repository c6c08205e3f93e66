import type { Device } from '../model/device.ts'
import type { ExpectedEtag } from '../model/etag.ts'
import type { DeviceId, EnrollmentGroupId, HubName, RegistrationId } from '../model/ids.ts'
import type { Registration } from '../model/registration.ts'
import type { RegistrationStore, WriteOutcome } from '../ports/registry.ts'
import type { Row } from './database.ts'
import { deviceKey, deviceRow } from './device-store.ts'
import { Query, bytesOf, textOf } from './registry-reads.ts'
import type { RegistryReader } from './registry-reads.ts'
import type { RegistryWriter } from './registry-writer.ts'

export class SqliteRegistrationStore implements RegistrationStore {
  readonly #writer: RegistryWriter
  readonly #get: Query
  readonly #listByGroup: Query

  constructor(reader: RegistryReader, writer: RegistryWriter) {
    const select = 'SELECT registration_id, leaf, signer, doc FROM registrations'
    this.#writer = writer
    this.#get = new Query(reader, `${select} WHERE registration_id = ?`, 'registrations')
    this.#listByGroup = new Query(
      reader,
      `${select} WHERE enrollment_group_id = ? AND registration_id > ? ORDER BY registration_id LIMIT ?`,
      'registrations',
    )
  }

  async get(id: RegistrationId): Promise<Registration | null> {
    const row = this.#get.one(id)
    return row === null ? null : registrationOf(row)
  }

  async listByGroup(
    group: EnrollmentGroupId,
    page: { after: RegistrationId | null; limit: number },
  ): Promise<readonly Registration[]> {
    return this.#listByGroup.all(group, page.after ?? '', page.limit).map(registrationOf)
  }

  async delete(id: RegistrationId, expected: ExpectedEtag): Promise<WriteOutcome> {
    const write = { kind: 'delete', table: 'registrations', key: { registration_id: id }, expected } as const
    return (await this.#writer.write(write)) as WriteOutcome
  }

  async record(registration: Registration): Promise<void> {
    await this.#writer.write({ kind: 'put', table: 'registrations', row: rowOf(registration) })
  }

  async complete(completion: {
    registration: Registration
    device: Device | null
    expectedDevice: ExpectedEtag | null
    leave: { hub: HubName; deviceId: DeviceId } | null
  }): Promise<'written' | 'conflict'> {
    const { registration, device, expectedDevice, leave } = completion
    const outcome = await this.#writer.write({
      kind: 'complete',
      registration: rowOf(registration),
      device: device === null ? null : deviceRow(device),
      expected: expectedDevice,
      leave: leave === null ? null : deviceKey(leave.hub, leave.deviceId),
    })
    return outcome as 'written' | 'conflict'
  }
}

/** The certificates leave the document for columns of their own; `null` keeps their place in it. */
function rowOf(registration: Registration): Row {
  const { attestation, enrollment } = registration
  const certificates = attestation.type === 'x509' ? attestation : { leaf: null, signer: null }
  const kept = attestation.type === 'x509' ? { ...attestation, leaf: null, signer: null } : attestation
  return {
    registration_id: registration.registrationId,
    etag: registration.etag,
    enrollment_group_id: enrollment.kind === 'group' ? enrollment.id : null,
    leaf: certificates.leaf,
    signer: certificates.signer,
    doc: JSON.stringify({ ...registration, attestation: kept }),
  }
}

function registrationOf(row: Row): Registration {
  const document = JSON.parse(textOf(row, 'doc')) as Registration
  if (document.attestation.type !== 'x509') return document
  const signer = row['signer'] === null ? null : bytesOf(row, 'signer')
  return { ...document, attestation: { ...document.attestation, leaf: bytesOf(row, 'leaf'), signer } }
}
