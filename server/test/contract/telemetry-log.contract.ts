import assert from 'node:assert/strict'
import { once, EventEmitter } from 'node:events'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { parseDeviceId } from '../../src/model/ids.ts'
import type { DeviceId } from '../../src/model/ids.ts'
import type { HubEvent } from '../../src/model/message.ts'
import type { Clock } from '../../src/ports/clock.ts'
import type { TelemetryLog } from '../../src/ports/telemetry-log.ts'
import { HUB, NOW, OTHER_HUB, bodyOf, event } from './nouns.ts'

export const PERIOD_MS = 60_000
export const MAX_WAITING_BYTES = 64 * 1024

/** A store under test: periods of `PERIOD_MS`, `throttled` once `MAX_WAITING_BYTES` wait. */
export interface LogUnderTest {
  readonly log: TelemetryLog
  /** Closes the log and opens what it left behind. */
  reopen(): Promise<TelemetryLog>
  /** Closes and removes everything. */
  dispose(): Promise<void>
}

const PLENTY = { events: 10_000, bytes: 100 * 1024 * 1024 }
const EVERYTHING = Number.MAX_SAFE_INTEGER

/** What every adapter of `ports/telemetry-log.ts` must do. */
export function telemetryLogContract(
  adapter: string,
  open: (options: { clock: Clock; onListenerError: (error: unknown) => void }) => Promise<LogUnderTest>,
): void {
  describe(`telemetry log contract: ${adapter}`, () => {
    let now = NOW
    let under: LogUnderTest
    let log: TelemetryLog
    let listenerErrors: unknown[] = []

    beforeEach(async () => {
      now = NOW
      listenerErrors = []
      const onListenerError = (error: unknown): number => listenerErrors.push(error)
      under = await open({ clock: { now: () => now }, onListenerError })
      log = under.log
    })
    afterEach(() => under.dispose())

    const texts = async (partition: number, from = 0, budget = PLENTY): Promise<string[]> =>
      (await log.read(HUB, partition, from, budget)).map((stored) => bodyOf(stored.event))

    const fill = async (partition: number, ...bodies: string[]): Promise<void> => {
      await Promise.all(bodies.map((body) => log.append(partition, event(body))))
    }

    /** Appends 4,000 events at once; returns how many were accepted. */
    const flood = async (): Promise<number> => {
      const results = await Promise.allSettled(Array.from({ length: 4_000 }, () => log.append(0, event('x'))))
      return results.filter((result) => result.status === 'fulfilled').length
    }

    test('sequences start at 0 in each partition and follow the order of the calls', async () => {
      const positions = await Promise.all(
        Array.from({ length: 900 }, (_, index) => log.append(index % 3, event(`${index}`))),
      )
      for (const [index, position] of positions.entries()) {
        assert.deepEqual(position, { partition: index % 3, sequence: Math.floor(index / 3), enqueuedTime: NOW })
      }
      const expected = Array.from({ length: 300 }, (_, index) => `${index * 3 + 1}`)
      assert.deepEqual(await texts(1), expected)
    })

    test('an event comes back exactly as it was given', async () => {
      const given: HubEvent[] = [
        event(''),
        event('x', {
          moduleId: 'camera',
          modelId: 'dtmi:com:example:Thermostat;1',
          source: 'deviceLifecycleEvents',
          properties: {
            messageId: 'm'.repeat(128),
            correlationId: '',
            userId: 'u',
            to: '/devices/x',
            contentType: 'application/json',
            contentEncoding: 'utf-8',
            expiry: '2026-01-01T00:00:00Z',
            creationTime: '2026-01-01T00:00:00Z',
            messageSchema: 's',
            interfaceId: 'i',
            subject: 'c',
            outputName: 'o',
            ack: 'full',
          },
          application: JSON.parse('{"b":"","ä":"grün 漢字 \\ud83d\\ude00","__proto__":"p","a":"\\u0000"}') as Record<
            string,
            string
          >,
          body: Uint8Array.from({ length: 40_000 }, (_, index) => index % 256),
        }),
        event('last'),
      ]
      await Promise.all(given.map((one) => log.append(0, one)))
      log = await under.reopen()
      const read = (await log.read(HUB, 0, 0, PLENTY)).map((stored) => stored.event)
      assert.deepEqual(read, given)
      assert.deepEqual(Object.keys(read[1]?.application ?? {}), ['b', 'ä', '__proto__', 'a'])
    })

    test('a read starts at the sequence asked for and keeps to its budget, one event at least', async () => {
      await fill(0, 'a', 'b', 'c')
      await fill(0, 'd', 'e')
      assert.deepEqual(await texts(0, 1, { events: 3, bytes: 1_000_000 }), ['b', 'c', 'd'])
      assert.deepEqual(await texts(0, 4), ['e'])
      assert.deepEqual(await texts(0, 2, { events: 10, bytes: 1 }), ['c'])
      assert.deepEqual(await texts(0, 0, { events: 0, bytes: 1_000 }), [])
      assert.deepEqual(await texts(0, 5), [])
      assert.deepEqual(await texts(0, 500), [])
      const [stored] = await log.read(HUB, 0, 3, PLENTY)
      assert.deepEqual(stored?.position, { partition: 0, sequence: 3, enqueuedTime: NOW })
    })

    test('the byte budget counts what the events hold', async () => {
      await Promise.all(Array.from({ length: 10 }, () => log.append(0, event('x'.repeat(1_000)))))
      const read = await log.read(HUB, 0, 0, { events: 10, bytes: 4_500 })
      assert.ok(read.length >= 3 && read.length <= 4, `${read.length} events for 4,500 bytes`)
    })

    test('hubs and partitions know nothing of each other', async () => {
      await fill(0, 'a')
      await log.append(0, event('b', { hub: OTHER_HUB }))
      await fill(1, 'c')
      assert.deepEqual(await texts(0), ['a'])
      assert.deepEqual(
        (await log.read(OTHER_HUB, 0, 0, PLENTY)).map((stored) => bodyOf(stored.event)),
        ['b'],
      )
      assert.deepEqual(await log.read(OTHER_HUB, 1, 0, PLENTY), [])
    })

    test('bounds of an empty, a filled and a reopened partition', async () => {
      assert.deepEqual(await log.bounds(HUB, 0), { begin: 0, next: 0, lastEnqueuedTime: null })
      await fill(0, 'a', 'b')
      const filled = { begin: 0, next: 2, lastEnqueuedTime: NOW }
      assert.deepEqual(await log.bounds(HUB, 0), filled)
      log = await under.reopen()
      assert.deepEqual(await log.bounds(HUB, 0), filled)
      assert.deepEqual(await log.append(0, event('c')), { partition: 0, sequence: 2, enqueuedTime: NOW })
    })

    test('seek finds the first event at or after a time, also across periods', async () => {
      for (const step of [0, 10, 10, PERIOD_MS, 3 * PERIOD_MS]) {
        now = NOW + step
        await fill(0, `at ${step}`)
      }
      await fill(1, 'another partition')
      assert.equal(await log.seek(HUB, 0, 0), 0)
      assert.equal(await log.seek(HUB, 0, NOW), 0)
      assert.equal(await log.seek(HUB, 0, NOW + 1), 1)
      assert.equal(await log.seek(HUB, 0, NOW + 10), 1)
      assert.equal(await log.seek(HUB, 0, NOW + 11), 3)
      assert.equal(await log.seek(HUB, 0, NOW + 2 * PERIOD_MS), 4)
      assert.equal(await log.seek(HUB, 0, NOW + 3 * PERIOD_MS + 1), 5)
      assert.equal(await log.seek(HUB, 2, NOW), 0)
      assert.equal(await log.seek(OTHER_HUB, 0, NOW), 0)
    })

    test('enqueued times never go back, even when the clock does and the log is reopened', async () => {
      await fill(0, 'a')
      now = NOW - 5 * PERIOD_MS
      assert.equal((await log.append(0, event('b'))).enqueuedTime, NOW)
      log = await under.reopen()
      assert.equal((await log.append(0, event('c'))).enqueuedTime, NOW)
      now = NOW + 1
      assert.equal((await log.append(0, event('d'))).enqueuedTime, NOW + 1)
      assert.deepEqual(await texts(0), ['a', 'b', 'c', 'd'])
    })

    test('a commit calls the listeners of its partition, and the events are there to read', async () => {
      const calls = new EventEmitter()
      const heard: string[] = []
      log.onCommit(HUB, 1, () => heard.push('another partition'))
      const stop = log.onCommit(HUB, 0, () => heard.push('stopped'))
      log.onCommit(HUB, 0, () => {
        throw new Error('a broken listener')
      })
      log.onCommit(HUB, 0, () => calls.emit('commit'))
      stop()
      const committed = once(calls, 'commit')
      await fill(0, 'a')
      await committed
      assert.deepEqual(await texts(0), ['a'])
      assert.deepEqual(heard, [])
      assert.deepEqual(listenerErrors.map(String), ['Error: a broken listener'])
    })

    test('trim by time drops whole periods and moves the beginning', async () => {
      for (const period of [0, 1, 2]) {
        now = NOW + period * PERIOD_MS
        await fill(0, `${period}`)
      }
      assert.deepEqual(await log.trim({ before: NOW, maxBytes: EVERYTHING }), { removedBytes: 0 })
      const { removedBytes } = await log.trim({ before: NOW + PERIOD_MS, maxBytes: EVERYTHING })
      assert.ok(removedBytes > 0)
      assert.deepEqual(await log.bounds(HUB, 0), { begin: 1, next: 3, lastEnqueuedTime: now })
      assert.deepEqual(await texts(0), ['1', '2'])
      assert.equal(await log.seek(HUB, 0, 0), 1)
      log = await under.reopen()
      assert.deepEqual(await texts(0), ['1', '2'])
    })

    test('sequences and times go on after everything has been trimmed', async () => {
      await fill(0, 'a', 'b')
      await fill(1, 'c')
      await log.trim({ before: NOW + 1, maxBytes: EVERYTHING })
      assert.deepEqual(await texts(0), [])
      assert.deepEqual(await log.bounds(HUB, 0), { begin: 2, next: 2, lastEnqueuedTime: NOW })
      log = await under.reopen()
      assert.deepEqual(await log.bounds(HUB, 0), { begin: 2, next: 2, lastEnqueuedTime: NOW })
      now = NOW - 1
      assert.deepEqual(await log.append(0, event('d')), { partition: 0, sequence: 2, enqueuedTime: NOW })
      assert.deepEqual(await log.append(1, event('e')), { partition: 1, sequence: 1, enqueuedTime: NOW })
      assert.deepEqual(await texts(0), ['d'])
    })

    test('trim by size drops the oldest periods first', async () => {
      for (const period of [0, 1, 2, 3]) {
        now = NOW + period * PERIOD_MS
        await log.append(0, event('x'.repeat(200_000)))
      }
      await log.trim({ before: 0, maxBytes: 600_000 })
      const { begin, next } = await log.bounds(HUB, 0)
      assert.ok(begin >= 1 && begin < 4, `begins at ${begin}`)
      assert.equal(next, 4)
      assert.equal((await texts(0)).length, 4 - begin)
    })

    test('erasing empties the events of a device that is gone, and keeps every place', async () => {
      const [gone, other] = ['gone', 'other'].map(parseDeviceId) as [DeviceId, DeviceId]
      const of = (deviceId: DeviceId, body: string, generationId = '1'): HubEvent =>
        event(body, { deviceId, generationId })
      await Promise.all([log.append(0, of(gone, 'a')), log.append(0, of(other, 'b')), log.append(1, of(gone, 'c'))])
      now += PERIOD_MS
      await log.append(0, of(gone, 'd'))
      await log.append(0, of(gone, 'again', '2'))
      assert.deepEqual(await texts(0), ['a', 'b', 'd', 'again'])
      const appended = log.append(0, of(other, 'meanwhile'))
      assert.deepEqual(await log.erase(HUB, gone, '2'), { events: 3 })
      await appended
      assert.deepEqual(await texts(0), ['', 'b', '', 'again', 'meanwhile'])
      assert.deepEqual(await texts(1), [''])
      const [erased] = await log.read(HUB, 0, 0, PLENTY)
      assert.deepEqual(erased?.event.application, {})
      assert.deepEqual(await log.erase(HUB, gone, '2'), { events: 0 })
      assert.deepEqual(await log.erase(OTHER_HUB, gone, null), { events: 0 })
      log = await under.reopen()
      await log.append(0, of(other, 'later'))
      assert.deepEqual(await texts(0), ['', 'b', '', 'again', 'meanwhile', 'later'])
    })

    test('appends beyond what may wait are refused as throttled and leave no trace', async () => {
      const body = 'x'.repeat(8 * 1024)
      const results = await Promise.allSettled(
        Array.from({ length: 30 }, (_, index) => log.append(0, event(`${index} ${body}`))),
      )
      const accepted = results.filter((result) => result.status === 'fulfilled')
      const refused = results.filter((result) => result.status === 'rejected')
      assert.ok(accepted.length > 0 && refused.length > 0)
      for (const { reason } of refused) assert.equal((reason as { code: string }).code, 'throttled')
      assert.deepEqual(
        accepted.map(({ value }) => value.sequence),
        Array.from({ length: accepted.length }, (_, index) => index),
      )
      assert.equal((await log.bounds(HUB, 0)).next, accepted.length)
      assert.equal((await log.append(0, event('room again'))).sequence, accepted.length)
    })

    test('the bound on what may wait does not drift', async () => {
      const first = await flood()
      assert.ok(first < 4_000)
      for (let round = 0; round < 60; round++) {
        await Promise.all(Array.from({ length: 20 }, (_, partition) => log.append(partition, event('x'))))
      }
      assert.equal(await flood(), first)
    })

    test('close waits for what was accepted; afterwards everything is refused', async () => {
      const appended = Promise.all(Array.from({ length: 100 }, (_, index) => log.append(0, event(`${index}`))))
      const reopened = under.reopen()
      assert.equal((await appended).length, 100)
      const closed = log
      log = await reopened
      assert.equal((await texts(0)).length, 100)
      for (const call of [
        () => closed.append(0, event('late')),
        () => closed.read(HUB, 0, 0, PLENTY),
        () => closed.trim({ before: 0, maxBytes: 0 }),
      ]) {
        await assert.rejects(call, { code: 'shutting-down' })
      }
    })

    test('readers that run beside the writer see every event once and in order', async () => {
      const total = 3_000
      const seen: number[] = []
      const reader = async (): Promise<void> => {
        const commits = new EventEmitter()
        const stop = log.onCommit(HUB, 0, () => commits.emit('commit'))
        while (seen.length < total) {
          const committed = once(commits, 'commit')
          const events = await log.read(HUB, 0, seen.length, { events: 97, bytes: 1_000_000 })
          if (events.length === 0) await committed
          else seen.push(...events.map((stored) => Number(bodyOf(stored.event))))
        }
        stop()
      }
      const writer = async (): Promise<void> => {
        for (let index = 0; index < total; index += 50) {
          await fill(0, ...Array.from({ length: 50 }, (_, offset) => `${index + offset}`))
        }
      }
      await Promise.all([reader(), writer()])
      assert.deepEqual(
        seen,
        Array.from({ length: total }, (_, index) => index),
      )
    })
  })
}
