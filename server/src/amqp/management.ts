import { HubError } from '../errors.ts'
import type { Consumers } from '../hub/telemetry/consumers.ts'
import type { HubName } from '../model/ids.ts'
import type { Clock } from '../ports/clock.ts'
import type { Claims } from './claims.ts'
import { NEVER_ENQUEUED } from './event-message.ts'
import type { Reply } from './request-node.ts'
import { types } from './rhea.ts'
import type { Message } from './rhea.ts'

const EVENT_HUB = 'com.microsoft:eventhub'
const PARTITION = 'com.microsoft:partition'
/** Constructor of the strings in the array of partition ids. */
const STR8 = 0xa1

/** The `$management` node: tells readers of the partitions of a hub and where each begins and ends. */
export class ManagementNode {
  readonly #parts: { readonly consumers: Consumers; readonly clock: Clock }
  readonly #claims: Claims

  constructor(parts: { consumers: Consumers; clock: Clock }, claims: Claims) {
    this.#parts = parts
    this.#claims = claims
  }

  /** Rejects with HubError when there is no token for the entity, or no such thing. */
  async answer(request: Message): Promise<Reply> {
    return { status: 200, description: 'OK', body: await this.#read(request) }
  }

  #read(request: Message): Promise<Readonly<Record<string, unknown>>> | Readonly<Record<string, unknown>> {
    const { operation, type, name, partition } = (request.application_properties ?? {}) as Record<string, unknown>
    if (operation !== 'READ' || typeof name !== 'string')
      throw new HubError('argument-invalid', 'The operation of $management is READ with the name of the entity')
    const hub = this.#claims.hubFor([name, '$management'], this.#parts.clock.now())
    if (hub === null) throw new HubError('unauthorized', `Put a token for 'sb://…/${name}/$management' first`)
    if (type === EVENT_HUB) return this.#hub(hub, name)
    if (type === PARTITION && typeof partition === 'string') return this.#partition(hub, name, partition)
    throw new HubError('argument-invalid', `The type must be ${EVENT_HUB}, or ${PARTITION} with a partition`)
  }

  async #hub(hub: HubName, name: string): Promise<Readonly<Record<string, unknown>>> {
    const { consumers } = this.#parts
    const ids = consumers.partitionIds(hub)
    const { createdAt } = await consumers.hubInfo(hub)
    return {
      name,
      type: EVENT_HUB,
      created_at: types.wrap_timestamp(createdAt),
      partition_count: types.wrap_int(ids.length),
      partition_ids: types.wrap_array([...ids], STR8, undefined),
    }
  }

  async #partition(hub: HubName, name: string, partition: string): Promise<Readonly<Record<string, unknown>>> {
    const { begin, next, lastEnqueuedTime } = await this.#parts.consumers.partitionInfo(hub, partition)
    return {
      name,
      type: PARTITION,
      partition,
      begin_sequence_number: types.wrap_long(begin),
      last_enqueued_sequence_number: types.wrap_long(next - 1),
      last_enqueued_offset: String(next - 1),
      last_enqueued_time_utc: types.wrap_timestamp(lastEnqueuedTime ?? NEVER_ENQUEUED),
      is_partition_empty: begin === next,
    }
  }
}
