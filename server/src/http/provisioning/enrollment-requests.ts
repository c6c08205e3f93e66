import { HubError } from '../../errors.ts'
import type { Door } from '../../hub/door/authenticate.ts'
import { parseIfMatch } from '../../model/etag.ts'
import type { ExpectedEtag } from '../../model/etag.ts'
import { printable } from '../../model/ids.ts'
import type { DangerousActs, HarmlessEnrollments } from '../../operators/dangerous-acts/dangerous-acts.ts'
import { BULK_MODES } from '../../provisioning/enrollments.ts'
import type { BulkMode } from '../../provisioning/enrollments.ts'

/** An enrollment with its certificates and its initial twin. */
export const ENROLLMENT_BYTES = 512 * 1024
/** Ten of them. */
export const BULK_BYTES = 4 * 1024 * 1024

export interface EnrollmentParts {
  readonly door: Door
  readonly enrollments: HarmlessEnrollments
  readonly dangerous: Pick<DangerousActs, 'groups'>
}

export function expectedOf(ifMatch: string | undefined): ExpectedEtag | null {
  return ifMatch === undefined ? null : parseIfMatch(ifMatch)
}

/** The service's etags carry their quotes as part of the text; clients send them back verbatim. */
export function quotedEtag(etag: string): string {
  return `"${etag}"`
}

/** Ids are compared without case, as the service holds them. */
export function sameId(fromPath: string, fromBody: string | null | undefined): string {
  if (fromBody && fromBody.toLowerCase() !== fromPath.toLowerCase())
    throw new HubError('argument-invalid', 'The id of the body is not the one of the path.')
  return fromPath
}

/** SDKs spell the conditional mode in two ways. */
export function bulkMode(text: string): BulkMode {
  const mode = BULK_MODES.find((known) => known.toLowerCase() === text.toLowerCase())
  if (mode === undefined)
    throw new HubError('argument-invalid', `mode is '${printable(text)}': use ${BULK_MODES.join(', ')}`)
  return mode
}
