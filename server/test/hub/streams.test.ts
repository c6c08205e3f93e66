import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import type { AuthenticatedDevice } from '../../src/hub/door/authenticate.ts'
import { Consumers } from '../../src/hub/telemetry/consumers.ts'
import type { EventReader, OpenRequest } from '../../src/hub/telemetry/consumers.ts'
import { partitionOf } from '../../src/hub/telemetry/partition.ts'
import type { DeviceMessage } from '../../src/model/message.ts'
import { MAX_APPLICATION_PROPERTIES, Telemetry } from '../../src/hub/telemetry/telemetry.ts'
import { claimOf, FACTORY, HOST, LAB, openWorkbench, peerWith, sasToken } from './workbench.ts'
import type { Workbench } from './workbench.ts'

suite('the stream of a hub', () => {
  let bench: Workbench
  let telemetry: Telemetry
  let consumers: Consumers
  let sender: AuthenticatedDevice
  let partition: string
  before(async () => {
    bench = await openWorkbench()
    telemetry = new Telemetry({ ...bench, log: bench.telemetryLog })
    consumers = new Consumers({ ...bench, log: bench.telemetryLog })
    const { authentication, deviceId } = await bench.devices.create(FACTORY, { deviceId: 'sender' })
    assert(authentication.type === 'sas')
    const sr = `${HOST}/devices/sender`
    const token = sasToken({ sr, key: authentication.primaryKey, se: bench.clock.now() / 1000 + 3600 })
    sender = await bench.door.device(claimOf('sender', { token, modelId: 'dtmi:x;1' }), peerWith())
    partition = String(partitionOf(deviceId, 4))
  })
  after(() => bench.close())

  const send = (body: string) => telemetry.send(sender, message(body))
  const open = (more: Partial<OpenRequest> = {}) =>
    consumers.open({
      hub: FACTORY,
      group: '$Default',
      partition,
      start: { kind: 'earliest' },
      epoch: null,
      name: 'r',
      ...more,
    })
  const budget = { events: 100, bytes: 1_000_000 }
  const bodies = async (reader: EventReader, count: number, events = 100) => {
    const got: string[] = []
    while (got.length < count)
      for (const { event } of await reader.next({ ...budget, events })) got.push(Buffer.from(event.body).toString())
    return got
  }

  test('stamps a message with who sent it', async () => {
    const position = await telemetry.send(
      sender,
      message('hi', { properties: { messageId: 'm1', contentType: 'text/plain' }, application: { a: '1' } }),
    )
    assert.deepEqual(position, { partition: Number(partition), sequence: 0, enqueuedTime: bench.clock.now() })
    const reader = await open()
    const [stored] = await reader.next(budget)
    reader.close()
    assert.deepEqual(stored?.position, position)
    assert.deepEqual(
      { ...stored?.event, body: Buffer.from(stored?.event.body ?? []).toString() },
      {
        hub: FACTORY,
        deviceId: 'sender',
        moduleId: null,
        generationId: sender.device.generationId,
        authMethod: sender.authMethod,
        source: 'Telemetry',
        modelId: 'dtmi:x;1',
        properties: { messageId: 'm1', contentType: 'text/plain' },
        application: { a: '1' },
        body: 'hi',
      },
    )
  })

  test('refuses what is too large, to the byte', async () => {
    const limit = 256 * 1024
    const next = (await consumers.partitionInfo(FACTORY, partition)).next
    await telemetry.send(sender, message('', { body: Buffer.alloc(limit - 5), application: { key: 'ü' } }))
    const tooLarge = { code: 'message-too-large' }
    await assert.rejects(telemetry.send(sender, message('', { body: Buffer.alloc(limit + 1) })), tooLarge)
    await assert.rejects(
      telemetry.send(sender, message('', { body: Buffer.alloc(limit - 4), application: { key: 'ü' } })),
      tooLarge,
    )
    await assert.rejects(
      telemetry.send(sender, message('', { body: Buffer.alloc(limit), properties: { contentType: 'x' } })),
      tooLarge,
    )
    const many = Object.fromEntries(
      Array.from({ length: MAX_APPLICATION_PROPERTIES + 1 }, (_, index) => [`k${index}`, '']),
    )
    await assert.rejects(telemetry.send(sender, message('', { application: many })), { code: 'argument-invalid' })
    await assert.rejects(telemetry.send(sender, message('', { properties: { messageId: 'x'.repeat(129) } })), {
      code: 'argument-invalid',
    })
    assert.equal((await consumers.partitionInfo(FACTORY, partition)).next, next + 1)
  })

  test('is read from a backlog into live events without gap or repeat', async () => {
    const start = (await consumers.partitionInfo(FACTORY, partition)).next
    const expected = Array.from({ length: 300 }, (_, index) => `e${index}`)
    await Promise.all(expected.slice(0, 100).map(send))
    const reader = await open({ start: { kind: 'sequence', sequence: start, inclusive: true } })
    const reading = bodies(reader, 300, 7)
    for (const body of expected.slice(100, 150)) await send(body)
    await Promise.all(expected.slice(150).map(send))
    assert.deepEqual(await reading, expected)
    reader.close()
  })

  test('starts where it is asked to', async () => {
    const { next } = await consumers.partitionInfo(FACTORY, partition)
    const at = bench.clock.now()
    bench.clock.time += 10_000
    await send('a')
    bench.clock.time += 10_000
    await send('b')
    const stored: [OpenRequest['start'], string][] = [
      [{ kind: 'sequence', sequence: next, inclusive: true }, 'a'],
      [{ kind: 'sequence', sequence: next, inclusive: false }, 'b'],
      [{ kind: 'offset', offset: String(next), inclusive: true }, 'a'],
      [{ kind: 'offset', offset: String(next), inclusive: false }, 'b'],
      [{ kind: 'time', after: at }, 'a'],
      [{ kind: 'time', after: at + 9_999 }, 'a'],
      [{ kind: 'time', after: at + 10_000 }, 'b'],
    ]
    for (const [start, first] of stored) {
      const reader = await open({ start })
      assert.deepEqual(await bodies(reader, 1, 1), [first], JSON.stringify(start))
      reader.close()
    }
    const yetToCome: OpenRequest['start'][] = [
      { kind: 'latest' },
      { kind: 'sequence', sequence: next + 1, inclusive: false },
      { kind: 'time', after: at + 10_000_000 },
    ]
    const readers = await Promise.all(yetToCome.map((start) => open({ start })))
    const reading = readers.map((reader) => bodies(reader, 1))
    await send('c')
    assert.deepEqual(await Promise.all(reading), [['c'], ['c'], ['c']])
    for (const reader of readers) reader.close()
  })

  test('refuses a position past its end and an offset that is none', async () => {
    const { next } = await consumers.partitionInfo(FACTORY, partition)
    for (const start of [
      { kind: 'sequence', sequence: next, inclusive: false },
      { kind: 'sequence', sequence: 2 ** 60, inclusive: true },
      { kind: 'offset', offset: '-2', inclusive: false },
      { kind: 'offset', offset: "1' or '1'='1", inclusive: false },
      { kind: 'offset', offset: '', inclusive: true },
    ] as const)
      await assert.rejects(open({ start }), { code: 'argument-invalid' }, JSON.stringify(start))
    await assert.rejects(open({ partition: '4' }), { code: 'partition-not-found' })
    await assert.rejects(open({ partition: '-1' }), { code: 'partition-not-found' })
    await assert.rejects(open({ partition: '' }), { code: 'partition-not-found' })
    assert.deepEqual(consumers.partitionIds(FACTORY), ['0', '1', '2', '3'])
    assert.deepEqual(consumers.partitionIds(LAB), ['0', '1'])
  })

  test('is left by closing, by a signal, and by both while waiting', async () => {
    const latest = { start: { kind: 'latest' } } as const
    const closing = await open(latest)
    const closed = assert.rejects(closing.next(budget), { code: 'connection-superseded' })
    closing.close()
    await closed
    const leaving = await open(latest)
    const controller = new AbortController()
    const left = assert.rejects(leaving.next(budget, controller.signal), { name: 'AbortError' })
    controller.abort()
    await left
    // The place is kept: nothing was taken.
    const again = leaving.next(budget)
    await send('after')
    assert.equal(Buffer.from((await again)[0]?.event.body ?? []).toString(), 'after')
    await assert.rejects(leaving.next(budget, AbortSignal.abort()), { name: 'AbortError' })
    leaving.close()
    await assert.rejects(leaving.next(budget), { code: 'connection-superseded' })
  })

  test('gives a reader with a small budget one event at a time, and holds nothing for one that rests', async () => {
    const { next: sequence } = await consumers.partitionInfo(FACTORY, partition)
    const start = { kind: 'sequence', sequence, inclusive: true } as const
    const [quick, resting] = await Promise.all([open({ start }), open({ start })])
    const sent = Array.from({ length: 20 }, (_, index) => String.fromCharCode(97 + index).repeat(100_000))
    await Promise.all(sent.map(send))
    for (const body of sent) {
      const [only, ...others] = await quick.next({ events: 100, bytes: 1 })
      assert.equal(Buffer.from(only?.event.body ?? []).toString(), body)
      assert.deepEqual(others, [])
    }
    assert.deepEqual(await bodies(resting, 20), sent)
    for (const reader of [quick, resting]) reader.close()
  })

  test('seats five readers, or one with an epoch', async () => {
    const shared = await Promise.all(Array.from({ length: 5 }, () => open()))
    await assert.rejects(open(), { code: 'reader-limit-exceeded' })
    shared[0]?.close()
    shared[0] = await open()
    const waiting = await open({ partition: partition === '0' ? '1' : '0', start: { kind: 'latest' } })

    const first = await open({ epoch: 1, name: 'first', start: { kind: 'latest' } })
    for (const reader of shared) await assert.rejects(reader.next(budget), { code: 'reader-stolen' })
    await assert.rejects(open({ name: 'plain' }), { code: 'reader-stolen' })
    await assert.rejects(open({ epoch: 0 }), { code: 'reader-stolen' })
    const stolen = assert.rejects(first.next(budget), {
      code: 'reader-stolen',
      message:
        "New receiver 'second' with higher epoch of '1' is created hence current receiver 'first' with epoch '1' is getting disconnected.",
    })
    const told = new Promise<string>((resolve) => first.onEnd(({ code }) => resolve(code)))
    const second = await open({ epoch: 1, name: 'second' })
    assert.equal(await told, 'reader-stolen')
    first.onEnd(({ code }) => assert.equal(code, 'reader-stolen'))
    await stolen
    first.close()
    const higher = await open({ epoch: 9 })
    await assert.rejects(second.next(budget), { code: 'reader-stolen' })
    await assert.rejects(open({ epoch: 8 }), { code: 'reader-stolen' })
    higher.close()
    const after = await open()
    assert.equal((await after.next({ ...budget, events: 1 })).length, 1)
    for (const reader of [after, waiting]) reader.close()
  })

  test('has consumer groups that do not disturb each other', async () => {
    assert.deepEqual(await consumers.groups(FACTORY), ['$Default'])
    await consumers.createGroup(FACTORY, 'Analytics')
    assert.deepEqual(await consumers.groups(FACTORY), ['$Default', 'Analytics'])
    assert.deepEqual(await consumers.groups(LAB), ['$Default'])
    await assert.rejects(consumers.createGroup(FACTORY, 'analytics'), { code: 'consumer-group-already-exists' })
    await assert.rejects(consumers.createGroup(FACTORY, '$default'), { code: 'argument-invalid' })
    for (const name of ['', 'a/b', '-a', 'x'.repeat(51), 'ü'])
      await assert.rejects(consumers.createGroup(FACTORY, name), { code: 'argument-invalid' })
    const owner = await open({ group: 'ANALYTICS', epoch: 5 })
    const other = await open({ group: '$DEFAULT' })
    await assert.rejects(open({ group: 'analytics' }), { code: 'reader-stolen' })
    await assert.rejects(open({ group: 'nobody' }), { code: 'consumer-group-not-found' })
    await consumers.deleteGroup(FACTORY, 'analytics')
    await assert.rejects(owner.next(budget), { code: 'consumer-group-not-found' })
    await assert.rejects(consumers.deleteGroup(FACTORY, 'analytics'), { code: 'consumer-group-not-found' })
    await assert.rejects(consumers.deleteGroup(FACTORY, '$default'), { code: 'argument-invalid' })
    assert.ok((await other.next({ ...budget, events: 1 })).length === 1)
    other.close()
  })

  test('was made when it was first asked for, for good', async () => {
    const { createdAt } = await consumers.hubInfo(FACTORY)
    bench.clock.time += 60_000
    assert.deepEqual(await consumers.hubInfo(FACTORY), { createdAt })
  })
})

function message(body: string, more: Partial<DeviceMessage> = {}): DeviceMessage {
  return { properties: {}, application: {}, body: Buffer.from(body), ...more }
}
