import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import type { AuthenticationSpec, BulkOperation, DeviceSpec } from '../../src/hub/registry/devices.ts'
import { parseDeviceId } from '../../src/model/ids.ts'
import type { Hint } from '../../src/ports/bus.ts'
import { FACTORY, LAB, openWorkbench } from './workbench.ts'
import type { Workbench } from './workbench.ts'

const ANY = { kind: 'any' } as const
const KEY = Buffer.alloc(32, 1).toString('base64')
const SHA1 = 'aB'.repeat(20)
const SHA256 = 'cD'.repeat(32)
const id = parseDeviceId

suite('device identities', () => {
  let bench: Workbench
  let hints: Hint[]
  before(async () => {
    bench = await openWorkbench()
    hints = []
    bench.bus.subscribe((hint) => hints.push(hint))
  })
  after(() => bench.close())

  test('are created once, with keys of their own', async () => {
    const device = await bench.devices.create(FACTORY, {
      deviceId: 'd1',
      statusReason: 'new',
      tags: { site: 1 },
      desired: { rate: 5 },
      authentication: { type: 'sas', symmetricKey: { primaryKey: '', secondaryKey: '' } },
    })
    assert.match(device.generationId, /^\d{18}$/)
    assert.match(Buffer.from(device.etag, 'base64').toString(), /^\d{9,10}$/)
    assert(device.authentication.type === 'sas')
    assert.equal(Buffer.from(device.authentication.primaryKey, 'base64').length, 32)
    assert.notEqual(device.authentication.primaryKey, device.authentication.secondaryKey)
    assert.deepEqual(device.twin.tags, { site: 1 })
    assert.deepEqual(device.twin.desired.values, { rate: 5 })
    assert.deepEqual(await bench.devices.get(FACTORY, id('d1')), device)
    await assert.rejects(bench.devices.create(FACTORY, { deviceId: 'd1' }), { code: 'device-already-exists' })
    await bench.devices.create(FACTORY, { deviceId: 'D1' })
    await bench.devices.create(LAB, { deviceId: 'd1' })
  })

  test('become another identity when made again under the same id', async () => {
    const first = await bench.devices.create(FACTORY, { deviceId: 'again' })
    await bench.devices.delete(FACTORY, first.deviceId, { kind: 'exactly', etag: first.etag })
    const second = await bench.devices.create(FACTORY, { deviceId: 'again' })
    assert.notEqual(second.generationId, first.generationId)
    assert.notEqual(second.etag, first.etag)
  })

  test('are updated by etag alone, and only when they exist', async () => {
    const made = await bench.devices.create(FACTORY, {
      deviceId: 'u',
      authentication: { type: 'certificateAuthority' },
    })
    const authentication = { type: 'certificateAuthority' }
    hints.length = 0
    bench.clock.time += 5_000
    const disabled = await bench.devices.update(
      FACTORY,
      { deviceId: 'u', status: 'Disabled', statusReason: 'lost', authentication },
      { kind: 'exactly', etag: made.etag },
    )
    assert.equal(disabled.status, 'disabled')
    assert.equal(disabled.statusUpdatedTime, bench.clock.now())
    assert.notEqual(disabled.etag, made.etag)
    assert.equal(disabled.generationId, made.generationId)
    const stale = bench.devices.update(FACTORY, { deviceId: 'u' }, { kind: 'exactly', etag: made.etag })
    await assert.rejects(stale, { code: 'precondition-failed' })
    await assert.rejects(bench.devices.update(FACTORY, { deviceId: 'ghost' }, ANY), { code: 'device-not-found' })
    const enabled = await bench.devices.update(FACTORY, { deviceId: 'u', authentication }, ANY)
    assert.deepEqual([enabled.status, enabled.statusReason], ['enabled', null])
    await assert.rejects(bench.devices.delete(FACTORY, made.deviceId, { kind: 'exactly', etag: made.etag }), {
      code: 'precondition-failed',
    })
    await bench.devices.delete(FACTORY, made.deviceId, ANY)
    await assert.rejects(bench.devices.delete(FACTORY, made.deviceId, ANY), { code: 'device-not-found' })
    const changes = hints.map((hint) => (hint.kind === 'device-changed' ? hint.change : hint.kind))
    assert.deepEqual(changes, ['disabled', 'updated', 'deleted'])
  })

  test('survive many unconditional updates at once without losing one', async () => {
    await bench.devices.create(FACTORY, { deviceId: 'busy' })
    const updates = Array.from({ length: 4 }, () => bench.devices.update(FACTORY, { deviceId: 'busy' }, ANY))
    const etags = new Set((await Promise.all(updates)).map(({ etag }) => etag))
    assert.equal(etags.size, 4)
  })

  test('get the authentication that is asked for or inferred', async () => {
    const cases: [AuthenticationSpec | null | undefined, string][] = [
      [undefined, 'sas'],
      [null, 'sas'],
      [{}, 'sas'],
      [{ type: null }, 'sas'],
      [{ type: '' }, 'sas'],
      [{ symmetricKey: { primaryKey: KEY, secondaryKey: KEY } }, 'sas'],
      [{ x509Thumbprint: { primaryThumbprint: SHA1 } }, 'selfSigned'],
      [{ x509Thumbprint: { secondaryThumbprint: SHA256 } }, 'selfSigned'],
      [{ type: 'selfSigned' }, 'selfSigned'],
      [{ type: 'certificateAuthority', x509Thumbprint: { primaryThumbprint: null } }, 'certificateAuthority'],
    ]
    for (const [index, [authentication, type]] of cases.entries()) {
      const spec: DeviceSpec = { deviceId: `auth${index}`, ...(authentication !== undefined && { authentication }) }
      assert.equal((await bench.devices.create(FACTORY, spec)).authentication.type, type)
    }
    const kept = await bench.devices.get(FACTORY, id('auth6'))
    assert.deepEqual(kept.authentication, { type: 'selfSigned', primaryThumbprint: SHA1, secondaryThumbprint: null })
  })

  test('are refused with what no device can be', async () => {
    const bad: Partial<DeviceSpec>[] = [
      { deviceId: '' },
      { deviceId: 'a b' },
      { deviceId: 'a/b' },
      { deviceId: 'ü' },
      { deviceId: 'x'.repeat(129) },
      { status: 'maybe' },
      { statusReason: 'x'.repeat(129) },
      { authentication: { type: 'none' } },
      { authentication: { type: 'SAS' } },
      { authentication: { type: 'tpm' } },
      symmetricKey(KEY, ''),
      symmetricKey('', KEY),
      symmetricKey('not base64', KEY),
      symmetricKey(bytes(15), KEY),
      symmetricKey(KEY, bytes(65)),
      symmetricKey(KEY, `${KEY}\n`),
      thumbprints(SHA1, SHA256),
      thumbprints('zz'.repeat(20), ''),
      thumbprints(SHA1.slice(1), ''),
      thumbprints(SHA1.replace(/(..)/g, '$1:').slice(0, -1), ''),
    ]
    for (const spec of bad) {
      const attempt = bench.devices.create(FACTORY, { deviceId: 'bad', ...spec })
      await assert.rejects(attempt, { code: 'argument-invalid' }, JSON.stringify(spec))
    }
    await assert.rejects(bench.devices.get(FACTORY, id('bad')), { code: 'device-not-found' })
  })

  test('are changed in bulk, each on its own merits, with modes in any case', async () => {
    const made = await bench.devices.bulk(LAB, [
      operation('create', 'b1'),
      operation('Create', 'b2'),
      operation('CREATEORUPDATE', 'b3'),
    ])
    assert.deepEqual(made, { isSuccessful: true, errors: [] })
    const { etag } = await bench.devices.get(LAB, id('b2'))
    const mixed = await bench.devices.bulk(LAB, [
      operation('create', 'b1'),
      operation('UpdateIfMatchETag', 'b2', { expected: { kind: 'exactly', etag } }),
      operation('DeleteIfMatchETag', 'b3', { expected: { kind: 'exactly', etag: 'AAAA' } }),
      operation('update', 'ghost'),
      operation('delete', 'a b'),
      operation('updateTwin', 'b4'),
      operation('explode', 'b5'),
      operation('updateIfMatchETag', 'b6'),
    ])
    assert.equal(mixed.isSuccessful, false)
    assert.deepEqual(
      mixed.errors.map(({ deviceId, error }) => [deviceId, error.code]),
      [
        ['b1', 'device-already-exists'],
        ['b3', 'precondition-failed'],
        ['ghost', 'device-not-found'],
        ['a b', 'argument-invalid'],
        ['b4', 'not-implemented'],
        ['b5', 'argument-invalid'],
        ['b6', 'argument-invalid'],
      ],
    )
    assert.notEqual((await bench.devices.get(LAB, id('b2'))).etag, etag)
    for (const operations of [
      [],
      Array.from({ length: 101 }, (_, index) => operation('create', `n${index}`)),
      [operation('create', 'x'), operation('delete', 'x')],
    ])
      await assert.rejects(bench.devices.bulk(LAB, operations), { code: 'argument-invalid' })
  })

  test('are listed by id and counted', async () => {
    assert.deepEqual(
      (await bench.devices.list(LAB, 2)).map(({ deviceId }) => deviceId),
      ['b1', 'b2'],
    )
    assert.deepEqual(
      (await bench.devices.list(LAB, 2, id('b2'))).map(({ deviceId }) => deviceId),
      ['b3', 'd1'],
    )
    await bench.devices.update(LAB, { deviceId: 'b1', status: 'disabled' }, ANY)
    assert.deepEqual(await bench.devices.statistics(LAB), { total: 4, enabled: 3, disabled: 1 })
  })
})

function symmetricKey(primaryKey: string, secondaryKey: string): Partial<DeviceSpec> {
  return { authentication: { symmetricKey: { primaryKey, secondaryKey } } }
}

function thumbprints(primaryThumbprint: string, secondaryThumbprint: string): Partial<DeviceSpec> {
  return { authentication: { x509Thumbprint: { primaryThumbprint, secondaryThumbprint } } }
}

function bytes(count: number): string {
  return Buffer.alloc(count, 1).toString('base64')
}

function operation(mode: string, deviceId: string, more: Partial<BulkOperation> = {}): BulkOperation {
  return { mode, expected: null, spec: { deviceId }, ...more }
}
