import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { parseDeviceId } from '../../src/model/ids.ts'
import { HUB, SCOPE, startFixture } from './fixture.ts'
import type { Fixture } from './fixture.ts'
import { connect, packet, publish, subscribe } from './packet-bytes.ts'
import type { ConnectFields } from './packet-bytes.ts'
import { RawClient } from './raw-client.ts'

const REGISTER = '$dps/registrations/PUT/iotdps-register/?$rid='
const STATUS = '$dps/registrations/GET/iotdps-get-operationstatus/?$rid='
const RESPONSES = '$dps/registrations/res/#'

describe('provisioning over MQTT', () => {
  let fixture: Fixture
  before(async () => {
    fixture = await startFixture()
    await fixture.enrollments.putGroup(
      { enrollmentGroupId: 'plant', attestation: { type: 'x509', x509: { caReferences: { primary: 'root' } } } },
      null,
    )
  })
  after(() => fixture.close())

  async function dial(id: string, fields: ConnectFields = {}): Promise<RawClient> {
    const client = new RawClient(await fixture.dial(await fixture.identity(id)))
    client.send(connect({ clientId: id, userName: `${SCOPE}/registrations/${id}/api-version=2019-03-31`, ...fields }))
    return client
  }

  async function ready(id: string, qos = 1): Promise<RawClient> {
    const client = await dial(id, { clean: false })
    client.send(subscribe(1, [RESPONSES, qos]))
    const [connack, suback] = await client.take(2)
    assert.ok(connack?.cmd === 'connack' && connack.returnCode === 0 && !connack.sessionPresent)
    assert.ok(suback?.cmd === 'suback')
    return client
  }

  test('acknowledges the request first, then answers at QoS 1 with the request id in front', async () => {
    const client = await ready('p1')
    client.send(publish(`${REGISTER}a%2F1`, '{"registrationId":"p1","payload":{"ü":1}}', { qos: 1, packetId: 9 }))
    const ack = await client.next()
    assert.ok(ack.cmd === 'puback' && ack.messageId === 9)
    const { topic, qos, messageId, body } = await answer(client)
    assert.equal(topic, '$dps/registrations/res/200/?$rid=a%2F1')
    assert.equal(qos, 1)
    assert.ok(messageId)
    assert.equal(body.status, 'assigned')
    assert.equal(body.registrationState.assignedHub, 'localhost')
    assert.equal(body.registrationState.deviceId, 'p1')
    assert.ok(body.registrationState.x509.certificateInfo.sha256Thumbprint)
    client.send(
      packet(0x40, [messageId >> 8, messageId & 0xff]),
      publish(`${STATUS}2&operationId=${body.operationId}`, ' '),
    )
    const polled = await answer(client)
    assert.equal(polled.topic, '$dps/registrations/res/200/?$rid=2')
    assert.deepEqual(polled.body.registrationState.deviceId, 'p1')
    assert.equal((await fixture.devices.get(HUB, parseDeviceId('p1'))).status, 'enabled')
    client.send(packet(0xe0))
    await client.closed
  })

  test('takes an empty body and answers at the QoS that was granted', async () => {
    const client = await ready('p2', 0)
    client.send(publish(`${REGISTER}1`, ''))
    const { qos, body } = await answer(client)
    assert.equal(qos, 0)
    assert.equal(body.status, 'assigned')
    client.send(packet(0xe0))
    await client.closed
  })

  test('takes the id in any case, as id and as client id', async () => {
    const client = new RawClient(await fixture.dial(await fixture.identity('Mixed-Case')))
    const userName = `${SCOPE}/registrations/mixed-case/api-version=2019-03-31`
    client.send(connect({ clientId: 'MIXED-CASE', userName }), subscribe(1, [RESPONSES, 0]))
    await client.take(2)
    client.send(publish(`${REGISTER}1`, '{"registrationId":"Mixed-CASE"}'))
    assert.equal((await answer(client)).body.status, 'assigned')
    client.send(packet(0xe0))
    await client.closed
  })

  for (const [name, topic, body, status] of [
    ['malformed JSON', `${REGISTER}1`, '{"registrationId"', 400],
    ['JSON that is no object', `${REGISTER}1`, '[1]', 400],
    ['another registration id', `${REGISTER}1`, '{"registrationId":"somebody-else"}', 401],
    ['an unknown operation', `${STATUS}1&operationId=5.0.nothing`, '', 404],
    ['a body over the limit', `${REGISTER}1`, `{"payload":"${'x'.repeat(96 * 1024)}"}`, 413],
  ] as const) {
    test(`answers ${status} to ${name} and stays connected`, async () => {
      const client = await ready(`bad-${status}-${name.length}`)
      client.send(publish(topic, body))
      const refused = await answer(client)
      assert.equal(refused.topic, `$dps/registrations/res/${status}/?$rid=1`)
      assert.equal(Math.floor(refused.body.errorCode / 1000), status)
      client.send(publish(`${REGISTER}2`, '{}'))
      assert.equal((await answer(client)).topic, '$dps/registrations/res/200/?$rid=2')
      client.send(packet(0xe0))
      await client.closed
    })
  }

  test('grants no other filter and ends on any other topic', async () => {
    const client = await dial('p3')
    client.send(subscribe(1, ['$iothub/twin/res/#', 0], ['#', 0]), publish('devices/p3/messages/events/', 'x'))
    const [connack, suback] = await client.take(2)
    assert.ok(connack?.cmd === 'connack' && connack.returnCode === 0)
    assert.ok(suback?.cmd === 'suback')
    assert.deepEqual([...suback.granted], [128, 128])
    await client.closed
  })

  test('refuses with CONNACK 5 whoever does not prove the registration id', async () => {
    const claims = [
      ['p4', 'p5', SCOPE],
      ['p4', 'p4', '0ne00000bad'],
    ] as const
    for (const [certificate, claimed, scope] of claims) {
      const client = new RawClient(await fixture.dial(await fixture.identity(certificate)))
      client.send(connect({ clientId: claimed, userName: `${scope}/registrations/${claimed}/api-version=2019-03-31` }))
      const connack = await client.next()
      assert.ok(connack.cmd === 'connack' && connack.returnCode === 5)
      await client.closed
    }
  })
})

async function answer(client: RawClient) {
  const packet = await client.next()
  assert.ok(packet.cmd === 'publish', packet.cmd)
  const text = String(packet.payload)
  assert.match(text, /^[\u0020-\u007e]+$/)
  return { ...packet, body: JSON.parse(text) }
}
