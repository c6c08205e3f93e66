import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Agent, request } from 'node:https'
import { connectAsync } from 'mqtt'
import type { MqttClient } from 'mqtt'
import { HUB_HOST, PROVISIONING_HOST } from '../e2e/whole-server.ts'
import type { WholeServer } from '../e2e/whole-server.ts'
import type { TestIdentity } from '../http/certificates.ts'

/** A device that stays connected, sends, and counts what was acknowledged and how often it was cut off. */
export class FleetDevice {
  readonly id: string
  /** Bodies that the hub has acknowledged. */
  readonly acknowledged: string[] = []
  /** How often the connection ended without the device having asked for it. */
  cuts = 0
  readonly #server: WholeServer
  #client: MqttClient | null = null

  constructor(server: WholeServer, id: string) {
    this.#server = server
    this.id = id
  }

  async connect({ cert, key }: TestIdentity): Promise<void> {
    const { ports, operator } = this.#server
    const client = await connectAsync({
      protocol: 'mqtts',
      host: HUB_HOST,
      servername: HUB_HOST,
      port: ports.mqtt,
      ca: operator.ca,
      cert,
      key,
      clientId: this.id,
      username: `${HUB_HOST}/${this.id}/?api-version=2021-04-12`,
      protocolVersion: 4,
      reconnectPeriod: 0,
    })
    client.on('error', () => {})
    client.on('close', () => {
      if (this.#client === client) this.cuts++
    })
    this.#client = client
  }

  /** Sends one message; resolves when it is acknowledged. */
  async send(): Promise<void> {
    assert.ok(this.#client)
    const body = `${this.id} ${this.acknowledged.length}`
    await this.#client.publishAsync(`devices/${this.id}/messages/events/`, body, { qos: 1 })
    this.acknowledged.push(body)
  }

  /** Registers at the provisioning service beside the connection that there is. Resolves with its answer. */
  async register({ cert, key }: TestIdentity): Promise<{ status: string; deviceId?: string }> {
    const { ports, operator, idScope } = this.#server
    const agent = new Agent({ ca: operator.ca, cert, key })
    const outgoing = request({
      agent,
      method: 'PUT',
      host: PROVISIONING_HOST,
      port: ports.https,
      path: `/${idScope}/registrations/${this.id}/register?api-version=2019-03-31`,
      headers: { 'content-type': 'application/json' },
    })
    outgoing.end(JSON.stringify({ registrationId: this.id }))
    const [answer] = (await once(outgoing, 'response')) as [AsyncIterable<Buffer> & { statusCode: number }]
    let text = ''
    for await (const chunk of answer) text += chunk.toString('utf8')
    agent.destroy()
    assert.ok(answer.statusCode < 300, text)
    const state = JSON.parse(text) as { status: string; registrationState?: { deviceId?: string } }
    return { status: state.status, ...state.registrationState }
  }

  /** Ends the connection by its own will. */
  async leave(): Promise<void> {
    const client = this.#client
    this.#client = null
    if (client?.connected) await client.endAsync()
    else client?.end(true)
  }
}
