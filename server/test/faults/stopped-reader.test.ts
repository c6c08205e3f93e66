import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import { after, before, describe, test } from 'node:test'
import type { EventContext, Receiver } from 'rhea'
import { BareClient } from '../amqp/bare-client.ts'
import { signToken } from '../amqp/tokens.ts'
import { SpawnedServer } from '../e2e/spawned-server.ts'
import { HUB, HUB_HOST } from '../e2e/whole-server.ts'
import { makeFleet } from './fleet.ts'
import type { PipelinedDevice } from './pipelined-device.ts'

const READERS = 4
const MESSAGE_BYTES = 60_000
const MESSAGES = 800
/** What the stopped readers were promised is some 190 MB; they may cost a fraction of it. */
const GROWTH_LIMIT = 60 * 1024 * 1024

describe('readers that stop reading', () => {
  const data = mkdtempSync(join(tmpdir(), 'holdfast-readers-'))
  const clients: BareClient[] = []
  let server: SpawnedServer
  let device: PipelinedDevice
  before(async () => {
    server = await SpawnedServer.start(data)
    const [first] = await makeFleet(server.operator, 1, MESSAGE_BYTES)
    assert.ok(first)
    device = first
  })
  after(async () => {
    await server.kill()
    for (const { connection } of clients) socketOf(connection).destroy(new Error('the test is over'))
    rmSync(data, { recursive: true, force: true })
  })

  /** Attached to every partition, with credit for all that will ever come. */
  async function openReader(): Promise<{ client: BareClient; receivers: Receiver[] }> {
    const client = new BareClient(server.ports.amqp, {
      transport: 'tls',
      ca: server.operator.ca,
      servername: HUB_HOST,
      hostname: HUB_HOST,
    })
    clients.push(client)
    const { keyName, primaryKey } = await server.operator.hubKey(HUB, 'service')
    const audience = `sb://${HUB_HOST}/${HUB}`
    const token = signToken(audience, primaryKey, 'event-hubs', Date.now() + 600_000)
    assert.equal(await client.putToken(`${token}&skn=${keyName}`, audience), 202)
    const receivers = await Promise.all(
      ['0', '1', '2', '3'].map(async (partition) => {
        const receiver = client.reader(`${HUB}/ConsumerGroups/$Default/Partitions/${partition}`, { autoaccept: true })
        await once(receiver, 'receiver_open')
        return receiver
      }),
    )
    return { client, receivers }
  }

  test('cost the server little, and nobody else anything', { timeout: 150_000 }, async (t) => {
    const { operator, ports } = server
    await device.connect(ports.mqtt, operator.ca)
    // What the messages themselves cost, with nobody reading.
    const idle = await highestResidentDuring(MESSAGES)
    const readers = await Promise.all(Array.from({ length: READERS }, openReader))
    for (const { client, receivers } of readers) {
      for (const receiver of receivers) receiver.add_credit(100_000)
      socketOf(client.connection).pause()
    }
    const growth = (await highestResidentDuring(MESSAGES)) - idle
    device.close()
    t.diagnostic(`${Math.round(growth / 1024 / 1024)} MB more resident, with ${READERS} readers stopped`)
    assert.ok(growth < GROWTH_LIMIT, `${growth} bytes more`)

    // The one that reads on gets everything, in order; so does another that never stopped.
    const [stopped] = readers
    assert.ok(stopped)
    const fresh = await openReader()
    for (const receiver of fresh.receivers) receiver.add_credit(100_000)
    const all = [readAll(stopped.receivers), readAll(fresh.receivers)]
    socketOf(stopped.client.connection).resume()
    await Promise.all(all)
  })

  /** Sends so many; returns the most bytes that the server held in the meantime. */
  async function highestResidentDuring(messages: number): Promise<number> {
    const end = device.acknowledgedCount + messages
    let highest = 0
    await device.flood(
      () => {
        if (device.acknowledgedCount % 100 === 0) highest = Math.max(highest, server.residentBytes)
      },
      () => device.acknowledgedCount >= end,
    )
    assert.ok(device.acknowledgedCount >= end)
    return highest
  }

  /** Resolves when every message has come once, in order. */
  function readAll(receivers: readonly Receiver[]): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    let expected = 0
    for (const receiver of receivers) {
      receiver.on('message', ({ message }: EventContext) => {
        const serial = Number((message?.body as { content: Buffer } | undefined)?.content.toString())
        if (serial !== expected) reject(new Error(`${serial} came instead of ${expected}`))
        expected += 1
        if (expected === device.acknowledgedCount) resolve()
      })
    }
    return promise
  }
})

function socketOf(connection: object): TLSSocket {
  return (connection as { socket: TLSSocket }).socket
}
