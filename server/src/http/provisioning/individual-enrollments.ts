import { Type } from 'typebox'
import type { Static } from 'typebox'
import {
  attestationMechanismJson,
  bulkResultJson,
  individualEnrollmentJson,
} from '../../provisioning/wire-enrollment.ts'
import { announceNextPage, requestedPage } from '../paging.ts'
import type { Routes } from '../routes.ts'
import { BulkIndividualBody, IndividualEnrollmentBody, QueryBody } from './enrollment-bodies.ts'
import { requireWholeCollection } from './enrollment-query.ts'
import { BULK_BYTES, bulkMode, ENROLLMENT_BYTES, expectedOf, quotedEtag, sameId } from './enrollment-requests.ts'
import type { EnrollmentParts } from './enrollment-requests.ts'
import { requireProvisioningRight } from './provisioning-access.ts'
import { statesOf } from '../stated-access.ts'
import type { Act } from '../stated-access.ts'

const IdParams = Type.Object({ id: Type.String() })
const tags = ['provisioning service API']

/** Individual enrollments as `azure-iot-provisioning-service` reads them. */
export function individualEnrollmentReadRoutes(routes: Routes, { door, enrollments }: EnrollmentParts): void {
  const read = requireProvisioningRight(door, 'EnrollmentRead')
  // Who may see keys may as well replace them.
  const write = (act: string) => requireProvisioningRight(door, 'EnrollmentWrite', { name: act })

  routes.get(
    '/enrollments/:id',
    { ...read, schema: { tags, summary: 'Show an enrollment', params: IdParams } },
    async (request, reply) => {
      const enrollment = await enrollments.getIndividual(request.params.id)
      return reply.header('etag', quotedEtag(enrollment.etag)).send(individualEnrollmentJson(enrollment))
    },
  )
  routes.post(
    '/enrollments/query',
    { ...read, schema: { tags, summary: 'List enrollments', body: QueryBody } },
    async (request, reply) => {
      requireWholeCollection(request.body.query, 'enrollments')
      const page = await enrollments.listIndividual(requestedPage(request))
      announceNextPage(reply, page.next)
      return reply.header('x-ms-item-type', 'enrollment').send(page.items.map(individualEnrollmentJson))
    },
  )
  routes.post(
    '/enrollments/:id/attestationmechanism',
    {
      ...write('enrollment.show-keys'),
      schema: { tags, summary: 'Show an attestation with its keys', params: IdParams },
    },
    async (request) => attestationMechanismJson(await enrollments.attestation(request.params.id)),
  )
}

export function individualEnrollmentWriteRoutes(routes: Routes, { door, enrollments }: EnrollmentParts): void {
  const stateOf = async (id: string) => individualEnrollmentJson(await enrollments.getIndividual(id))
  const before: Act['before'] = ({ id = '' }) => stateOf(id)
  const allBefore: Act['before'] = async (_, { body }) =>
    statesOf(
      (body as Static<typeof BulkIndividualBody>).enrollments.map(({ registrationId }) => registrationId),
      stateOf,
    )
  const write = (act: string, state = before) =>
    requireProvisioningRight(door, 'EnrollmentWrite', { name: act, before: state })

  routes.put(
    '/enrollments/:id',
    {
      ...write('enrollment.put'),
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
  routes.delete(
    '/enrollments/:id',
    { ...write('enrollment.delete'), schema: { tags, summary: 'Delete an enrollment', params: IdParams } },
    async (request, reply) => {
      await enrollments.deleteIndividual(request.params.id, expectedOf(request.headers['if-match']))
      return reply.code(204).send()
    },
  )
  routes.post(
    '/enrollments',
    {
      ...write('enrollment.bulk', allBefore),
      bodyLimit: BULK_BYTES,
      schema: { tags, summary: 'Change up to ten enrollments', body: BulkIndividualBody },
    },
    async (request) => {
      const result = await enrollments.bulk(bulkMode(request.body.mode), request.body.enrollments)
      return bulkResultJson(result, 'registrationId')
    },
  )
}
