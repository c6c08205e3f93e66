import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { bareHost, Hubs } from '../../src/hub/hubs.ts'
import { partitionOf } from '../../src/hub/telemetry/partition.ts'
import { parseHubName } from '../../src/model/ids.ts'

const factory = { name: parseHubName('factory'), hosts: ['factory.example.com', 'plant.local'], partitions: 4 }
const lab = { name: parseHubName('lab'), hosts: ['lab.example.com'], partitions: 2 }

suite('hubs', () => {
  test('are found by any of their hosts, in any case, with or without port and final dot', () => {
    const hubs = new Hubs([factory, lab])
    for (const host of ['factory.example.com', 'FACTORY.Example.COM:443', 'plant.local:8883', 'factory.example.com.'])
      assert.equal(hubs.byHost(host), factory)
    assert.equal(hubs.byHost('lab.example.com'), lab)
    assert.equal(hubs.get(lab.name), lab)
    assert.equal(hubs.home, factory)
    assert.deepEqual(hubs.all(), [factory, lab])
  })

  test('answer to loopback names only when there is one', () => {
    const names = ['localhost', 'LOCALHOST:8883', '127.0.0.1', '127.0.0.1:443', '::1', '[::1]', '[::1]:5671']
    for (const name of names) {
      assert.equal(new Hubs([factory]).byHost(name), factory)
      assert.equal(new Hubs([factory, lab]).byHost(name), null)
    }
  })

  test('are not found by a part, a prefix or nothing', () => {
    const hubs = new Hubs([factory])
    for (const host of [
      '',
      ':',
      'factory',
      'example.com',
      'factory.example.com.evil',
      'factory.example.com:',
      'a:b:c',
      '..',
      'factory.example.com:123456',
    ])
      assert.equal(hubs.byHost(host), null, host)
    assert.equal(bareHost('[::1]evil'), '[::1]evil')
  })
})

suite('partitions', () => {
  test('stay those of FNV-1a, for events already stored rely on it', () => {
    // 32-bit FNV-1a of "" is 0x811c9dc5, of "a" 0xe40c292c, of "foobar" 0xbf9cf968.
    assert.equal(partitionOf('', 2 ** 32), 0x811c9dc5)
    assert.equal(partitionOf('a', 2 ** 32), 0xe40c292c)
    assert.equal(partitionOf('foobar', 2 ** 32), 0xbf9cf968)
  })

  test('share devices evenly', () => {
    const counts = new Map<number, number>()
    for (let index = 0; index < 4_000; index++) {
      const partition = partitionOf(`device-${index}`, 4)
      counts.set(partition, (counts.get(partition) ?? 0) + 1)
    }
    assert.equal(counts.size, 4)
    for (const count of counts.values()) assert.ok(count > 800 && count < 1_200, String(count))
  })
})
