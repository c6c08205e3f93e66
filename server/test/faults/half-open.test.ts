import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as netConnect, createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import { connect as tlsConnect } from 'node:tls'
import { after, before, describe, test } from 'node:test'
import { HUB, HUB_HOST, startWholeServer } from '../e2e/whole-server.ts'
import type { WholeServer } from '../e2e/whole-server.ts'
import { makeDevice, makeRoot } from '../http/certificates.ts'
import type { TestAuthority, TestIdentity } from '../http/certificates.ts'
import { connect, packet, publish } from '../mqtt/packet-bytes.ts'
import { RawClient } from '../mqtt/raw-client.ts'

/** A cable between device and server that can be cut: the server learns nothing of it. */
class Cable {
  readonly #server: Server
  #far: Socket | null = null
  /** Resolves when the server gives the connection up. */
  readonly givenUp = Promise.withResolvers<void>()

  constructor(port: number) {
    this.#server = createServer((near) => {
      const far = netConnect(port, '127.0.0.1')
      this.#far = far
      near.on('error', () => {})
      far.on('error', () => {})
      far.once('close', () => this.givenUp.resolve())
      near.pipe(far)
      far.pipe(near)
    })
  }

  async open(): Promise<number> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    return (this.#server.address() as AddressInfo).port
  }

  cut(device: RawClient): void {
    const far = this.#far
    if (far === null) throw new Error('nothing was connected')
    far.unpipe()
    far.resume()
    device.socket.removeAllListeners('close')
    device.socket.pause()
  }

  close(): void {
    this.#far?.destroy()
    this.#server.close()
  }
}

describe('a connection of which only one half is left', () => {
  let server: WholeServer
  let root: TestAuthority
  before(async () => {
    server = await startWholeServer()
    root = await makeRoot('Plant root')
    await server.operator.registerAuthority(HUB, 'root', root)
  })
  after(() => server.close())

  async function dial(port: number, id: string, identity: TestIdentity, keepAlive: number): Promise<RawClient> {
    const { cert, key } = identity
    const socket = tlsConnect({ host: '127.0.0.1', port, servername: HUB_HOST, ca: server.operator.ca, cert, key })
    await once(socket, 'secureConnect')
    const client = new RawClient(socket)
    const userName = `${HUB_HOST}/${id}/?api-version=2021-04-12`
    client.send(connect({ clientId: id, userName, keepAlive }))
    const answer = await client.next()
    assert.ok(answer.cmd === 'connack' && answer.returnCode === 0)
    return client
  }

  test('ends by its keep-alive', { timeout: 30_000 }, async (t) => {
    await server.operator.createDevice(HUB, 'silent')
    const cable = new Cable(server.ports.mqtt)
    const client = await dial(await cable.open(), 'silent', await makeDevice(root, 'silent'), 2)
    t.after(() => {
      client.socket.destroy()
      cable.close()
    })
    client.send(packet(0xc0))
    assert.equal((await client.next()).cmd, 'pingresp')
    cable.cut(client)
    const since = performance.now()
    assert.equal((await server.operator.device(HUB, 'silent')).connectionState, 'Connected')
    await cable.givenUp.promise
    const silence = performance.now() - since
    // [MQTT-3.1.2-24]: one and a half times the keep-alive.
    assert.ok(silence > 2_500 && silence < 20_000, `${silence} ms`)
    assert.equal((await server.operator.device(HUB, 'silent')).connectionState, 'Disconnected')
  })

  test('does not keep its device from coming back at once', { timeout: 30_000 }, async (t) => {
    await server.operator.createDevice(HUB, 'back')
    const identity = await makeDevice(root, 'back')
    const cable = new Cable(server.ports.mqtt)
    const lost = await dial(await cable.open(), 'back', identity, 1_000)
    t.after(() => {
      lost.socket.destroy()
      cable.close()
    })
    cable.cut(lost)
    const client = await dial(server.ports.mqtt, 'back', identity, 1_000)
    client.send(publish('devices/back/messages/events/', 'here again', { qos: 1 }))
    assert.equal((await client.next()).cmd, 'puback')
    await cable.givenUp.promise
    assert.equal((await server.operator.device(HUB, 'back')).connectionState, 'Connected')
    client.socket.destroy()
  })
})
