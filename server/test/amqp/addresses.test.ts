import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseAddress, pathSegments } from '../../src/amqp/addresses.ts'

test('knows each address form', () => {
  const cases: [string, object][] = [
    ['$cbs', { kind: 'cbs' }],
    ['$management', { kind: 'management', entity: null }],
    ['hub1/$management', { kind: 'management', entity: 'hub1' }],
    [
      'hub1/ConsumerGroups/$Default/Partitions/0',
      { kind: 'partition', entity: 'hub1', group: '$Default', partition: '0' },
    ],
    [
      'amqps://localhost:5671/hub1/consumergroups/Group%201/partitions/3',
      { kind: 'partition', entity: 'hub1', group: 'Group 1', partition: '3' },
    ],
    ['0ne1/registrations/Dev-1', { kind: 'registration', scope: '0ne1', registrationId: 'Dev-1' }],
    ['amqps://dps.example/0ne1/registrations/d', { kind: 'registration', scope: '0ne1', registrationId: 'd' }],
    ['amqps://h/messages/events/$management', { kind: 'hub-events', rest: '$management' }],
    ['/devices/d/messages/events', { kind: 'hub' }],
    ['/messages/serviceBound/feedback', { kind: 'hub' }],
    ['hub1', { kind: 'unknown' }],
    ['a//b', { kind: 'unknown' }],
    ['%zz/registrations/d', { kind: 'unknown' }],
    ['x'.repeat(5_000), { kind: 'unknown' }],
    ['', { kind: 'unknown' }],
  ]
  for (const [text, address] of cases) assert.deepEqual(parseAddress(text), address, text.slice(0, 60))
  assert.deepEqual(parseAddress(undefined), { kind: 'unknown' })
})

test('an audience has the path of its address', () => {
  assert.deepEqual(pathSegments('sb://localhost:15671/hub1/$management'), ['hub1', '$management'])
  assert.deepEqual(pathSegments('sb://localhost/'), [])
})
