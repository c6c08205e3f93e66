import { callApi } from '../server-access.ts'
import type { ServerAccess } from '../server-access.ts'

/** An enrollment as the service API shows it; only what the command line reads is named. */
export interface EnrollmentResource {
  readonly registrationId?: string
  readonly enrollmentGroupId?: string
  readonly deviceId?: string
  readonly etag: string
  readonly provisioningStatus: 'enabled' | 'disabled'
  readonly attestation: {
    readonly type: string
    readonly x509?: { readonly caReferences?: { readonly primary?: string | null; readonly secondary?: string | null } }
  }
  readonly allocationPolicy: string
}

export interface RegistrationResource {
  readonly registrationId: string
  readonly status: string
  readonly assignedHub?: string
  readonly deviceId?: string
  readonly lastUpdatedDateTimeUtc: string
}

export type EnrollmentKind = 'individual' | 'group'

interface Page<Item> {
  readonly value: readonly Item[]
  readonly next: string | null
}

const COLLECTIONS = { individual: '/holdfast/v1/enrollments', group: '/holdfast/v1/enrollment-groups' } as const

/** Creates; with `etag` it replaces. `body` has the shape of the provisioning service's own API. */
export function putEnrollment(
  access: ServerAccess,
  kind: EnrollmentKind,
  id: string,
  body: object,
  etag?: string,
): Promise<EnrollmentResource> {
  const headers = etag === undefined ? {} : { 'if-match': etag }
  return callApi(access, { method: 'PUT', path: pathOf(kind, id), body, headers })
}

export function putEnrollmentGroup(access: ServerAccess, id: string, body: object): Promise<EnrollmentResource> {
  return putEnrollment(access, 'group', id, body)
}

export function getEnrollment(access: ServerAccess, kind: EnrollmentKind, id: string): Promise<EnrollmentResource> {
  return callApi(access, { method: 'GET', path: pathOf(kind, id) })
}

/** With its symmetric keys, which the enrollment itself does not show. */
export function getAttestation(
  access: ServerAccess,
  kind: EnrollmentKind,
  id: string,
): Promise<{ symmetricKey?: { primaryKey: string; secondaryKey: string } }> {
  return callApi(access, { method: 'GET', path: `${pathOf(kind, id)}/attestation` })
}

export function deleteEnrollment(access: ServerAccess, kind: EnrollmentKind, id: string): Promise<null> {
  return callApi(access, { method: 'DELETE', path: pathOf(kind, id) })
}

export function listEnrollments(access: ServerAccess, kind: EnrollmentKind): AsyncGenerator<EnrollmentResource> {
  return everyPage(access, COLLECTIONS[kind])
}

export function listRegistrations(access: ServerAccess, group: string): AsyncGenerator<RegistrationResource> {
  return everyPage(access, `${pathOf('group', group)}/registrations`)
}

/** Pages through a collection of the management API, one request at a time. */
export async function* everyPage<Item>(access: ServerAccess, path: string): AsyncGenerator<Item> {
  for (let after: string | null = null; ;) {
    const query: string = after === null ? '' : `?after=${encodeURIComponent(after)}`
    const page: Page<Item> = await callApi<Page<Item>>(access, { method: 'GET', path: `${path}${query}` })
    yield* page.value
    if (page.next === null) return
    after = page.next
  }
}

function pathOf(kind: EnrollmentKind, id: string): string {
  return `${COLLECTIONS[kind]}/${encodeURIComponent(id)}`
}
