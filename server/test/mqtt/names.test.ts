import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parsePropertyBag } from '../../src/mqtt/property-bag.ts'
import { DeviceTopics, parseHubRequest, parseProvisioningRequest } from '../../src/mqtt/topics.ts'
import { parseUserName } from '../../src/mqtt/user-name.ts'
import { RECORDED_TOPICS, RECORDED_USER_NAMES } from './corpus/recorded.ts'

describe('user names', () => {
  for (const { client, clientId, userName, decoded } of RECORDED_USER_NAMES) {
    test(client, () => {
      const who = parseUserName(userName, clientId, (host) => host.startsWith('hub.example.com'))
      assert.deepEqual(who, decoded)
    })
  }
})

describe('property bags', () => {
  for (const { client, bag, decoded } of RECORDED_TOPICS) {
    test(client, () => assert.deepEqual(parsePropertyBag(bag), decoded))
  }

  test('a repeated __proto__ changes no prototype', () => {
    const { application } = parsePropertyBag('__proto__=x')
    assert.equal(Object.getPrototypeOf(application), Object.prototype)
    assert.ok(Object.hasOwn(application, '__proto__'))
  })
})

describe('topics', () => {
  test('of a device are its own, compared byte by byte', () => {
    const topics = new DeviceTopics('dev1', null)
    assert.equal(topics.bagOf('devices/dev1/messages/events'), '')
    assert.equal(topics.bagOf('devices/dev1/messages/events/'), '')
    assert.equal(topics.bagOf('devices/dev1/messages/events/a=b/'), 'a=b/')
    for (const other of [
      'devices/dev2/messages/events/',
      'devices/DEV1/messages/events/',
      'devices/dev1/messages/eventsx',
      'devices/dev1/modules/m/messages/events/',
      'Devices/dev1/messages/events/',
      '/devices/dev1/messages/events/',
    ]) {
      assert.equal(topics.bagOf(other), null, other)
    }
  })

  test('of a module carry its name', () => {
    const topics = new DeviceTopics('dev1', 'm')
    assert.equal(topics.bagOf('devices/dev1/modules/m/messages/events/a=b'), 'a=b')
    assert.equal(topics.bagOf('devices/dev1/messages/events/'), null)
    assert.ok(topics.allowsFilter('devices/dev1/modules/m/inputs/#'))
    assert.ok(topics.allowsFilter('devices/dev1/modules/m/#'))
  })

  test('may be subscribed only as the hub documents them', () => {
    const topics = new DeviceTopics('dev1', null)
    for (const filter of [
      'devices/dev1/messages/devicebound/#',
      '$iothub/twin/res/#',
      '$iothub/twin/PATCH/properties/desired/#',
      '$iothub/methods/POST/#',
      '$iothub/methods/POST/blink/#',
      '$iothub/credentials/res/#',
    ]) {
      assert.ok(topics.allowsFilter(filter), filter)
    }
    for (const filter of [
      '#',
      '$iothub/#',
      'devices/+/messages/devicebound/#',
      'devices/dev2/messages/devicebound/#',
      '$iothub/methods/POST/+/#',
    ]) {
      assert.ok(!topics.allowsFilter(filter), filter)
    }
  })

  test('of requests carry an id that is kept as it came', () => {
    const rid = 'a%20b+c'
    assert.deepEqual(parseHubRequest(`$iothub/twin/GET/?$rid=${rid}`), { kind: 'twin-get', requestId: rid })
    assert.deepEqual(parseHubRequest(`$iothub/twin/PATCH/properties/reported/?$rid=1&$version=2`), {
      kind: 'reported-patch',
      requestId: '1',
    })
    assert.deepEqual(parseHubRequest('$iothub/methods/res/200/?$rid=1'), { kind: 'method-response' })
    assert.deepEqual(parseProvisioningRequest('$dps/registrations/PUT/iotdps-register/?$rid=1'), {
      kind: 'register',
      requestId: '1',
    })
    assert.deepEqual(
      parseProvisioningRequest('$dps/registrations/GET/iotdps-get-operationstatus/?$rid=1&operationId=5.a.b'),
      {
        kind: 'status',
        requestId: '1',
        operationId: '5.a.b',
      },
    )
    for (const topic of [
      '$iothub/twin/GET/',
      '$iothub/twin/GET/?$rid=',
      '$iothub/twin/get/?$rid=1',
      '$iothub/other/?$rid=1',
      'devices',
    ]) {
      assert.equal(parseHubRequest(topic), null, topic)
    }
    for (const topic of [
      '$dps/registrations/PUT/iotdps-register/',
      '$dps/registrations/GET/iotdps-get-operationstatus/?$rid=1',
      '$dps/x/?$rid=1',
    ]) {
      assert.equal(parseProvisioningRequest(topic), null, topic)
    }
  })
})
