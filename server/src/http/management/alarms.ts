import { Type } from 'typebox'
import { HubError } from '../../errors.ts'
import type { Alarms } from '../../hub/alarms.ts'
import { ALARM_KINDS } from '../../model/alarm.ts'
import { parseHubName, printable } from '../../model/ids.ts'
import type { Routes } from '../routes.ts'
import type { ManagementAccess } from './access.ts'
import { Followers, MAX_WAIT_SECONDS } from './followers.ts'

const tags = ['management: alarms']

const ListQuery = Type.Object({
  hub: Type.Optional(Type.String()),
  kind: Type.Optional(Type.Union(ALARM_KINDS.map((kind) => Type.Literal(kind)))),
  subject: Type.Optional(Type.String({ maxLength: 256, description: 'Id of a device or webhook.' })),
  after: Type.Optional(Type.Integer({ minimum: 0, description: 'Only what came after this sequence.' })),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000 })),
  wait: Type.Optional(
    Type.Integer({ minimum: 0, maximum: MAX_WAIT_SECONDS, description: 'Seconds to wait for a first one.' }),
  ),
})

export interface AlarmParts {
  readonly alarms: Alarms
  readonly access: ManagementAccess
}

/** What an operator is to look at, newest first, with the evidence; `wait` with `after` follows what comes. */
export function alarmRoutes(routes: Routes, { alarms, access }: AlarmParts): void {
  const followers = new Followers(routes, access)
  routes.get(
    '/holdfast/v1/alarms',
    { ...access.may('alarms.read'), schema: { tags, summary: 'List or follow', querystring: ListQuery } },
    async ({ query }, reply) => {
      const { wait = 0, limit = 100, hub, ...rest } = query
      const filter = { ...rest, ...(hub === undefined ? {} : { hub: parseHubName(hub) }), limit }
      const value = await followers.list(() => alarms.list(filter), wait, reply)
      return { value, next: value[0]?.sequence ?? rest.after ?? 0 }
    },
  )
  routes.get(
    '/holdfast/v1/alarms/:id',
    {
      ...access.may('alarms.read'),
      schema: { tags, summary: 'Show', params: Type.Object({ id: Type.String({ maxLength: 64 }) }) },
    },
    async ({ params }) => {
      const alarm = await alarms.get(params.id)
      if (alarm === null) throw new HubError('operation-not-found', `There is no alarm '${printable(params.id)}'.`)
      return alarm
    },
  )
}
