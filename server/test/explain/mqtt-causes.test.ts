import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import { connect, publish } from '../mqtt/packet-bytes.ts'
import { startFixture } from '../mqtt/fixture.ts'
import type { Fixture } from '../mqtt/fixture.ts'
import { RawClient } from '../mqtt/raw-client.ts'
import type { TestIdentity } from '../http/certificates.ts'
import { assertExplained } from './explained.ts'
import type { Explanation } from './explained.ts'

interface Cause extends Explanation {
  readonly name: string
  readonly attempt: (client: RawClient) => Promise<unknown> | void
}

async function enter(client: RawClient): Promise<void> {
  client.send(connect({ clientId: 'pump-1', userName: 'localhost/pump-1/?api-version=2021-04-12' }))
  assert.equal((await client.next()).cmd, 'connack')
}

const CAUSES: readonly Cause[] = [
  {
    name: 'client id and user name disagree',
    rule: 'client-id-mismatch',
    attempt: (client) =>
      client.send(connect({ clientId: 'Pump-1', userName: 'localhost/pump-1/?api-version=2021-04-12' })),
    message:
      /The user name 'localhost\/pump-1\/.* is not \{host\}\/Pump-1\/.*: 'pump-1' and 'Pump-1' differ in case only/,
    remedy: /with equal case, both as client id and in the user name/,
  },
  {
    name: 'nothing is said after the handshake',
    rule: 'connect-timeout',
    attempt: () => {},
    message: /1 s|second|in time/,
    remedy: /Check the network/,
  },
  {
    name: 'a message goes to the topic of another device',
    rule: 'protocol-violation',
    attempt: async (client) => {
      await enter(client)
      client.send(publish('devices/pump-2/messages/events/', 'x', { qos: 1 }))
    },
    message: /may not publish to 'devices\/pump-2\/messages\/events\/'/,
    remedy: /Check that the client speaks the protocol/,
  },
  {
    name: 'a message has an id that is too long',
    rule: 'request-malformed',
    attempt: async (client) => {
      await enter(client)
      client.send(publish(`devices/pump-1/messages/events/%24.mid=${'m'.repeat(129)}`, 'x', { qos: 1 }))
    },
    message: /message id|128/i,
    remedy: /Correct the part that the message names/,
  },
  {
    name: 'something else than MQTT is spoken',
    rule: 'protocol-violation',
    attempt: (client) => client.send(Buffer.from('GET / HTTP/1.1\r\n\r\n')),
    message: /Packet type 4 has wrong header flags/,
    remedy: /Check that the client speaks the protocol of this port/,
  },
]

suite('a refused MQTT client is explained when', () => {
  let fixture: Fixture
  let identity: TestIdentity
  before(async () => {
    fixture = await startFixture({ connectSeconds: 1 })
    identity = await fixture.device('pump-1')
  })
  after(() => fixture.close())

  for (const { name, attempt, ...explanation } of CAUSES) {
    test(name, { timeout: 10_000 }, async () => {
      const before = (await fixture.refusals()).length
      const client = new RawClient(await fixture.dial(identity))
      await attempt(client)
      await client.closed
      const [refusal, ...older] = await fixture.refusals()
      assert.ok(refusal !== undefined && older.length === before)
      assertExplained(refusal, explanation)
    })
  }
})
