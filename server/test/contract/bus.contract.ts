import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'node:test'
import type { Bus, Hint } from '../../src/ports/bus.ts'
import { HUB } from './nouns.ts'

const FIRST: Hint = { kind: 'authorities-changed', hub: HUB }
const SECOND: Hint = { kind: 'enrollments-changed' }

/** What every adapter of `ports/bus.ts` must do when no hint is lost. */
export function busContract(
  adapter: string,
  open: (options: { onListenerError: (error: unknown) => void }) => Promise<Bus>,
): void {
  describe(`bus contract: ${adapter}`, () => {
    let bus: Bus
    let errors: unknown[] = []

    beforeEach(async () => {
      errors = []
      bus = await open({ onListenerError: (error) => errors.push(error) })
    })
    afterEach(() => bus.close())

    /** Resolves with the first `count` hints that a new subscriber hears. */
    const hints = (count: number): Promise<Hint[]> =>
      new Promise((resolve) => {
        const heard: Hint[] = []
        const stop = bus.subscribe((hint) => {
          heard.push(hint)
          if (heard.length < count) return
          stop()
          resolve(heard)
        })
      })

    test('every subscriber hears every hint, in order', async () => {
      const heard = [hints(2), hints(2)]
      bus.publish(FIRST)
      bus.publish(SECOND)
      assert.deepEqual(await Promise.all(heard), [
        [FIRST, SECOND],
        [FIRST, SECOND],
      ])
    })

    test('a listener is not called within the publisher’s own turn', async () => {
      let published = false
      const heard = new Promise<boolean>((resolve) => {
        bus.subscribe(() => resolve(published))
      })
      bus.publish(FIRST)
      published = true
      assert.equal(await heard, true)
    })

    test('a listener that throws is reported and stops nobody', async () => {
      bus.subscribe(() => {
        throw new Error('a broken listener')
      })
      const heard = hints(1)
      bus.publish(FIRST)
      assert.deepEqual(await heard, [FIRST])
      assert.deepEqual(errors.map(String), ['Error: a broken listener'])
    })

    test('one who has left hears nothing more; leaving twice does no harm', async () => {
      const heard: Hint[] = []
      const listener = (hint: Hint): number => heard.push(hint)
      const leave = bus.subscribe(listener)
      bus.subscribe(listener)
      leave()
      leave()
      const later = hints(1)
      bus.publish(FIRST)
      await later
      assert.deepEqual(heard, [FIRST])
    })

    test('a closed bus is silent', async () => {
      const heard: Hint[] = []
      bus.subscribe((hint) => heard.push(hint))
      bus.publish(FIRST)
      await bus.close()
      bus.publish(SECOND)
      await new Promise((resolve) => setImmediate(resolve))
      assert.ok(!heard.includes(SECOND))
    })
  })
}
