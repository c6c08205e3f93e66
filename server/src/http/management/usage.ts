import { Type } from 'typebox'
import type { AuthorityUsage, AuthorityUse, AuthorityUser } from '../../hub/authorities/authority-usage.ts'
import type { Hubs } from '../../hub/hubs.ts'
import type { Sessions } from '../../hub/sessions/sessions.ts'
import { parseDeviceId } from '../../model/ids.ts'
import { liveBelow } from '../../operators/dangerous-acts/cut-off.ts'
import { hubNamed } from '../resource-manager/iot-hubs.ts'
import type { Routes } from '../routes.ts'
import type { ManagementAccess } from './access.ts'

const tags = ['management: certificate authorities']
const HubParams = Type.Object({ hub: Type.String() })
const DevicesQuery = Type.Object({
  authority: Type.String({
    minLength: 1,
    maxLength: 256,
    description: 'Name of a registered CA, SHA-256, or part of the subject that only one CA has.',
  }),
  after: Type.Optional(Type.String({ maxLength: 128, description: 'Only ids after this one.' })),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000 })),
})

export interface UsageParts {
  readonly hubs: Hubs
  readonly usage: AuthorityUsage
  readonly sessions: Pick<Sessions, 'on'>
  readonly access: ManagementAccess
}

/** Who rests on which CA, so that one knows when a CA can go. */
export function usageRoutes(routes: Routes, { hubs, usage, sessions, access }: UsageParts): void {
  routes.get(
    '/holdfast/v1/hubs/:hub/authority-usage',
    { ...access.may('authorities.read'), schema: { tags, summary: 'Count the devices of each CA', params: HubParams } },
    async ({ params }) => {
      const hub = hubNamed(hubs, params.hub).name
      return {
        value: (await usage.list(hub)).map((each) => ({ ...useJson(each), connected: liveBelow(sessions, hub, each) })),
      }
    },
  )
  routes.get(
    '/holdfast/v1/hubs/:hub/authority-usage/devices',
    {
      ...access.may('authorities.read'),
      schema: { tags, summary: 'List the devices of a CA', params: HubParams, querystring: DevicesQuery },
    },
    async ({ params, query }) => {
      const { authority: wanted, after, limit = 100 } = query
      const page = { after: after === undefined ? null : parseDeviceId(after), limit }
      const { authority, devices } = await usage.devices(hubNamed(hubs, params.hub).name, wanted, page)
      return { authority: useJson(authority), value: devices.map(userJson) }
    },
  )
}

function useJson({ kind, name, isVerified, subject, sha256, notAfter, devices, lastSeen }: AuthorityUse) {
  const times = { notAfter: timeJson(notAfter), lastSeen: timeJson(lastSeen) }
  return { kind, name, isVerified, subject, sha256, devices, ...times }
}

function userJson({ hub, deviceId, leaf, authoritySubjects, seen, by }: AuthorityUser) {
  const certificate = { subject: leaf.subject, notAfter: timeJson(leaf.notAfter) }
  return {
    hub: hub as string,
    deviceId: deviceId as string,
    certificate,
    authorities: authoritySubjects,
    lastSeen: timeJson(seen),
    by,
  }
}

function timeJson(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString()
}
