import { createHmac, createSecretKey, randomUUID } from 'node:crypto'
import { isIP } from 'node:net'
import rhea from 'rhea'
import type { Connection, EventContext, Message, Receiver, Sender } from 'rhea'
import { CommandError } from '../command-error.ts'
import type { EventHubAddress } from './connection-string.ts'

/** One event as the Event Hubs-compatible endpoint delivers it. */
export interface ReceivedEvent {
  readonly partition: string
  readonly sequence: number
  readonly enqueuedTime: number
  readonly deviceId: string
  readonly system: Readonly<Record<string, unknown>>
  readonly application: Readonly<Record<string, unknown>>
  readonly body: Buffer
}

export type ReadFrom = { kind: 'earliest' } | { kind: 'latest' } | { kind: 'time'; after: number }

export interface ReadOptions {
  readonly address: EventHubAddress
  /** PEM of the roots to trust. */
  readonly ca: string | undefined
  readonly group: string
  readonly from: ReadFrom
  /** Called for each event in the order of its partition. */
  readonly onEvent: (event: ReceivedEvent) => void
}

/** Unread events per partition that the server may send ahead. */
const CREDIT = 500
/** The filter that the Event Hubs clients attach with, and its descriptor. */
const SELECTOR = 'apache.org:selector-filter:string'
const SELECTOR_CODE = 0x468c00000004
const OPEN_TIMEOUT_MS = 20_000
const TOKEN_LIFETIME_S = 3600
const TOKEN_RENEWAL_MS = 45 * 60 * 1000

/** A running read of all partitions of one hub. `ended` settles when the connection is lost or refused. */
export class EventReading {
  readonly ended: Promise<void>
  readonly #connection: Connection
  readonly #renewal: NodeJS.Timeout
  #closing = false

  private constructor(connection: Connection, cbs: TokenLinks, audiences: readonly string[], options: ReadOptions) {
    this.#connection = connection
    this.#renewal = setInterval(() => {
      for (const audience of audiences) cbs.put(audience, options.address).catch(() => connection.close())
    }, TOKEN_RENEWAL_MS)
    this.#renewal.unref()
    this.ended = new Promise((resolve, reject) => {
      const lost = (what: string) => (context: EventContext) => {
        clearInterval(this.#renewal)
        if (this.#closing) resolve()
        else reject(new CommandError(`${what}: ${describe(context)}`))
      }
      connection.on('disconnected', lost('the connection to the events endpoint was lost'))
      connection.on('connection_close', lost('the events endpoint closed the connection'))
      connection.on('receiver_error', lost('the events endpoint ended the reading'))
    })
  }

  /** Resolves when every partition is attached: events sent from then on are seen even when reading from the latest. */
  static async open(options: ReadOptions): Promise<EventReading> {
    const connection = await connect(options)
    const namespace = `sb://${options.address.host}:${options.address.port}/${options.address.entity}`
    const cbs = await TokenLinks.open(connection)
    await cbs.put(namespace, options.address)
    const partitions = await listPartitions(connection, options.address.entity)
    const reading = new EventReading(connection, cbs, [namespace], options)
    await Promise.all(partitions.map((partition) => attach(connection, partition, options)))
    return reading
  }

  async close(): Promise<void> {
    this.#closing = true
    clearInterval(this.#renewal)
    this.#connection.close()
    await this.ended
  }
}

function connect({ address, ca }: ReadOptions): Promise<Connection> {
  return new Promise((resolve, reject) => {
    const connection = rhea.create_container().connect({
      transport: 'tls',
      host: address.host,
      hostname: address.host,
      // RFC 6066 §3: an address is no server name. Node then checks the certificate against `host`.
      servername: isIP(address.host) === 0 ? address.host : '',
      port: address.port,
      username: address.keyName,
      idle_time_out: 60_000,
      reconnect: false,
      ...(ca === undefined ? {} : { ca }),
    })
    const fail = (context: EventContext) =>
      reject(
        new CommandError(
          `the events endpoint at ${address.host}:${address.port} cannot be reached: ${describe(context)}`,
        ),
      )
    connection.once('connection_open', () => {
      connection.removeListener('disconnected', fail)
      connection.removeListener('connection_error', fail)
      resolve(connection)
    })
    connection.once('disconnected', fail)
    connection.once('connection_error', fail)
    connection.on('error', () => {})
  })
}

/** Claims-based security: puts a token for an audience before links are attached. */
class TokenLinks {
  readonly #sender: Sender
  readonly #waiting = new Map<string, (status: number, text: string) => void>()

  private constructor(sender: Sender, receiver: Receiver) {
    this.#sender = sender
    receiver.on('message', ({ message }: EventContext) => {
      const properties = (message?.application_properties ?? {}) as Record<string, unknown>
      const id = String(message?.correlation_id)
      this.#waiting.get(id)?.(Number(properties['status-code']), textOf(properties['status-description']))
      this.#waiting.delete(id)
    })
  }

  static async open(connection: Connection): Promise<TokenLinks> {
    const receiver = connection.open_receiver({ source: '$cbs', name: `cbs-${randomUUID()}` })
    const sender = connection.open_sender({ target: '$cbs' })
    await Promise.all([opened(receiver, 'receiver_open'), opened(sender, 'sendable')])
    return new TokenLinks(sender, receiver)
  }

  put(audience: string, address: EventHubAddress): Promise<void> {
    const id = randomUUID()
    return within(
      new Promise((resolve, reject) => {
        this.#waiting.set(id, (status, text) => {
          if (status >= 200 && status < 300) resolve()
          else reject(new CommandError(`the events endpoint refused the key '${address.keyName}': ${text || status}`))
        })
        this.#sender.send({
          to: '$cbs',
          reply_to: 'cbs',
          message_id: id,
          application_properties: { operation: 'put-token', type: 'servicebus.windows.net:sastoken', name: audience },
          body: eventHubToken(audience, address, Math.floor(Date.now() / 1000) + TOKEN_LIFETIME_S),
        })
      }),
      'the events endpoint did not answer the token',
    )
  }
}

/** The Event Hubs rule: the HMAC key is the text of the key itself, not what it decodes to. */
function eventHubToken(audience: string, address: EventHubAddress, expiry: number): string {
  const resource = encodeURIComponent(audience)
  const key = createSecretKey(Buffer.from(address.key, 'utf8'))
  const signature = createHmac('sha256', key).update(`${resource}\n${expiry}`).digest('base64')
  return `SharedAccessSignature sr=${resource}&sig=${encodeURIComponent(signature)}&se=${expiry}&skn=${encodeURIComponent(address.keyName)}`
}

async function listPartitions(connection: Connection, entity: string): Promise<readonly string[]> {
  const replyTo = randomUUID()
  const receiver = connection.open_receiver({ source: '$management', target: replyTo })
  const sender = connection.open_sender({ target: '$management' })
  await Promise.all([opened(receiver, 'receiver_open'), opened(sender, 'sendable')])
  const answer = await within(
    new Promise<Message>((resolve) => {
      receiver.once('message', ({ message }: EventContext) => message && resolve(message))
      sender.send({
        message_id: randomUUID(),
        reply_to: replyTo,
        application_properties: { operation: 'READ', name: entity, type: 'com.microsoft:eventhub' },
        body: Buffer.alloc(0),
      })
    }),
    'the events endpoint did not list its partitions',
  )
  receiver.close()
  sender.close()
  const partitions = (answer.body as { partition_ids?: string[] } | undefined)?.partition_ids
  if (!Array.isArray(partitions)) {
    const reason = (answer.application_properties as Record<string, unknown> | undefined)?.['status-description']
    throw new CommandError(`the events endpoint does not know '${entity}': ${textOf(reason) || 'no reason given'}`)
  }
  return partitions
}

async function attach(connection: Connection, partition: string, options: ReadOptions): Promise<void> {
  const address = `${options.address.entity}/ConsumerGroups/${options.group}/Partitions/${partition}`
  const receiver = connection.open_receiver({
    source: { address, filter: { [SELECTOR]: rhea.types.wrap_described(selector(options.from), SELECTOR_CODE) } },
    credit_window: 0,
    autoaccept: true,
  })
  receiver.on('message', ({ message }: EventContext) => {
    if (message) options.onEvent(decode(partition, message))
    receiver.add_credit(1)
  })
  await opened(receiver, 'receiver_open')
  receiver.add_credit(CREDIT)
}

function selector(from: ReadFrom): string {
  switch (from.kind) {
    case 'earliest':
      return "amqp.annotation.x-opt-offset > '-1'"
    case 'latest':
      return "amqp.annotation.x-opt-offset > '@latest'"
    case 'time':
      return `amqp.annotation.x-opt-enqueued-time > '${from.after}'`
  }
}

function decode(partition: string, message: Message): ReceivedEvent {
  const annotations = (message.message_annotations ?? {}) as Record<string, unknown>
  const body = (message.body as { content?: Buffer } | undefined)?.content
  return {
    partition,
    sequence: Number(annotations['x-opt-sequence-number']),
    enqueuedTime: Number(annotations['x-opt-enqueued-time']),
    deviceId: textOf(annotations['iothub-connection-device-id'] ?? deviceOf(message)),
    system: {
      ...annotations,
      ...(message.content_type ? { 'content-type': message.content_type } : {}),
      ...(message.message_id === undefined ? {} : { 'message-id': message.message_id }),
    },
    application: message.application_properties ?? {},
    body: Buffer.isBuffer(body) ? body : Buffer.alloc(0),
  }
}

/** Events that are no telemetry name their device among the application properties. */
function deviceOf({ application_properties: application }: Message): unknown {
  return (application as Record<string, unknown> | undefined)?.['deviceId']
}

/** What the wire holds where text is expected may be anything. */
function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

function opened(link: Sender | Receiver, event: 'receiver_open' | 'sendable'): Promise<void> {
  return within(
    new Promise((resolve, reject) => {
      link.once(event, () => resolve())
      const refused = (context: EventContext) =>
        reject(new CommandError(`the events endpoint refused: ${describe(context)}`))
      link.once(link.is_sender() ? 'sender_error' : 'receiver_error', refused)
    }),
    'the events endpoint did not answer',
  )
}

async function within<T>(promise: Promise<T>, complaint: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new CommandError(`${complaint} within ${OPEN_TIMEOUT_MS / 1000} s`)),
      OPEN_TIMEOUT_MS,
    )
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

function describe(context: EventContext): string {
  const error = context.receiver?.error ?? context.sender?.error ?? context.connection?.error ?? context.error
  if (!error) return 'no reason given'
  const detail = error as { condition?: string; description?: string; message?: string }
  return detail.description ?? detail.message ?? detail.condition ?? 'no reason given'
}
