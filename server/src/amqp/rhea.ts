import type { EventEmitter } from 'node:events'
import type { Connection, Container, Delivery, Message, Receiver, Sender, Session, Typed } from 'rhea'
import rhea from 'rhea'

/**
 * Everything this head knows of rhea beyond its public typings. rhea is pinned to one version; the tests of this folder
 * fail when one of these members changes its meaning.
 */

export type { Message, Receiver, Sender }

/** rhea keeps performatives as lists of wrapped fields, in the order of the standard. */
interface Composite {
  readonly value: unknown[]
}

interface EngineLink {
  readonly local: {
    readonly handle: number
    readonly attach: Composite & { max_message_size: number; snd_settle_mode: number; properties: object }
    readonly detach: Composite
  }
  readonly remote: { readonly attach?: { readonly properties?: object } }
  credit: number
  delivery_count: number
}

interface EngineSession {
  readonly local: { readonly channel: number; readonly begin: { handle_max: number } }
  readonly remote: { readonly handles: Readonly<Record<number, EngineLink | undefined>> }
  readonly outgoing: {
    next_pending_delivery: number
    next_delivery_id: number
    next_transfer_id: number
    readonly remote_next_transfer_id: number | undefined
    readonly remote_window: number | undefined
    readonly deliveries: { readonly size: number }
    available(): number
  }
}

interface EngineConnection {
  accept(socket: EngineSocket): void
  _process(): void
  _register(): void
  readonly local: { readonly close: Composite }
  readonly remote: { readonly open?: { idle_time_out: number | undefined } }
  readonly remote_channel_map: Readonly<Record<number, EngineSession | undefined>>
}

/** What rhea uses of a socket. */
export interface EngineSocket {
  on(event: 'data' | 'error' | 'end', listener: (argument?: never) => void): void
  removeAllListeners(event: string): void
  write(bytes: Buffer): void
  end(): void
  destroy(): void
  get_id_string(): string
}

export interface EngineOptions {
  readonly containerId: string
  readonly maxFrameSize: number
  readonly channelMax: number
  readonly idleTimeOutMs: number
}

const { types, message } = rhea
export { message, types }

/** A server-side AMQP connection that speaks through `socket`; SASL is done before and kept out of it. */
export function serve(socket: EngineSocket, options: EngineOptions, onError: (error: unknown) => void): Connection {
  // A container of its own for each connection: rhea sends what no connection handles to the container.
  const container: Container = rhea.create_container({ id: options.containerId })
  const connection = container.create_connection({
    container_id: options.containerId,
    max_frame_size: options.maxFrameSize,
    channel_max: options.channelMax,
    idle_time_out: options.idleTimeOutMs,
    disable_sasl: true,
    reconnect: false,
    receiver_options: { credit_window: 0, autoaccept: false },
    // rhea's typings demand client options here; its server takes these.
  } as unknown as Parameters<Container['create_connection']>[0])
  const engine = connection as unknown as EngineConnection
  // oxlint-disable-next-line no-underscore-dangle -- rhea's own name
  const run = engine._process.bind(engine)
  // rhea runs this from nextTick, where an error of its would end the whole process.
  // oxlint-disable-next-line no-underscore-dangle -- rhea's own name
  engine._process = () => {
    try {
      run()
    } catch (error) {
      onError(error)
    }
  }
  for (const emitter of [container, connection] satisfies EventEmitter[]) {
    emitter.on('error', onError)
    emitter.on('protocol_error', onError)
    for (const name of ['connection_error', 'session_error', 'sender_error', 'receiver_error', 'disconnected'])
      emitter.on(name, nothingToDo)
  }
  engine.accept(socket)
  return connection
}

/** The peer's own close and end events are acted upon; the error it gives with them is its affair. */
function nothingToDo(): void {}

/** Deliveries that rhea still expects on the peer's link. */
export function creditOf(connection: Connection, channel: number, handle: number): number {
  return (connection as unknown as EngineConnection).remote_channel_map[channel]?.remote.handles[handle]?.credit ?? 0
}

/** Call when the peer's open has come: rhea's timers take at most 2³¹ ms. */
export function capHeartbeat(connection: Connection, longestMs: number): void {
  const { open } = (connection as unknown as EngineConnection).remote
  if (open?.idle_time_out !== undefined && open.idle_time_out > longestMs) open.idle_time_out = longestMs
}

export function announceHandleMax(session: Session, handleMax: number): void {
  ;(session as unknown as EngineSession).local.begin.handle_max = handleMax
}

/** Completes our attach before rhea sends it: limits, and the peer's properties as the services echo them. */
export function completeAttach(link: Sender | Receiver, options: { maxMessageSize: number; settled?: boolean }): void {
  const engine = link as unknown as EngineLink
  engine.local.attach.max_message_size = options.maxMessageSize
  if (options.settled === true) engine.local.attach.snd_settle_mode = 1
  if (link.properties !== undefined && link.properties !== null) engine.local.attach.properties = link.properties
}

export function creditLeft(sender: Sender): number {
  return (sender as unknown as EngineLink).credit
}

/** Whether rhea has written everything that it was given on this session: the peer's window is open. */
export function hasSentAll(session: Session): boolean {
  const { outgoing } = session as unknown as EngineSession
  return outgoing.next_pending_delivery === outgoing.next_delivery_id
}

/** Deliveries that rhea can still hold for this session. */
export function roomFor(session: Session): number {
  return (session as unknown as EngineSession).outgoing.available()
}

/** Where the frames of a link are written to, in our own numbers. */
export function addressOf(sender: Sender): { readonly channel: number; readonly handle: number } {
  const { channel } = (sender.session as unknown as EngineSession).local
  return { channel, handle: (sender as unknown as EngineLink).local.handle }
}

/**
 * How many settled transfers may be written around the engine now: within the link's credit and the session's window,
 * and none while the engine itself has deliveries of this session in hand, whose ids must follow one another.
 */
export function directTransfers(sender: Sender): number {
  const { outgoing } = sender.session as unknown as EngineSession
  const { deliveries, next_transfer_id: next, remote_next_transfer_id: expected, remote_window: window } = outgoing
  if (deliveries.size > 0 || expected === undefined || window === undefined) return 0
  // Ids are serial numbers (AMQP 1.0 §2.8.10) that wrap; rhea's own arithmetic does not.
  return Math.max(0, Math.min(creditLeft(sender), window - ((next - expected) >>> 0)))
}

/** Tells the engine that a settled delivery was written in one transfer, and returns the id it has to carry. */
export function countTransfer(sender: Sender): number {
  const engine = sender as unknown as EngineLink
  const { outgoing } = sender.session as unknown as EngineSession
  const id = outgoing.next_delivery_id
  outgoing.next_delivery_id = (id + 1) >>> 0
  outgoing.next_pending_delivery = outgoing.next_delivery_id
  outgoing.next_transfer_id = (outgoing.next_transfer_id + 1) >>> 0
  engine.credit -= 1
  engine.delivery_count = (engine.delivery_count + 1) >>> 0
  return id
}

export function nextDeliveryId(sender: Sender): number {
  return (sender.session as unknown as EngineSession).outgoing.next_delivery_id
}

/** Gives unused credit back (AMQP 1.0 §2.6.7), in one step where rhea would count down from up to four billion. */
export function giveCreditBack(sender: Sender): void {
  const engine = sender as unknown as EngineLink
  if (engine.credit <= 0) return
  engine.delivery_count = (engine.delivery_count + engine.credit - 1) >>> 0
  engine.credit = 1
  sender.set_drained(true)
  // oxlint-disable-next-line no-underscore-dangle -- rhea's own name; it would wait for another reason to write
  ;(sender.connection as unknown as EngineConnection)._register()
}

/** An AMQP error; the keys of `info` are symbols as the standard says (§2.8.14). */
export interface AmqpFailure {
  readonly condition: string
  readonly description: string
  readonly info?: Readonly<Record<string, string | number>>
}

export function closeConnection(connection: Connection, failure: AmqpFailure): void {
  ;(connection as unknown as EngineConnection).local.close.value[0] = errorValue(failure)
  connection.close()
}

export function detach(link: Sender | Receiver, failure: AmqpFailure): void {
  ;(link as unknown as EngineLink).local.detach.value[2] = errorValue(failure)
  link.close()
}

export function reject(delivery: Delivery, failure: AmqpFailure): void {
  delivery.update(true, types.wrap_described([errorValue(failure)], REJECTED))
}

const ERROR = 0x1d
const REJECTED = 0x25

function errorValue({ condition, description, info }: AmqpFailure): Typed {
  const fields = [types.wrap_symbol(condition), types.wrap_string(description)]
  if (info !== undefined) fields.push(types.wrap_symbolic_map(info))
  return types.wrap_described(fields, ERROR)
}
