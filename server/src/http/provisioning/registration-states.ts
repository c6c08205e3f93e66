import { Type } from 'typebox'
import type { Door } from '../../hub/door/authenticate.ts'
import type { HarmlessEnrollments } from '../../operators/dangerous-acts/dangerous-acts.ts'
import { parseRegistrationIfMatch, registrationStateJson } from '../../provisioning/wire-registration.ts'
import { announceNextPage, requestedPage } from '../paging.ts'
import type { Routes } from '../routes.ts'
import type { Act } from '../stated-access.ts'
import { QueryBody } from './enrollment-bodies.ts'
import { requireWholeCollection } from './enrollment-query.ts'
import { requireProvisioningRight } from './provisioning-access.ts'

const tags = ['provisioning service API']
const IdParams = Type.Object({ id: Type.String() })

/** What the service remembers of devices that have registered. */
export function registrationStateRoutes(routes: Routes, parts: { door: Door; enrollments: HarmlessEnrollments }): void {
  const { door, enrollments } = parts
  const read = requireProvisioningRight(door, 'RegistrationStatusRead')
  const before: Act['before'] = async ({ id = '' }) => registrationStateJson(await enrollments.getRegistration(id))
  const write = (act: string) => requireProvisioningRight(door, 'RegistrationStatusWrite', { name: act, before })

  routes.get(
    '/registrations/:id',
    { ...read, schema: { tags, summary: 'Show a registration', params: IdParams } },
    async (request) => registrationStateJson(await enrollments.getRegistration(request.params.id)),
  )
  routes.delete(
    '/registrations/:id',
    { ...write('registration.delete'), schema: { tags, summary: 'Forget a registration', params: IdParams } },
    async (request, reply) => {
      const ifMatch = request.headers['if-match']
      const expected = ifMatch === undefined ? null : parseRegistrationIfMatch(ifMatch)
      await enrollments.deleteRegistration(request.params.id, expected)
      return reply.code(204).send()
    },
  )
  routes.post(
    '/registrations/:id/query',
    { ...read, schema: { tags, summary: "List a group's registrations", params: IdParams, body: QueryBody } },
    async (request, reply) => {
      requireWholeCollection(request.body.query, 'registrations')
      const page = await enrollments.listRegistrations(request.params.id, requestedPage(request))
      announceNextPage(reply, page.next)
      return reply.header('x-ms-item-type', 'registrationState').send(page.items.map(registrationStateJson))
    },
  )
}
