import { once } from 'node:events'
import rhea from 'rhea'
import type { Connection, EventContext, Message, Receiver, Sender } from 'rhea'
import type { AmqpServer } from './amqp-server.ts'
import { createSasTokenFor } from './tokens.ts'

/** A client that does no more than it is told: for what the SDKs never do. */
export class BareClient {
  readonly connection: Connection

  constructor(port: number, options: object = {}) {
    const container = rhea.create_container()
    // What the server does to the connection is the test's affair, not the console's.
    for (const name of ['disconnected', 'connection_error', 'error', 'receiver_error', 'sender_error'])
      container.on(name, () => {})
    this.connection = container.connect({ host: '127.0.0.1', port, reconnect: false, ...options })
  }

  async close(): Promise<void> {
    this.connection.close()
    await once(this.connection, 'connection_close')
  }

  /** One exchange with `$cbs` or `$management`. */
  async request(node: string, message: Message): Promise<Message> {
    const reply = `reply-${Math.trunc(performance.now() * 1_000)}`
    const receiver = this.connection.open_receiver({ source: node, target: reply })
    const sender = this.connection.open_sender(node)
    const answered = once(receiver, 'message') as Promise<[EventContext]>
    await once(sender, 'sendable')
    sender.send({ message_id: 'm1', reply_to: reply, ...message })
    const [{ message: answer }] = await answered
    receiver.close()
    sender.close()
    await Promise.all([once(receiver, 'receiver_close'), once(sender, 'sender_close')])
    return answer ?? { body: null }
  }

  async putToken(token: string, audience: string): Promise<number> {
    const application_properties = { operation: 'put-token', type: 'servicebus.windows.net:sastoken', name: audience }
    const answer = await this.request('$cbs', { application_properties, body: token })
    return Number(answer.application_properties?.['status-code'])
  }

  async login(server: AmqpServer, expiresAt?: number): Promise<void> {
    const audience = 'sb://localhost/hub1'
    const token = createSasTokenFor(await server.policy('service'), audience, 'event-hubs', expiresAt)
    const status = await this.putToken(token, audience)
    if (status !== 202) throw new Error(`put-token: ${status}`)
  }

  /** A receiver without credit. */
  reader(address: string, options: object = {}): Receiver {
    return this.connection.open_receiver({
      source: address,
      credit_window: 0,
      autoaccept: false,
      ...options,
    })
  }
}

/** The condition and text with which the server closes a link. */
export async function closedWith(link: Receiver | Sender): Promise<{ condition: string; description: string }> {
  const kind = link.is_receiver() ? 'receiver_error' : 'sender_error'
  await once(link, kind)
  const { condition = '', description = '' } = link.error as { condition?: string; description?: string }
  return { condition, description }
}
