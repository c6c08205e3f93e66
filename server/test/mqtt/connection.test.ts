import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { HubError } from '../../src/errors.ts'
import { parseDeviceId } from '../../src/model/ids.ts'
import { CONNECTION_LIMITS } from '../../src/mqtt/connection.ts'
import { ANY, HUB, startFixture } from './fixture.ts'
import type { Fixture } from './fixture.ts'
import { MALFORMED } from './corpus/malformed.ts'
import { connect, packet, publish, remainingLength, subscribe, text } from './packet-bytes.ts'
import type { ConnectFields } from './packet-bytes.ts'
import { RawClient } from './raw-client.ts'

const DISCONNECT = packet(0xe0)
const PINGREQ = packet(0xc0)
const topicOf = (id: string) => `devices/${id}/messages/events/`

describe('an MQTT connection', () => {
  let fixture: Fixture
  before(async () => {
    fixture = await startFixture()
  })
  after(() => fixture.close())

  /** A known device behind its certificate, before CONNECT. */
  async function stranger(id: string): Promise<RawClient> {
    return new RawClient(await fixture.dial(await fixture.device(id)))
  }

  async function connected(id: string, fields: ConnectFields = {}): Promise<RawClient> {
    const client = await stranger(id)
    client.send(hello(id, fields))
    assert.deepEqual(await returnCode(client), 0)
    return client
  }

  async function eventsOf(id: string) {
    const stored = (await fixture.events()).map(({ event }) => event)
    return stored.filter(({ deviceId }) => deviceId === id)
  }

  async function ruleOf(id: string): Promise<string | undefined> {
    // Refusals are stored in batches within a second.
    for (let attempt = 0; attempt < 2_000; attempt += 1) {
      const found = (await fixture.refusals()).find(({ identity }) => identity === id)
      if (found) return found.rule
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    return undefined
  }

  test('opens with a complete certificate chain and closes on DISCONNECT', async () => {
    const client = await connected('opens')
    assert.equal(fixture.sessions.count(HUB), 1)
    client.send(PINGREQ)
    assert.equal((await client.next()).cmd, 'pingresp')
    client.send(DISCONNECT)
    await client.closed
    assert.equal(fixture.sessions.count(HUB), 0)
  })

  test('takes everything that a client sends right behind CONNECT, byte by byte or at once', async () => {
    const id = 'eager'
    const client = await stranger(id)
    const all = Buffer.concat([
      hello(id),
      publish(topicOf(id), 'first', { qos: 1, packetId: 7 }),
      subscribe(8, ['$iothub/twin/res/#', 0]),
      publish(topicOf(id), 'second', { qos: 0 }),
      PINGREQ,
    ])
    for (const byte of all) client.socket.write(Buffer.from([byte]))
    const packets = await client.take(4)
    assert.deepEqual(packets.map(({ cmd }) => cmd).toSorted(), ['connack', 'pingresp', 'puback', 'suback'])
    assert.equal(packets[0]?.cmd, 'connack')
    client.send(DISCONNECT)
    await client.closed
    assert.deepEqual(
      (await eventsOf(id)).map(({ body }) => String(Buffer.from(body))),
      ['first', 'second'],
    )
  })

  test('keeps what a message says of itself', async () => {
    const id = 'talks'
    const client = await connected(id)
    client.send(
      publish(`${topicOf(id)}%24.ct=application%2Fjson&%24.mid=1&zone=a%20b`, '{"t":1}', { qos: 1, retain: true }),
    )
    assert.equal((await client.next()).cmd, 'puback')
    const [event] = await eventsOf(id)
    assert.deepEqual(event?.properties, { contentType: 'application/json', messageId: '1' })
    assert.deepEqual(event?.application, { zone: 'a b', 'mqtt-retain': 'true' })
    assert.match(event?.authMethod ?? '', /x509/i)
    client.send(DISCONNECT)
    await client.closed
  })

  test('acknowledges in the order of the messages, and only what is durable', async () => {
    const id = 'ordered'
    const client = await connected(id)
    const releases: (() => Promise<void>)[] = []
    fixture.interceptAppend((event, real) => {
      if (event.deviceId !== id) return real()
      return new Promise((resolve, reject) => releases.push(() => real().then(resolve, reject)))
    })
    client.send(...[11, 12, 13].map((packetId) => publish(topicOf(id), 'x', { qos: 1, packetId })), PINGREQ)
    assert.equal((await client.next()).cmd, 'pingresp')
    while (releases.length < 3) await new Promise(setImmediate)
    void releases[2]?.()
    void releases[1]?.()
    while ((await eventsOf(id)).length < 2) await new Promise(setImmediate)
    client.send(PINGREQ)
    assert.equal((await client.next()).cmd, 'pingresp')
    void releases[0]?.()
    assert.deepEqual(
      (await client.take(3)).map(({ messageId }) => messageId),
      [11, 12, 13],
    )
    fixture.interceptAppend(null)
    client.send(DISCONNECT)
    await client.closed
  })

  test('ends without PUBACK when the log refuses, after those before it', async () => {
    const id = 'full'
    const client = await connected(id)
    let appended = 0
    fixture.interceptAppend((event, real) => {
      if (event.deviceId !== id) return real()
      appended += 1
      return appended === 2 ? Promise.reject(new HubError('storage-full', 'The disk is full.')) : real()
    })
    client.send(...[1, 2, 3].map((packetId) => publish(topicOf(id), 'x', { qos: 1, packetId })))
    assert.equal((await client.next()).messageId, 1)
    await client.closed
    assert.deepEqual(client.packets, [])
    fixture.interceptAppend(null)
  })

  test('stops reading while too many messages wait for the disk', async () => {
    const id = 'pushy'
    const client = await connected(id)
    const waiting: (() => Promise<void>)[] = []
    fixture.interceptAppend((event, real) => {
      if (event.deviceId !== id) return real()
      return new Promise((resolve, reject) => waiting.push(() => real().then(resolve, reject)))
    })
    const count = CONNECTION_LIMITS.pendingMessages + 500
    client.send(...Array.from({ length: count }, (_, n) => publish(topicOf(id), 'x', { qos: 1, packetId: n + 1 })))
    while (waiting.length < CONNECTION_LIMITS.pendingMessages) await new Promise(setImmediate)
    for (let turn = 0; turn < 100; turn += 1) await new Promise(setImmediate)
    assert.equal(waiting.length, CONNECTION_LIMITS.pendingMessages)
    fixture.interceptAppend(null)
    for (const release of waiting) void release()
    const acks = await client.take(count)
    assert.deepEqual(
      acks.map(({ messageId }) => messageId),
      Array.from({ length: count }, (_, n) => n + 1),
    )
    client.send(DISCONNECT)
    await client.closed
  })

  test('sends what is owed before it ends on DISCONNECT', async () => {
    const id = 'parting'
    const client = await connected(id)
    client.send(publish(topicOf(id), 'x', { qos: 1, packetId: 5 }), DISCONNECT)
    assert.equal((await client.next()).messageId, 5)
    await client.closed
  })

  test('of a second client with the same id takes over from the first', async () => {
    const identity = await fixture.device('twice')
    const clients = [new RawClient(await fixture.dial(identity)), new RawClient(await fixture.dial(identity))] as const
    clients[0].send(hello('twice'))
    await clients[0].next()
    clients[1].send(hello('twice'))
    assert.equal(await returnCode(clients[1]), 0)
    await clients[0].closed
    clients[1].send(publish(topicOf('twice'), 'x', { qos: 1 }))
    assert.equal((await clients[1].next()).cmd, 'puback')
    assert.equal(fixture.sessions.count(HUB), 1)
    clients[1].send(DISCONNECT)
    await clients[1].closed
  })

  test('is cut when its device is disabled', async () => {
    const client = await connected('disabled-live')
    await fixture.devices.update(
      HUB,
      { deviceId: 'disabled-live', status: 'disabled', authentication: { type: 'certificateAuthority' } },
      ANY,
    )
    await client.closed
  })

  test('that is lost sends its will, one that says goodbye does not', async () => {
    const will = { topic: `${topicOf('lost')}cause=cut`, payload: 'gone', qos: 1 }
    const lost = await connected('lost', { will })
    lost.socket.destroy()
    while ((await eventsOf('lost')).length === 0) await new Promise(setImmediate)
    const [event] = await eventsOf('lost')
    assert.equal(String(Buffer.from(event?.body ?? [])), 'gone')
    assert.deepEqual(event?.application, { cause: 'cut', 'iothub-MessageType': 'Will' })

    const polite = await connected('polite', { will: { topic: topicOf('polite'), payload: 'gone' } })
    polite.send(publish(topicOf('polite'), 'last', { qos: 1 }), DISCONNECT)
    await polite.closed
    assert.deepEqual(
      (await eventsOf('polite')).map(({ body }) => String(Buffer.from(body))),
      ['last'],
    )
  })

  test('grants the documented filters at most at QoS 1 and refuses others', async () => {
    const client = await connected('listens')
    client.send(
      subscribe(
        9,
        ['devices/listens/messages/devicebound/#', 2],
        ['$iothub/twin/res/#', 0],
        ['#', 0],
        ['devices/other/messages/devicebound/#', 1],
      ),
      packet(0xa2, [0, 10], text('$iothub/twin/res/#')),
    )
    const [suback, unsuback] = await client.take(2)
    assert.ok(suback?.cmd === 'suback')
    assert.deepEqual([...suback.granted], [1, 0, 128, 128])
    assert.ok(unsuback?.cmd === 'unsuback' && unsuback.messageId === 10)
    client.send(DISCONNECT)
    await client.closed
  })

  test('answers a twin request from the stored twin, and a patch with an error that clients understand', async () => {
    await fixture.devices.create(HUB, {
      deviceId: 'twinned',
      authentication: { type: 'certificateAuthority' },
      desired: { interval: 5 },
    })
    const client = new RawClient(await fixture.dial(await fixture.identity('twinned')))
    client.send(
      hello('twinned'),
      subscribe(1, ['$iothub/twin/res/#', 0]),
      publish('$iothub/twin/GET/?$rid=a-1', ' ', { qos: 1, packetId: 2 }),
    )
    await client.take(2)
    const [ack, answer] = await client.take(2)
    assert.equal(ack?.cmd, 'puback')
    assert.ok(answer?.cmd === 'publish' && answer.topic === '$iothub/twin/res/200/?$rid=a-1')
    assert.deepEqual(JSON.parse(String(answer.payload)), {
      desired: { interval: 5, $version: 1 },
      reported: { $version: 1 },
    })
    client.send(publish('$iothub/twin/PATCH/properties/reported/?$rid=b', '{"a":1}'))
    const refused = await client.next()
    assert.ok(refused.cmd === 'publish' && refused.topic === '$iothub/twin/res/501/?$rid=b')
    assert.equal(JSON.parse(String(refused.payload)).errorCode, 501000)
    client.send(DISCONNECT)
    await client.closed
  })

  describe('refuses', () => {
    for (const [name, fields, code] of [
      ['a user name of another device', { userName: 'localhost/other/?api-version=2021-04-12' }, 5],
      ['an unknown hub', { userName: 'elsewhere.example/{id}/?api-version=2021-04-12' }, 5],
      ['a missing user name', { userName: undefined }, 5],
      ['an empty client id', { clientId: '' }, 2],
      ['a token for a device with a certificate', { password: 'SharedAccessSignature sr=a&sig=b&se=1' }, 5],
      ['a will on the topic of another', { will: { topic: 'devices/other/messages/events/', payload: '' } }, 5],
      ['a will of QoS 2', { will: { topic: 'devices/{id}/messages/events/', payload: '', qos: 2 } }, 5],
      ['MQTT 5', { level: 5 }, 1],
      ['MQTT 3.1', { name: 'MQIsdp', level: 3 }, 1],
    ] as const) {
      test(`${name} with CONNACK ${code}`, async () => {
        const id = `refused-${name.replaceAll(' ', '-')}`
        const client = await stranger(id)
        const own = { ...fields } as Record<string, unknown>
        if (typeof own['userName'] === 'string') own['userName'] = own['userName'].replace('{id}', id)
        const { will } = own as ConnectFields
        if (will) own['will'] = { ...will, topic: will.topic.replace('{id}', id) }
        const bytes = 'userName' in fields && fields.userName === undefined ? connect({ clientId: id }) : hello(id, own)
        client.send(bytes)
        assert.equal(await returnCode(client), code)
        await client.closed
      })
    }

    test('who has no certificate, a certificate of another, or an unknown device, and says why to the operator', async () => {
      await fixture.device('victim')
      const cases = [
        ['victim', null],
        ['victim', await fixture.identity('attacker')],
        ['nobody', await fixture.identity('nobody')],
      ] as const
      for (const [id, identity] of cases) {
        const client = new RawClient(await fixture.dial(identity))
        client.send(hello(id))
        assert.equal(await returnCode(client), 5)
        await client.closed
      }
      assert.equal(await ruleOf('nobody'), 'device-unknown')
      const rules = (await fixture.refusals()).filter(({ identity }) => identity === 'victim').map(({ rule }) => rule)
      assert.deepEqual(rules.toSorted(), ['client-certificate-missing', 'common-name-mismatch'])
    })

    test('whatever comes before CONNECT', async () => {
      for (const bytes of [
        PINGREQ,
        publish('a', 'b'),
        subscribe(1, ['a', 0]),
        Buffer.from('GET / HTTP/1.1\r\n\r\n'),
        Buffer.alloc(64, 0xff),
      ]) {
        const client = new RawClient(await fixture.dial(null))
        client.send(bytes)
        await client.closed
        assert.deepEqual(client.packets, [])
      }
    })

    test('a CONNECT larger than a stranger may send, before it has come', async () => {
      const client = new RawClient(await fixture.dial(null))
      client.send(Buffer.from([0x10]), remainingLength(CONNECTION_LIMITS.connectBytes))
      await client.closed
    })
  })

  describe('ends on', () => {
    for (const [name, bytes] of [
      ['a second CONNECT', connect({ clientId: 'x' })],
      ['a CONNECT of another version', connect({ clientId: 'x', level: 5 })],
      ['QoS 2', publish('devices/{id}/messages/events/', '', { qos: 2 })],
      ['PUBREL', packet(0x62, [0, 1])],
      ['a topic of another device', publish('devices/other/messages/events/', '')],
      ['a topic of no meaning', publish('a/b', '')],
      ['a request without id', publish('$iothub/twin/GET/', '')],
      ['a packet over the limit', Buffer.concat([Buffer.from([0x30]), remainingLength(CONNECTION_LIMITS.packetBytes)])],
    ] as const) {
      test(name, async () => {
        const id = `ends-${name.replaceAll(' ', '-')}`
        const client = await connected(id)
        client.send(Buffer.from(bytes.toString('latin1').replace('{id}', id.slice(0, 4)), 'latin1'))
        await client.closed
        assert.deepEqual(client.packets, [])
        assert.equal(fixture.sessions.find(HUB, parseDeviceId(id)), null)
        assert.match((await ruleOf(id)) ?? '', /protocol-violation|request-too-large/)
      })
    }

    test('each malformed packet', async () => {
      const identity = await fixture.device('malformed')
      for (const { name, bytes } of MALFORMED) {
        const client = new RawClient(await fixture.dial(identity))
        client.send(hello('malformed'))
        assert.equal(await returnCode(client), 0)
        client.send(bytes)
        await client.closed
        assert.deepEqual(client.packets, [], name)
      }
      assert.equal(fixture.sessions.count(HUB), 0)
    })

    test('a message over 256 kB, while the largest one passes', async () => {
      const id = 'heavy'
      const client = await connected(id)
      client.send(publish(topicOf(id), Buffer.alloc(256 * 1024), { qos: 1, packetId: 1 }))
      assert.equal((await client.next()).messageId, 1)
      client.send(publish(topicOf(id), Buffer.alloc(256 * 1024 + 1), { qos: 1, packetId: 2 }))
      await client.closed
      assert.deepEqual(client.packets, [])
      assert.equal(await ruleOf(id), 'request-too-large')
    })
  })
})

describe('silence', () => {
  let fixture: Fixture
  before(async () => {
    fixture = await startFixture({ connectSeconds: 3 })
  })
  after(() => fixture.close())

  function pass(seconds: number): void {
    for (let second = 0; second < seconds; second += 1) fixture.head.tick()
  }

  test('of one and a half keep-alives ends a connection, a packet in between does not', async () => {
    const client = new RawClient(await fixture.dial(await fixture.device('quiet')))
    client.send(connect({ clientId: 'quiet', userName: 'localhost/quiet', keepAlive: 10 }))
    assert.equal(await returnCode(client), 0)
    pass(14)
    client.send(PINGREQ)
    assert.equal((await client.next()).cmd, 'pingresp')
    pass(14)
    client.send(PINGREQ)
    assert.equal((await client.next()).cmd, 'pingresp')
    pass(17)
    await client.closed
  })

  test('without a keep-alive, or with a very long one, lasts 1767 seconds at most', async () => {
    for (const keepAlive of [0, 0xffff]) {
      const id = `patient-${keepAlive}`
      const client = new RawClient(await fixture.dial(await fixture.device(id)))
      client.send(connect({ clientId: id, userName: `localhost/${id}`, keepAlive }))
      assert.equal(await returnCode(client), 0)
      pass(1760)
      client.send(PINGREQ)
      assert.equal((await client.next()).cmd, 'pingresp')
      pass(1769)
      await client.closed
    }
  })

  test('of a client that does not read its answers ends the connection', async () => {
    const id = parseDeviceId('deaf')
    const filler = Object.fromEntries(Array.from({ length: 20 }, (_, n) => [`key${n}`, 'x'.repeat(1_000)]))
    await fixture.devices.create(HUB, {
      deviceId: id,
      authentication: { type: 'certificateAuthority' },
      desired: filler,
    })
    const client = new RawClient(await fixture.dial(await fixture.identity(id)))
    client.send(connect({ clientId: id, userName: `localhost/${id}` }), subscribe(1, ['$iothub/twin/res/#', 0]))
    await client.take(2)
    client.socket.pause()
    client.send(...Array.from({ length: 2_000 }, (_, n) => publish(`$iothub/twin/GET/?$rid=${n}`, '')))
    while (fixture.sessions.find(HUB, id) !== null) {
      fixture.head.tick()
      await new Promise(setImmediate)
    }
    client.socket.resume()
    await client.closed
    assert.ok(client.packets.length < 2_000)
  })

  test('before CONNECT, or in the middle of it, is not waited for', async () => {
    for (const beginning of [Buffer.alloc(0), connect({}).subarray(0, 9)]) {
      const client = new RawClient(await fixture.dial(null))
      client.send(beginning)
      // The server counts from when it took the connection, which may be later than the client thinks.
      while (!client.socket.closed) {
        pass(5)
        await new Promise((resolve) => setImmediate(resolve))
      }
    }
  })
})

test('a shutdown sends the acknowledgements that are owed and ends every connection', async () => {
  const fixture = await startFixture()
  const client = new RawClient(await fixture.dial(await fixture.device('last')))
  client.send(connect({ clientId: 'last', userName: 'localhost/last' }))
  await returnCode(client)
  const releases: (() => Promise<void>)[] = []
  const appended = new Promise<void>((resolve) =>
    fixture.interceptAppend((_event, real) => {
      resolve()
      return new Promise((settle, reject) => {
        releases.push(() => real().then(settle, reject))
      })
    }),
  )
  client.send(publish(topicOf('last'), 'x', { qos: 1, packetId: 9 }))
  await appended
  const closing = fixture.head.close(5_000)
  client.send(publish(topicOf('last'), 'too late', { qos: 1, packetId: 10 }))
  void releases[0]?.()
  assert.equal((await client.next()).messageId, 9)
  await client.closed
  await closing
  fixture.interceptAppend(null)
  assert.equal((await fixture.events()).length, 1)
  await fixture.close()
})

async function returnCode(client: RawClient): Promise<number | undefined> {
  const packet = await client.next()
  assert.ok(packet.cmd === 'connack', packet.cmd)
  assert.equal(packet.sessionPresent, false)
  return packet.returnCode
}

function hello(id: string, fields: ConnectFields = {}): Buffer {
  return connect({ clientId: id, userName: `localhost/${id}/?api-version=2021-04-12`, ...fields })
}
