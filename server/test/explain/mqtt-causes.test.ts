import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import { connect } from '../mqtt/packet-bytes.ts'
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
