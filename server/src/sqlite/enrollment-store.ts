import type {
  CertificateSlots,
  Enrollment,
  EnrollmentGroup,
  GroupAttestation,
  IndividualAttestation,
  IndividualEnrollment,
} from '../model/enrollment.ts'
import type { ExpectedEtag } from '../model/etag.ts'
import type { EnrollmentGroupId, RegistrationId } from '../model/ids.ts'
import type { EnrollmentStore, WriteOutcome } from '../ports/registry.ts'
import type { Row } from './database.ts'
import { Query, bytesOf, numberOf, textOf } from './registry-reads.ts'
import type { RegistryReader } from './registry-reads.ts'
import type { RegistryWriter } from './registry-writer.ts'

/** Each kind has a table of its own, so that a row's kind is that of its table. */
export class SqliteEnrollmentStore implements EnrollmentStore {
  readonly #writer: RegistryWriter
  readonly #getIndividual: Query
  readonly #listIndividual: Query
  readonly #getGroup: Query
  readonly #listGroups: Query
  readonly #groupRevision: Query

  constructor(reader: RegistryReader, writer: RegistryWriter) {
    const columns = 'primary_certificate, secondary_certificate, doc'
    const individual = `SELECT registration_id, ${columns} FROM individual_enrollments WHERE registration_id`
    const group = `SELECT enrollment_group_id, ${columns} FROM enrollment_groups WHERE enrollment_group_id`
    this.#writer = writer
    this.#getIndividual = new Query(reader, `${individual} = ?`, 'individual_enrollments')
    this.#listIndividual = new Query(
      reader,
      `${individual} > ? ORDER BY registration_id LIMIT ?`,
      'individual_enrollments',
    )
    this.#getGroup = new Query(reader, `${group} = ?`, 'enrollment_groups')
    this.#listGroups = new Query(reader, `${group} > ? ORDER BY enrollment_group_id LIMIT ?`, 'enrollment_groups')
    this.#groupRevision = new Query(reader, `SELECT value FROM revisions WHERE name = 'enrollment_groups'`)
  }

  async getIndividual(id: RegistrationId): Promise<IndividualEnrollment | null> {
    const row = this.#getIndividual.one(id)
    return row === null ? null : (enrollmentOf(row) as IndividualEnrollment)
  }

  async listIndividual(page: {
    after: RegistrationId | null
    limit: number
  }): Promise<readonly IndividualEnrollment[]> {
    return this.#listIndividual
      .all(page.after ?? '', page.limit)
      .map((row) => enrollmentOf(row) as IndividualEnrollment)
  }

  async createIndividual(enrollment: IndividualEnrollment): Promise<'written' | 'exists'> {
    const write = { kind: 'create', table: 'individual_enrollments', row: individualRow(enrollment) } as const
    return (await this.#writer.write(write)) as 'written' | 'exists'
  }

  async replaceIndividual(enrollment: IndividualEnrollment, expected: ExpectedEtag): Promise<WriteOutcome> {
    const write = {
      kind: 'replace',
      table: 'individual_enrollments',
      row: individualRow(enrollment),
      expected,
    } as const
    return (await this.#writer.write(write)) as WriteOutcome
  }

  async deleteIndividual(id: RegistrationId, expected: ExpectedEtag): Promise<WriteOutcome> {
    const key = { registration_id: id }
    const write = { kind: 'delete', table: 'individual_enrollments', key, expected } as const
    return (await this.#writer.write(write)) as WriteOutcome
  }

  async getGroup(id: EnrollmentGroupId): Promise<EnrollmentGroup | null> {
    const row = this.#getGroup.one(id)
    return row === null ? null : (enrollmentOf(row) as EnrollmentGroup)
  }

  async listGroups(page: { after: EnrollmentGroupId | null; limit: number }): Promise<readonly EnrollmentGroup[]> {
    return this.#listGroups.all(page.after ?? '', page.limit).map((row) => enrollmentOf(row) as EnrollmentGroup)
  }

  async createGroup(group: EnrollmentGroup): Promise<'written' | 'exists'> {
    const write = { kind: 'create', table: 'enrollment_groups', row: groupRow(group) } as const
    return (await this.#writer.write(write)) as 'written' | 'exists'
  }

  async replaceGroup(group: EnrollmentGroup, expected: ExpectedEtag): Promise<WriteOutcome> {
    const write = { kind: 'replace', table: 'enrollment_groups', row: groupRow(group), expected } as const
    return (await this.#writer.write(write)) as WriteOutcome
  }

  async deleteGroup(id: EnrollmentGroupId, expected: ExpectedEtag): Promise<WriteOutcome> {
    const key = { enrollment_group_id: id }
    const write = { kind: 'delete', table: 'enrollment_groups', key, expected } as const
    return (await this.#writer.write(write)) as WriteOutcome
  }

  async groupRevision(): Promise<number> {
    const row = this.#groupRevision.one()
    return row === null ? 0 : numberOf(row, 'value')
  }
}

function individualRow(enrollment: IndividualEnrollment): Row {
  return { registration_id: enrollment.registrationId, ...documentRow(enrollment) }
}

function groupRow(group: EnrollmentGroup): Row {
  return { enrollment_group_id: group.enrollmentGroupId, ...documentRow(group) }
}

/** The certificates leave the document for columns of their own; `null` keeps their place in it. */
function documentRow(enrollment: Enrollment): Row {
  const slot = slotOf(enrollment.attestation)
  const certificates = slot === null ? null : slot.certificates
  const attestation = slot === null ? enrollment.attestation : { ...enrollment.attestation, [slot.member]: null }
  return {
    etag: enrollment.etag,
    primary_certificate: certificates?.primary ?? null,
    secondary_certificate: certificates?.secondary ?? null,
    doc: JSON.stringify({ ...enrollment, attestation }),
  }
}

function enrollmentOf(row: Row): Enrollment {
  const document = JSON.parse(textOf(row, 'doc')) as Enrollment
  const slot = slotOf(document.attestation)
  if (slot === null) return document
  const secondary = row['secondary_certificate'] === null ? null : bytesOf(row, 'secondary_certificate')
  const certificates: CertificateSlots = { primary: bytesOf(row, 'primary_certificate'), secondary }
  // The slot is the one that the kind of the document has.
  return { ...document, attestation: { ...document.attestation, [slot.member]: certificates } } as Enrollment
}

function slotOf(
  attestation: IndividualAttestation | GroupAttestation,
): { member: 'clientCertificates' | 'signingCertificates'; certificates: CertificateSlots } | null {
  if ('clientCertificates' in attestation) {
    return { member: 'clientCertificates', certificates: attestation.clientCertificates }
  }
  if ('signingCertificates' in attestation) {
    return { member: 'signingCertificates', certificates: attestation.signingCertificates }
  }
  return null
}
