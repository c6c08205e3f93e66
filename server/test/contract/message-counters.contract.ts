import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { parseDeviceId } from '../../src/model/ids.ts'
import type { MessageCounter } from '../../src/model/message-counter.ts'
import type { Registry } from '../../src/ports/registry.ts'
import { HUB, NOW, OTHER_HUB, device } from './nouns.ts'
import type { RegistryUnderTest } from './registry.contract.ts'

const GENERATION = device('x').generationId

function counter(id: string, last: number): MessageCounter {
  const position = { partition: 2, sequence: last * 10, enqueuedTime: NOW }
  const recent = [{ counter: last, digest: `digest-${last}`, position }]
  return { hub: HUB, deviceId: parseDeviceId(id), generationId: GENERATION, last, recent }
}

/** What every adapter must do for `registry.messageCounters`. */
export function messageCounterContract(
  adapter: string,
  open: (options: { refusalCapacity: number }) => Promise<RegistryUnderTest>,
): void {
  describe(`message counters contract: ${adapter}`, () => {
    let under: RegistryUnderTest
    let registry: Registry
    const get = (id: string, generation = GENERATION, hub = HUB) =>
      registry.messageCounters.get(hub, parseDeviceId(id), generation)

    beforeEach(async () => {
      under = await open({ refusalCapacity: 5 })
      registry = under.registry
      for (const id of ['d1', 'd2']) await registry.devices.create(device(id))
    })
    afterEach(() => under.dispose())

    test('the last note comes back exactly as given, also after reopening', async () => {
      registry.messageCounters.note(counter('d1', 1))
      registry.messageCounters.note(counter('d1', 2))
      assert.deepEqual(await get('d1'), counter('d1', 2))
      registry.messageCounters.note(counter('d1', 2 ** 53 - 1))
      registry = await under.reopen()
      assert.deepEqual(await get('d1'), counter('d1', 2 ** 53 - 1))
    })

    test('another device, hub or generation has counted nothing', async () => {
      registry.messageCounters.note(counter('d1', 5))
      assert.equal(await get('d2'), null)
      assert.equal(await get('d1', '638000000000000002'), null)
      assert.equal(await get('d1', GENERATION, OTHER_HUB), null)
    })

    test('with the device its counter is forgotten', async () => {
      registry.messageCounters.note(counter('d1', 5))
      assert.notEqual(await get('d1'), null)
      await registry.devices.delete(HUB, parseDeviceId('d1'), { kind: 'any' })
      assert.equal(await get('d1'), null)
    })
  })
}
