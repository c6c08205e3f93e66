import { Type } from 'typebox'
import type { Static } from 'typebox'
import { attestationMechanismJson, bulkResultJson, enrollmentGroupJson } from '../../provisioning/wire-enrollment.ts'
import { askerOf } from '../asker.ts'
import { announceNextPage, requestedPage } from '../paging.ts'
import type { Routes } from '../routes.ts'
import { BulkGroupBody, EnrollmentGroupBody, QueryBody } from './enrollment-bodies.ts'
import { requireWholeCollection } from './enrollment-query.ts'
import { BULK_BYTES, bulkMode, ENROLLMENT_BYTES, expectedOf, quotedEtag, sameId } from './enrollment-requests.ts'
import type { EnrollmentParts } from './enrollment-requests.ts'
import { requireProvisioningRight } from './provisioning-access.ts'
import { statesOf } from '../stated-access.ts'
import type { Act } from '../stated-access.ts'

const IdParams = Type.Object({ id: Type.String() })
const tags = ['provisioning service API']

/** Enrollment groups as `azure-iot-provisioning-service` reads them. */
export function enrollmentGroupReadRoutes(routes: Routes, { door, enrollments }: EnrollmentParts): void {
  const read = requireProvisioningRight(door, 'EnrollmentRead')
  // Who may see keys may as well replace them.
  const write = (act: string) => requireProvisioningRight(door, 'EnrollmentWrite', { name: act })

  routes.get(
    '/enrollmentGroups/:id',
    { ...read, schema: { tags, summary: 'Show an enrollment group', params: IdParams } },
    async (request, reply) => {
      const group = await enrollments.getGroup(request.params.id)
      return reply.header('etag', quotedEtag(group.etag)).send(enrollmentGroupJson(group))
    },
  )
  routes.post(
    '/enrollmentGroups/query',
    { ...read, schema: { tags, summary: 'List enrollment groups', body: QueryBody } },
    async (request, reply) => {
      requireWholeCollection(request.body.query, 'enrollmentGroups')
      const page = await enrollments.listGroups(requestedPage(request))
      announceNextPage(reply, page.next)
      return reply.header('x-ms-item-type', 'enrollmentGroup').send(page.items.map(enrollmentGroupJson))
    },
  )
  routes.post(
    '/enrollmentGroups/:id/attestationmechanism',
    {
      ...write('enrollment-group.show-keys'),
      schema: { tags, summary: 'Show an attestation with its keys', params: IdParams },
    },
    async (request) => attestationMechanismJson(await enrollments.groupAttestation(request.params.id)),
  )
}

export function enrollmentGroupWriteRoutes(routes: Routes, { door, enrollments, dangerous }: EnrollmentParts): void {
  const stateOf = async (id: string) => enrollmentGroupJson(await enrollments.getGroup(id))
  const before: Act['before'] = ({ id = '' }) => stateOf(id)
  const allBefore: Act['before'] = async (_, { body }) =>
    statesOf(
      (body as Static<typeof BulkGroupBody>).enrollmentGroups.map(({ enrollmentGroupId }) => enrollmentGroupId),
      stateOf,
    )
  const write = (act: string, state = before) =>
    requireProvisioningRight(door, 'EnrollmentWrite', { name: act, before: state })

  routes.put(
    '/enrollmentGroups/:id',
    {
      ...write('enrollment-group.put'),
      bodyLimit: ENROLLMENT_BYTES,
      schema: { tags, summary: 'Create or update an enrollment group', params: IdParams, body: EnrollmentGroupBody },
    },
    async (request, reply) => {
      const enrollmentGroupId = sameId(request.params.id, request.body.enrollmentGroupId)
      const draft = { ...request.body, enrollmentGroupId }
      const group = await dangerous.groups.put(askerOf(request), draft, expectedOf(request.headers['if-match']))
      return reply.header('etag', quotedEtag(group.etag)).send(enrollmentGroupJson(group))
    },
  )
  routes.delete(
    '/enrollmentGroups/:id',
    { ...write('enrollment-group.delete'), schema: { tags, summary: 'Delete an enrollment group', params: IdParams } },
    async (request, reply) => {
      await dangerous.groups.delete(askerOf(request), request.params.id, expectedOf(request.headers['if-match']))
      return reply.code(204).send()
    },
  )
  routes.post(
    '/enrollmentGroups',
    {
      ...write('enrollment-group.bulk', allBefore),
      bodyLimit: BULK_BYTES,
      schema: { tags, summary: 'Change up to ten enrollment groups', body: BulkGroupBody },
    },
    async (request) => {
      const { mode, enrollmentGroups } = request.body
      const result = await dangerous.groups.bulk(askerOf(request), bulkMode(mode), enrollmentGroups)
      return bulkResultJson(result, 'enrollmentGroupId')
    },
  )
}
