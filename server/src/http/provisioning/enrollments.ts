import { Type } from 'typebox'
import { HubError } from '../../errors.ts'
import type { Door } from '../../hub/authenticate.ts'
import { parseIfMatch } from '../../model/etag.ts'
import type { ExpectedEtag } from '../../model/etag.ts'
import { printable } from '../../model/ids.ts'
import { BULK_MODES } from '../../provisioning/enrollments.ts'
import type { BulkMode, Enrollments } from '../../provisioning/enrollments.ts'
import {
  attestationMechanismJson,
  bulkResultJson,
  enrollmentGroupJson,
  individualEnrollmentJson,
} from '../../provisioning/wire-enrollment.ts'
import { announceNextPage, requestedPage } from '../paging.ts'
import type { Routes } from '../routes.ts'
import {
  BulkGroupBody,
  BulkIndividualBody,
  EnrollmentGroupBody,
  IndividualEnrollmentBody,
  QueryBody,
} from './enrollment-bodies.ts'
import { requireWholeCollection } from './enrollment-query.ts'
import { requireProvisioningRight } from './provisioning-access.ts'

const IdParams = Type.Object({ id: Type.String() })
const tags = ['provisioning service API']
/** Ten enrollments with their certificates and initial twins. */
const BULK_BYTES = 4 * 1024 * 1024
const ENROLLMENT_BYTES = 512 * 1024

export interface EnrollmentParts {
  readonly door: Door
  readonly enrollments: Enrollments
}

/** Individual enrollments as `azure-iot-provisioning-service` uses them. */
export function individualEnrollmentRoutes(routes: Routes, { door, enrollments }: EnrollmentParts): void {
  const read = requireProvisioningRight(door, 'EnrollmentRead')
  const write = requireProvisioningRight(door, 'EnrollmentWrite')

  routes.put(
    '/enrollments/:id',
    {
      onRequest: write,
      bodyLimit: ENROLLMENT_BYTES,
      schema: { tags, summary: 'Create or update an enrollment', params: IdParams, body: IndividualEnrollmentBody },
    },
    async (request, reply) => {
      const registrationId = sameId(request.params.id, request.body.registrationId)
      const draft = { ...request.body, registrationId }
      const enrollment = await enrollments.putIndividual(draft, expectedOf(request.headers['if-match']))
      return reply.header('etag', quotedEtag(enrollment.etag)).send(individualEnrollmentJson(enrollment))
    },
  )
  routes.get(
    '/enrollments/:id',
    { onRequest: read, schema: { tags, summary: 'Show an enrollment', params: IdParams } },
    async (request, reply) => {
      const enrollment = await enrollments.getIndividual(request.params.id)
      return reply.header('etag', quotedEtag(enrollment.etag)).send(individualEnrollmentJson(enrollment))
    },
  )
  routes.delete(
    '/enrollments/:id',
    { onRequest: write, schema: { tags, summary: 'Delete an enrollment', params: IdParams } },
    async (request, reply) => {
      await enrollments.deleteIndividual(request.params.id, expectedOf(request.headers['if-match']))
      return reply.code(204).send()
    },
  )
  routes.post(
    '/enrollments/query',
    { onRequest: read, schema: { tags, summary: 'List enrollments', body: QueryBody } },
    async (request, reply) => {
      requireWholeCollection(request.body.query, 'enrollments')
      const page = await enrollments.listIndividual(requestedPage(request))
      announceNextPage(reply, page.next)
      return reply.header('x-ms-item-type', 'enrollment').send(page.items.map(individualEnrollmentJson))
    },
  )
  routes.post(
    '/enrollments',
    {
      onRequest: write,
      bodyLimit: BULK_BYTES,
      schema: { tags, summary: 'Change up to ten enrollments', body: BulkIndividualBody },
    },
    async (request) => {
      const result = await enrollments.bulk(bulkMode(request.body.mode), request.body.enrollments)
      return bulkResultJson(result, 'registrationId')
    },
  )
  routes.post(
    '/enrollments/:id/attestationmechanism',
    { onRequest: write, schema: { tags, summary: 'Show an attestation with its keys', params: IdParams } },
    async (request) => attestationMechanismJson(await enrollments.attestation(request.params.id)),
  )
}

/** Enrollment groups, in the same shape. */
export function enrollmentGroupRoutes(routes: Routes, { door, enrollments }: EnrollmentParts): void {
  const read = requireProvisioningRight(door, 'EnrollmentRead')
  const write = requireProvisioningRight(door, 'EnrollmentWrite')

  routes.put(
    '/enrollmentGroups/:id',
    {
      onRequest: write,
      bodyLimit: ENROLLMENT_BYTES,
      schema: { tags, summary: 'Create or update an enrollment group', params: IdParams, body: EnrollmentGroupBody },
    },
    async (request, reply) => {
      const enrollmentGroupId = sameId(request.params.id, request.body.enrollmentGroupId)
      const draft = { ...request.body, enrollmentGroupId }
      const group = await enrollments.putGroup(draft, expectedOf(request.headers['if-match']))
      return reply.header('etag', quotedEtag(group.etag)).send(enrollmentGroupJson(group))
    },
  )
  routes.get(
    '/enrollmentGroups/:id',
    { onRequest: read, schema: { tags, summary: 'Show an enrollment group', params: IdParams } },
    async (request, reply) => {
      const group = await enrollments.getGroup(request.params.id)
      return reply.header('etag', quotedEtag(group.etag)).send(enrollmentGroupJson(group))
    },
  )
  routes.delete(
    '/enrollmentGroups/:id',
    { onRequest: write, schema: { tags, summary: 'Delete an enrollment group', params: IdParams } },
    async (request, reply) => {
      await enrollments.deleteGroup(request.params.id, expectedOf(request.headers['if-match']))
      return reply.code(204).send()
    },
  )
  routes.post(
    '/enrollmentGroups/query',
    { onRequest: read, schema: { tags, summary: 'List enrollment groups', body: QueryBody } },
    async (request, reply) => {
      requireWholeCollection(request.body.query, 'enrollmentGroups')
      const page = await enrollments.listGroups(requestedPage(request))
      announceNextPage(reply, page.next)
      return reply.header('x-ms-item-type', 'enrollmentGroup').send(page.items.map(enrollmentGroupJson))
    },
  )
  routes.post(
    '/enrollmentGroups',
    {
      onRequest: write,
      bodyLimit: BULK_BYTES,
      schema: { tags, summary: 'Change up to ten enrollment groups', body: BulkGroupBody },
    },
    async (request) => {
      const result = await enrollments.bulkGroups(bulkMode(request.body.mode), request.body.enrollmentGroups)
      return bulkResultJson(result, 'enrollmentGroupId')
    },
  )
  routes.post(
    '/enrollmentGroups/:id/attestationmechanism',
    { onRequest: write, schema: { tags, summary: 'Show an attestation with its keys', params: IdParams } },
    async (request) => attestationMechanismJson(await enrollments.groupAttestation(request.params.id)),
  )
}

function expectedOf(ifMatch: string | undefined): ExpectedEtag | null {
  return ifMatch === undefined ? null : parseIfMatch(ifMatch)
}

/** The service's etags carry their quotes as part of the text; clients send them back verbatim. */
function quotedEtag(etag: string): string {
  return `"${etag}"`
}

/** Ids are compared without case, as the service holds them. */
function sameId(fromPath: string, fromBody: string | null | undefined): string {
  if (fromBody && fromBody.toLowerCase() !== fromPath.toLowerCase())
    throw new HubError('argument-invalid', 'The id of the body is not the one of the path.')
  return fromPath
}

/** SDKs spell the conditional mode in two ways. */
function bulkMode(text: string): BulkMode {
  const mode = BULK_MODES.find((known) => known.toLowerCase() === text.toLowerCase())
  if (mode === undefined)
    throw new HubError('argument-invalid', `mode is '${printable(text)}': use ${BULK_MODES.join(', ')}`)
  return mode
}
