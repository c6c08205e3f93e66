import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Agent, request } from 'node:https'
import type { Duplex } from 'node:stream'
import { connect as tlsConnect } from 'node:tls'
import rhea from 'rhea'
import type { EventContext } from 'rhea'
import { createWebSocketStream, WebSocket } from 'ws'
import { connect, publish, subscribe } from '../mqtt/packet-bytes.ts'
import { RawClient } from '../mqtt/raw-client.ts'
import { HUB_HOST, PROVISIONING_HOST } from './whole-server.ts'
import type { WholeServer } from './whole-server.ts'

/** Who somebody says to be, and what is shown for it. */
export interface Claim {
  readonly id: string
  /** PEM; null: no certificate at all. */
  readonly shown: { readonly cert: string; readonly key: string } | null
  readonly token?: string
  readonly host?: string
  /** The id scope, instead of the server's. */
  readonly scope?: string
  /** What a registration says, instead of the id alone. */
  readonly body?: string
}

export interface Answer {
  readonly isIn: boolean
  /** Everything that the other side could read. */
  readonly told: string
}

export type Door = (server: WholeServer, claim: Claim) => Promise<Answer>

const REGISTER = 'registrations/PUT/iotdps-register'

const overTls: Transport = ({ ports, operator }, { shown }) =>
  tlsConnect({ host: '127.0.0.1', port: ports.mqtt, servername: HUB_HOST, ca: operator.ca, ...shown })

const overWebSocket: Transport = (server, { shown }) => {
  const socket = new WebSocket(webSocketAddress(server), ['mqtt'], { ca: server.operator.ca, ...shown })
  const stream = createWebSocketStream(socket)
  // By itself the stream does not close when it is the server that goes.
  socket.once('close', () => stream.destroy())
  return stream
}

/** Every way into the server, with clients that hide nothing of what they are told. */
export const DOORS = {
  hub: (server, claim) => {
    const { id, host = HUB_HOST } = claim
    return mqttConnect(overTls(server, claim), claim, `${host}/${id}/?api-version=2021-04-12`)
  },
  'provisioning over MQTT': (server, claim) => mqttConnect(overTls(server, claim), claim, userName(server, claim)),
  'provisioning over MQTT and WebSocket': (server, claim) =>
    mqttConnect(overWebSocket(server, claim), claim, userName(server, claim)),
  'provisioning over HTTPS': httpRegister,
  'provisioning over AMQP': (server, claim) => amqpRegister(server, claim, amqpOverTls(server, claim)),
  'provisioning over AMQP and WebSocket': (server, claim) =>
    amqpRegister(server, claim, amqpOverWebSocket(server, claim)),
} as const satisfies Record<string, Door>

type Transport = (server: WholeServer, claim: Claim) => Duplex

function webSocketAddress({ ports }: WholeServer): string {
  return `wss://${PROVISIONING_HOST}:${ports.https}/$iothub/websocket`
}

function userName({ idScope }: WholeServer, { id, scope = idScope }: Claim): string {
  return `${scope}/registrations/${id}/api-version=2019-03-31`
}

function bodyOf({ id, body = JSON.stringify({ registrationId: id }) }: Claim): string {
  return body
}

async function mqttConnect(stream: Duplex, claim: Claim, user: string): Promise<Answer> {
  const { id, token } = claim
  const failed = once(stream, 'error') as Promise<[Error]>
  const heard: Buffer[] = []
  stream.on('data', (chunk: Buffer) => heard.push(chunk))
  const client = new RawClient(stream)
  const password = token === undefined ? {} : { password: token }
  client.send(connect({ clientId: id, userName: user, ...password }))
  const outcome = await Promise.race([failed.then(([error]) => error), client.next().catch((error: Error) => error)])
  if (outcome instanceof Error) return { isIn: false, told: outcome.message }
  assert.ok(outcome.cmd === 'connack')
  if (outcome.returnCode === 0 && user.includes('/registrations/')) return mqttRegister(client, claim)
  if (outcome.returnCode !== 0) await client.closed
  stream.destroy()
  return { isIn: outcome.returnCode === 0, told: Buffer.concat(heard).toString('latin1') }
}

async function mqttRegister(client: RawClient<Duplex>, claim: Claim): Promise<Answer> {
  client.send(subscribe(1, ['$dps/registrations/res/#', 1]))
  assert.equal((await client.next()).cmd, 'suback')
  client.send(publish(`$dps/${REGISTER}/?$rid=1`, bodyOf(claim)))
  const answer = await client.next()
  assert.ok(answer.cmd === 'publish')
  client.socket.destroy()
  const told = `${answer.topic} ${answer.payload.toString()}`
  return { isIn: /^\$dps\/registrations\/res\/20[02]\//.test(answer.topic), told }
}

function httpRegister({ ports, operator, idScope }: WholeServer, claim: Claim): Promise<Answer> {
  const { id, shown, token, scope = idScope } = claim
  const { promise, resolve } = Promise.withResolvers<Answer>()
  const agent = new Agent({ ca: operator.ca, ...shown })
  const outgoing = request({
    agent,
    method: 'PUT',
    host: PROVISIONING_HOST,
    port: ports.https,
    path: `/${scope}/registrations/${id}/register?api-version=2019-03-31`,
    headers: { 'content-type': 'application/json', ...(token === undefined ? {} : { authorization: token }) },
  })
  outgoing.on('error', ({ message }) => resolve({ isIn: false, told: message }))
  outgoing.on('response', (answer) => {
    let text = JSON.stringify(answer.headers)
    answer.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
    answer.on('end', () => resolve({ isIn: answer.statusCode === 200 || answer.statusCode === 202, told: text }))
  })
  outgoing.end(bodyOf(claim))
  return promise.finally(() => agent.destroy())
}

function amqpOverTls({ ports, operator }: WholeServer, { shown }: Claim): object {
  const { amqp: port } = ports
  return { host: '127.0.0.1', port, transport: 'tls', servername: PROVISIONING_HOST, ca: operator.ca, ...shown }
}

function amqpOverWebSocket(server: WholeServer, { shown }: Claim): object {
  const dial = rhea.websocket_connect(WebSocket as never)
  const options = { ca: server.operator.ca, ...shown }
  return { connection_details: dial(webSocketAddress(server), ['AMQPWSB10'], options as never) }
}

/** As the SDK does it: the certificate speaks in TLS, and again when the first request is judged. */
async function amqpRegister({ idScope }: WholeServer, claim: Claim, how: object): Promise<Answer> {
  const container = rhea.create_container()
  const { promise, resolve } = Promise.withResolvers<Answer>()
  const refused = (problem: unknown) => {
    const { message, condition, description } = (problem ?? {}) as Partial<Record<string, string>>
    resolve({ isIn: false, told: [message ?? 'closed', condition, description].join(' ') })
  }
  for (const party of ['connection', 'sender', 'receiver'] as const)
    container.on(`${party}_error`, (context) => refused(context[party]?.error))
  container.on('disconnected', ({ error }: EventContext) => refused(error))
  container.on('error', refused)
  const connection = container.connect({ reconnect: false, ...how } as never)
  const address = `amqps://${PROVISIONING_HOST}/${claim.scope ?? idScope}/registrations/${claim.id}`
  connection.open_receiver(address).on('message', ({ message }: EventContext) => {
    resolve({ isIn: true, told: JSON.stringify(message?.body) })
  })
  const sender = connection.open_sender(address)
  sender.on('rejected', ({ delivery }: EventContext) => refused(Reflect.get(delivery?.remote_state ?? {}, 'error')))
  sender.once('sendable', () => {
    const application_properties = { 'iotdps-operation-type': 'iotdps-register' }
    sender.send({ application_properties, body: rhea.message.data_section(Buffer.from(bodyOf(claim))) })
  })
  return promise.finally(() => connection.close())
}
