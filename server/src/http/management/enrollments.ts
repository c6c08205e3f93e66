import { Type } from 'typebox'
import type { EnrollmentGroup, IndividualEnrollment } from '../../model/enrollment.ts'
import { parseIfMatch } from '../../model/etag.ts'
import type { DangerousActs, HarmlessEnrollments } from '../../operators/dangerous-acts/dangerous-acts.ts'
import type { Page } from '../../provisioning/enrollments.ts'
import {
  attestationMechanismJson,
  enrollmentGroupJson,
  individualEnrollmentJson,
} from '../../provisioning/wire-enrollment.ts'
import { registrationStateJson } from '../../provisioning/wire-registration.ts'
import { askerOf } from '../asker.ts'
import { EnrollmentGroupBody, IndividualEnrollmentBody } from '../provisioning/enrollment-bodies.ts'
import type { Routes } from '../routes.ts'
import type { Act } from '../stated-access.ts'
import type { ManagementAccess } from './access.ts'

const tags = ['management: enrollments']
import { shownAddress } from './shown-address.ts'
const IdParams = Type.Object({ id: Type.String() })
/** Beyond the service API: what the devices' `sealed` is set to when they register. */
const Sealed = { sealed: Type.Optional(Type.Union([Type.Literal('off'), Type.Literal('verify')])) }
const IndividualBody = Type.Object({ ...IndividualEnrollmentBody.properties, ...Sealed })
const GroupBody = Type.Object({ ...EnrollmentGroupBody.properties, ...Sealed })
const PageQuery = Type.Object({
  after: Type.Optional(Type.String({ description: '`next` of the page before.' })),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000 })),
})

export interface ManagedEnrollmentParts {
  readonly enrollments: HarmlessEnrollments
  readonly dangerous: Pick<DangerousActs, 'groups'>
  readonly access: ManagementAccess
}

/** Individual enrollments for the operator, in the shapes of the service API. PUT creates; with If-Match it replaces. */
export function managedEnrollmentRoutes(routes: Routes, { enrollments, access }: ManagedEnrollmentParts): void {
  const before: Act['before'] = async ({ id = '' }) => showIndividual(await enrollments.getIndividual(id))
  const all = '/holdfast/v1/enrollments'
  const one = `${all}/:id`
  routes.get(
    all,
    { ...access.may('enrollments.read'), schema: { tags, summary: 'List', querystring: PageQuery } },
    async (request) =>
      pageJson(await enrollments.listIndividual(pageOf(request.query)), (one) =>
        showIndividual(hideAddress(one, access.allows(request, 'enrollments.write'))),
      ),
  )
  routes.get(
    one,
    { ...access.may('enrollments.read'), schema: { tags, summary: 'Show', params: IdParams } },
    async (request) => {
      const found = await enrollments.getIndividual(request.params.id)
      return showIndividual(hideAddress(found, access.allows(request, 'enrollments.write')))
    },
  )
  routes.put(
    one,
    {
      ...access.may('enrollments.write', { name: 'enrollment.put', before }),
      schema: { tags, summary: 'Create or replace', params: IdParams, body: IndividualBody },
    },
    async ({ params, body, headers }) => {
      const draft = { ...body, registrationId: params.id }
      return showIndividual(await enrollments.putIndividual(draft, expectedOf(headers)))
    },
  )
  routes.delete(
    one,
    {
      ...access.may('enrollments.write', { name: 'enrollment.delete', before }),
      schema: { tags, summary: 'Delete', params: IdParams },
    },
    async (request, reply) => {
      await enrollments.deleteIndividual(request.params.id, expectedOf(request.headers))
      return reply.code(204).send()
    },
  )
  routes.get(
    `${one}/attestation`,
    {
      ...access.may('enrollments.secrets', { name: 'enrollment.show-keys' }),
      schema: { tags, summary: 'Show the attestation with its keys', params: IdParams },
    },
    async ({ params }) => attestationMechanismJson(await enrollments.attestation(params.id)),
  )
  routes.get(
    '/holdfast/v1/registrations/:id',
    { ...access.may('enrollments.read'), schema: { tags, summary: 'Show a registration', params: IdParams } },
    async ({ params }) => registrationStateJson(await enrollments.getRegistration(params.id)),
  )
}

/** Enrollment groups and what registered through them. */
export function managedGroupRoutes(routes: Routes, { enrollments, dangerous, access }: ManagedEnrollmentParts): void {
  const before: Act['before'] = async ({ id = '' }) => showGroup(await enrollments.getGroup(id))
  const all = '/holdfast/v1/enrollment-groups'
  const one = `${all}/:id`
  routes.get(
    all,
    { ...access.may('enrollments.read'), schema: { tags, summary: 'List groups', querystring: PageQuery } },
    async (request) =>
      pageJson(await enrollments.listGroups(pageOf(request.query)), (one) =>
        showGroup(hideAddress(one, access.allows(request, 'enrollments.write'))),
      ),
  )
  routes.get(
    one,
    { ...access.may('enrollments.read'), schema: { tags, summary: 'Show a group', params: IdParams } },
    async (request) => {
      const found = await enrollments.getGroup(request.params.id)
      return showGroup(hideAddress(found, access.allows(request, 'enrollments.write')))
    },
  )
  routes.put(
    one,
    {
      ...access.may('enrollments.write', { name: 'enrollment-group.put', before }),
      schema: { tags, summary: 'Create or replace a group', params: IdParams, body: GroupBody },
    },
    async (request) => {
      const draft = { ...request.body, enrollmentGroupId: request.params.id }
      return showGroup(await dangerous.groups.put(askerOf(request), draft, expectedOf(request.headers)))
    },
  )
  routes.delete(
    one,
    {
      ...access.may('enrollments.write', { name: 'enrollment-group.delete', before }),
      schema: { tags, summary: 'Delete a group', params: IdParams },
    },
    async (request, reply) => {
      await dangerous.groups.delete(askerOf(request), request.params.id, expectedOf(request.headers))
      return reply.code(204).send()
    },
  )
  routes.get(
    `${one}/attestation`,
    {
      ...access.may('enrollments.secrets', { name: 'enrollment-group.show-keys' }),
      schema: { tags, summary: 'Show the attestation with its keys', params: IdParams },
    },
    async ({ params }) => attestationMechanismJson(await enrollments.groupAttestation(params.id)),
  )
  routes.get(
    `${one}/registrations`,
    {
      ...access.may('enrollments.read'),
      schema: { tags, summary: 'List what registered through a group', params: IdParams, querystring: PageQuery },
    },
    async ({ params, query }) =>
      pageJson(await enrollments.listRegistrations(params.id, pageOf(query)), registrationStateJson),
  )
}

function showIndividual(enrollment: IndividualEnrollment) {
  return { ...individualEnrollmentJson(enrollment), ...(enrollment.sealed && { sealed: enrollment.sealed }) }
}

function showGroup(group: EnrollmentGroup) {
  return { ...enrollmentGroupJson(group), ...(group.sealed && { sealed: group.sealed }) }
}

function pageOf({ after, limit }: { after?: string; limit?: number }) {
  return { after: after ?? null, limit: limit ?? 100 }
}
/** Of the webhook that chooses a hub, the whole address is for those who may change it. */
function hideAddress<Shown extends IndividualEnrollment | EnrollmentGroup>(
  enrollment: Shown,
  mayWrite: boolean,
): Shown {
  const { allocationPolicy } = enrollment
  if (allocationPolicy.kind !== 'custom') return enrollment
  const webhookUrl = shownAddress(allocationPolicy.webhookUrl, mayWrite)
  return { ...enrollment, allocationPolicy: { ...allocationPolicy, webhookUrl } }
}

function pageJson<Item>({ items, next }: Page<Item>, json: (item: Item) => unknown) {
  return { value: items.map((item) => json(item)), next }
}

function expectedOf(headers: { 'if-match'?: string | undefined }) {
  const ifMatch = headers['if-match']
  return ifMatch === undefined ? null : parseIfMatch(ifMatch)
}
