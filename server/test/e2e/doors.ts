import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Agent, request } from 'node:https'
import { connect as tlsConnect } from 'node:tls'
import provisioningSdk from 'azure-iot-provisioning-device'
import provisioningAmqp from 'azure-iot-provisioning-device-amqp'
import x509Security from 'azure-iot-security-x509'
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
}

export interface Answer {
  readonly isIn: boolean
  /** Everything that the other side could read. */
  readonly told: string
}

export type Door = (server: WholeServer, claim: Claim) => Promise<Answer>

const REGISTER = 'registrations/PUT/iotdps-register'

/** Every way into the server, with clients that hide nothing of what they are told. */
export const DOORS = {
  hub: ({ ports, operator }, { id, shown, token, host = HUB_HOST }) =>
    mqttConnect(ports.mqtt, operator.ca, { id, shown, token, userName: `${host}/${id}/?api-version=2021-04-12` }),
  'provisioning over MQTT': ({ ports, operator, idScope }, { id, shown, token }) =>
    mqttConnect(ports.mqtt, operator.ca, {
      id,
      shown,
      token,
      userName: `${idScope}/registrations/${id}/api-version=2019-03-31`,
    }),
  'provisioning over HTTPS': httpRegister,
  'provisioning over AMQP': amqpRegister,
} as const satisfies Record<string, Door>

interface Hello extends Claim {
  readonly userName: string
}

async function mqttConnect(
  port: number,
  ca: string,
  { id, shown, token, userName }: Omit<Hello, 'token'> & { token: string | undefined },
): Promise<Answer> {
  const socket = tlsConnect({ host: '127.0.0.1', port, servername: HUB_HOST, ca, ...shown })
  const failed = once(socket, 'error') as Promise<[Error]>
  const heard: Buffer[] = []
  socket.on('data', (chunk: Buffer) => heard.push(chunk))
  const client = new RawClient(socket)
  const password = token === undefined ? {} : { password: token }
  client.send(connect({ clientId: id, userName, ...password }))
  const outcome = await Promise.race([failed.then(([error]) => error), client.next().catch((error: Error) => error)])
  if (outcome instanceof Error) return { isIn: false, told: outcome.message }
  assert.ok(outcome.cmd === 'connack')
  if (outcome.returnCode === 0 && userName.includes('/registrations/')) return mqttRegister(client, id)
  if (outcome.returnCode !== 0) await client.closed
  socket.destroy()
  return { isIn: outcome.returnCode === 0, told: Buffer.concat(heard).toString('latin1') }
}

async function mqttRegister(client: RawClient, id: string): Promise<Answer> {
  client.send(subscribe(1, ['$dps/registrations/res/#', 1]))
  assert.equal((await client.next()).cmd, 'suback')
  client.send(publish(`$dps/${REGISTER}/?$rid=1`, JSON.stringify({ registrationId: id })))
  const answer = await client.next()
  assert.ok(answer.cmd === 'publish')
  client.socket.destroy()
  const told = `${answer.topic} ${answer.payload.toString()}`
  return { isIn: /^\$dps\/registrations\/res\/20[02]\//.test(answer.topic), told }
}

function httpRegister({ ports, operator, idScope }: WholeServer, { id, shown, token }: Claim): Promise<Answer> {
  const { promise, resolve } = Promise.withResolvers<Answer>()
  const agent = new Agent({ ca: operator.ca, ...shown })
  const outgoing = request({
    agent,
    method: 'PUT',
    host: PROVISIONING_HOST,
    port: ports.https,
    path: `/${idScope}/registrations/${id}/register?api-version=2019-03-31`,
    headers: { 'content-type': 'application/json', ...(token === undefined ? {} : { authorization: token }) },
  })
  outgoing.on('error', ({ message }) => resolve({ isIn: false, told: message }))
  outgoing.on('response', (answer) => {
    let text = JSON.stringify(answer.headers)
    answer.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
    answer.on('end', () => resolve({ isIn: answer.statusCode === 200 || answer.statusCode === 202, told: text }))
  })
  outgoing.end(JSON.stringify({ registrationId: id }))
  return promise.finally(() => agent.destroy())
}

async function amqpRegister({ ports, idScope }: WholeServer, { id, shown }: Claim): Promise<Answer> {
  // Without a certificate the SDK still asks for one: an empty one is what is left.
  const security = new x509Security.X509Security(id, shown ?? { cert: '', key: '' })
  const host = `${PROVISIONING_HOST}:${ports.amqp}`
  const client = provisioningSdk.ProvisioningDeviceClient.create(host, idScope, new provisioningAmqp.Amqp(), security)
  try {
    return { isIn: true, told: JSON.stringify(await client.register()) }
  } catch (error) {
    const { message = '', description = '' } = error as { message?: string; description?: string }
    return { isIn: false, told: `${message} ${description}` }
  }
}
