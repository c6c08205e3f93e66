import { HubError } from '../errors.ts'
import type { HubName } from '../model/ids.ts'
import { printable } from '../model/ids.ts'
import type { EventSource } from './event-receiver.ts'
import type { Sender } from './rhea.ts'
import { parseStartPosition } from './start-position.ts'

const SELECTOR_FILTER = 'apache.org:selector-filter:string'
const EPOCH = 'com.microsoft:epoch'
const RECEIVER_NAME = 'com.microsoft:receiver-name'
const RUNTIME_METRIC = 'com.microsoft:enable-receiver-runtime-metric'

/** snd-settle-mode (AMQP 1.0 §2.8.2). */
const UNSETTLED = 0

/** What the attach of an Event Hubs receiver asks for. Throws HubError `argument-invalid`. */
export function sourceOf(sender: Sender, hub: HubName, address: { group: string; partition: string }): EventSource {
  const properties = (sender.properties ?? {}) as Readonly<Record<string, unknown>>
  const name = properties[RECEIVER_NAME]
  return {
    hub,
    group: address.group,
    partition: address.partition,
    start: parseStartPosition(selectorOf(sender.source?.filter)),
    epoch: epochOf(properties[EPOCH]),
    name: typeof name === 'string' && name !== '' ? printable(name, 128) : printable(sender.name, 128),
    settled: sender.snd_settle_mode !== UNSETTLED,
    tracksEnd: [sender.desired_capabilities].flat().includes(RUNTIME_METRIC),
  }
}

/** The filter's value is a string, described by the code or the name of the selector filter. */
function selectorOf(filters: Readonly<Record<string, unknown>> | null | undefined): string | null {
  const names = Object.keys(filters ?? {})
  const unknown = names.find((name) => name !== SELECTOR_FILTER)
  if (unknown !== undefined)
    throw new HubError('argument-invalid', `The filter '${printable(unknown)}' is not known: use ${SELECTOR_FILTER}`)
  const filter = filters?.[SELECTOR_FILTER]
  if (filter === undefined || filter === null) return null
  const text = typeof filter === 'object' ? (filter as { value?: unknown }).value : filter
  if (typeof text !== 'string') throw new HubError('argument-invalid', `The filter ${SELECTOR_FILTER} must be a string`)
  return text
}

function epochOf(value: unknown): number | null {
  if (value === undefined || value === null) return null
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0)
    throw new HubError('argument-invalid', `${EPOCH} must be a number of 0 or more`)
  return value
}
