import { Type } from 'typebox'
import type { Hubs } from '../../hub/hubs.ts'
import type { Webhooks } from '../../hub/operations/webhooks.ts'
import { EVENT_CATEGORIES } from '../../model/message.ts'
import type { Webhook } from '../../model/webhook.ts'
import { hubNamed } from '../resource-manager/iot-hubs.ts'
import type { Routes } from '../routes.ts'
import type { Act } from '../stated-access.ts'
import type { ManagementAccess } from './access.ts'
import { shownAddress } from './shown-address.ts'

const tags = ['management: webhooks']
const HubParams = Type.Object({ hub: Type.String() })
const WebhookParams = Type.Object({ hub: Type.String(), id: Type.String({ maxLength: 64 }) })
const WebhookBody = Type.Object(
  {
    url: Type.String({ maxLength: 2048 }),
    events: Type.Optional(
      Type.Array(Type.Union(EVENT_CATEGORIES.map((category) => Type.Literal(category))), {
        uniqueItems: true,
        description: 'Security events alone unless given.',
      }),
    ),
  },
  { additionalProperties: false },
)
const ALL = '/holdfast/v1/hubs/:hub/webhooks'

export interface WebhookRoutesParts {
  readonly hubs: Hubs
  readonly webhooks: Webhooks
  readonly access: ManagementAccess
}

/** Where the events of a hub are posted to. The secret that signs them is told once, when the webhook is made. */
export function webhookRoutes(routes: Routes, { hubs, webhooks, access }: WebhookRoutesParts): void {
  const before: Act['before'] = async ({ hub = '', id = '' }) => {
    const found = (await webhooks.list(hubNamed(hubs, hub).name)).find((webhook) => webhook.id === id)
    return found === undefined ? null : webhookJson(found)
  }
  routes.get(
    ALL,
    { ...access.may('webhooks.read'), schema: { tags, summary: 'List', params: HubParams } },
    async (request) => {
      const inFull = access.allows(request, 'webhooks.write')
      const found = await webhooks.list(hubNamed(hubs, request.params.hub).name)
      return { value: found.map((webhook) => webhookJson(webhook, inFull)) }
    },
  )
  routes.post(
    ALL,
    {
      ...access.may('webhooks.write', { name: 'webhook.add' }),
      schema: { tags, summary: 'Add', params: HubParams, body: WebhookBody },
    },
    async ({ params, body }, reply) => {
      const { url, events = ['security'] as const } = body
      const webhook = await webhooks.add(hubNamed(hubs, params.hub).name, url, events)
      return reply.code(201).send({ ...webhookJson(webhook), secret: `whsec_${webhook.secret}` })
    },
  )
  routes.post(
    `${ALL}/:id/enable`,
    {
      ...access.may('webhooks.write', { name: 'webhook.enable', before }),
      schema: { tags, summary: 'Enable again', params: WebhookParams },
    },
    async ({ params }) => webhookJson(await webhooks.enable(hubNamed(hubs, params.hub).name, params.id)),
  )
  routes.delete(
    `${ALL}/:id`,
    {
      ...access.may('webhooks.write', { name: 'webhook.delete', before }),
      schema: { tags, summary: 'Delete', params: WebhookParams },
    },
    async ({ params }, reply) => {
      await webhooks.delete(hubNamed(hubs, params.hub).name, params.id)
      return reply.code(204).send()
    },
  )
}

/** The whole address is for those who may change it. */
function webhookJson(webhook: Webhook, inFull = true) {
  const { id, url, events, disabled, lastError, position } = webhook
  return {
    id,
    url: shownAddress(url, inFull),
    events,
    disabled,
    lastError,
    /** Sequence in the operations stream of what is delivered next. */
    position,
    createdTime: iso(webhook.createdTime),
    lastDelivered: iso(webhook.lastDelivered),
    failingSince: iso(webhook.failingSince),
  }
}

function iso(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString()
}
