import assert from 'node:assert/strict'
import { createPublicKey } from 'node:crypto'
import { after, before, suite, test } from 'node:test'
import { keySigner, parseCertificate } from '@holdfast/pki'
import { generateConsumerKey, isSealError, openSealed, seal } from '@holdfast/seal'
import type { SealRequest } from '@holdfast/seal'
import { AnchorSet, PathVerifier } from '@holdfast/pki'
import { HubError } from '../../src/errors.ts'
import { Consumers } from '../../src/hub/telemetry/consumers.ts'
import type { DeviceSpec } from '../../src/hub/registry/devices.ts'
import { partitionOf } from '../../src/hub/telemetry/partition.ts'
import { SealedMessages } from '../../src/hub/telemetry/sealed.ts'
import { Telemetry } from '../../src/hub/telemetry/telemetry.ts'
import { parseDeviceId } from '../../src/model/ids.ts'
import type { DeviceMessage } from '../../src/model/message.ts'
import type { TelemetryLog } from '../../src/ports/telemetry-log.ts'
import { DAY, forge, makeDevice, makeIntermediate, makeRoot } from './certificates.ts'
import type { Made } from './certificates.ts'
import { claimOf, FACTORY, HOST, openWorkbench, peerWith, refusalOf, registerCa, sasToken } from './workbench.ts'
import type { Workbench } from './workbench.ts'

function message(body: Uint8Array): DeviceMessage {
  return { properties: {}, application: {}, body }
}

const ruleOf = async (attempt: Promise<unknown>) => {
  const { rule, area, code, identity, shown } = await refusalOf(attempt)
  assert.equal(area, 'telemetry')
  assert.equal(code, 'unauthorized')
  assert.match(identity, /^pump/)
  assert.match(shown, /tracking id/)
  return rule
}

suite('a device that must seal its messages', () => {
  let bench: Workbench
  let root: Made
  let line: Made
  before(async () => {
    bench = await openWorkbench()
    root = await makeRoot('Plant Root', bench.clock.now())
    line = await makeIntermediate(root, 'Line 7', bench.clock.now())
    await registerCa(bench, 'plant', root)
  })
  after(() => bench.close())

  const sealed = () => new SealedMessages(bench)
  const telemetryWith = (door = sealed(), log: TelemetryLog = bench.telemetryLog) =>
    new Telemetry({ ...bench, log, sealed: door })

  async function connect(id: string, spec: Partial<DeviceSpec> = {}, made?: Made) {
    const device = made ?? (await makeDevice(line, id, bench.clock.now()))
    const authentication = { type: 'certificateAuthority' }
    await bench.devices.create(FACTORY, { deviceId: id, authentication, sealed: 'verify', ...spec })
    return { device, from: await bench.door.device(claimOf(id), peerWith(device, line)) }
  }

  const sealing = ({ der, key }: Made, id: string, counter: number): Omit<SealRequest, 'payload'> => ({
    device: id,
    counter,
    chain: [parseCertificate(der), parseCertificate(line.der)],
    signer: keySigner(key),
  })
  async function stored(id: string): Promise<Uint8Array[]> {
    const partition = String(partitionOf(parseDeviceId(id), 4))
    const consumers = new Consumers({ ...bench, log: bench.telemetryLog })
    const reader = await consumers.open({
      hub: FACTORY,
      group: '$Default',
      partition,
      start: { kind: 'earliest' },
      epoch: null,
      name: `reader-of-${id}`,
    })
    const events = await reader.next({ events: 1000, bytes: 10_000_000 })
    reader.close()
    return events.filter(({ event }) => event.deviceId === id).map(({ event }) => event.body)
  }

  test('is heard when it does; what is stored is what came, and its consumer opens it', async () => {
    const { device, from } = await connect('pump-1')
    const consumer = generateConsumerKey()
    const recipient = createPublicKey(consumer)
    const payload = Buffer.from('{"bar":4.2}')
    const bytes = await seal({ ...sealing(device, 'pump-1', 1), payload, recipient })
    await telemetryWith().send(from, message(bytes))
    const body = (await stored('pump-1')).at(0) ?? new Uint8Array()
    assert.deepEqual(Buffer.from(body), Buffer.from(bytes))
    const opened = openSealed(body, {
      trust: { kind: 'authorities', anchors: new AnchorSet([parseCertificate(root.der)]) },
      verifier: new PathVerifier({ cacheSize: 4 }),
      now: bench.clock.now(),
      recipientKey: consumer,
    })
    if (isSealError(opened)) assert.fail(opened.message)
    assert.deepEqual(Buffer.from(opened.payload), payload)
  })

  test('is refused what is not sealed, changed, in another name, or signed by another', async () => {
    const { device, from } = await connect('pump-2')
    const telemetry = telemetryWith()
    const send = (body: Uint8Array) => telemetry.send(from, message(body))
    const payload = Buffer.from('21')
    const good = await seal({ ...sealing(device, 'pump-2', 1), payload })
    assert.equal(await ruleOf(send(Buffer.from('{"bar":4.2}'))), 'message-not-sealed')
    assert.equal(await ruleOf(send(new Uint8Array())), 'message-not-sealed')
    const changed = Uint8Array.from(good)
    changed[changed.length - 1] = (changed.at(-1) ?? 0) ^ 1
    assert.equal(await ruleOf(send(changed)), 'message-signature-wrong')
    assert.equal(await ruleOf(send(good.subarray(0, -1))), 'message-seal-malformed')
    const other = await makeDevice(line, 'pump-3', bench.clock.now())
    assert.equal(
      await ruleOf(send(await seal({ ...sealing(other, 'pump-3', 1), payload }))),
      'message-of-another-device',
    )
    assert.equal(await ruleOf(send(await seal({ ...sealing(other, 'pump-2', 1), payload }))), 'common-name-mismatch')
    const strangerRoot = await makeRoot('Plant Root', bench.clock.now())
    const stranger = await makeDevice(strangerRoot, 'pump-2', bench.clock.now())
    const forged = await seal({ ...sealing(stranger, 'pump-2', 1), payload })
    assert.match(await ruleOf(send(forged)), /^chain:/)
    await send(good)
    assert.equal((await stored('pump-2')).length, 1)
  })

  test('may send the very same message again, and no other with its counter or a lower one', async () => {
    const { device, from } = await connect('pump-4')
    const telemetry = telemetryWith()
    const make = (counter: number, text: string) =>
      seal({ ...sealing(device, 'pump-4', counter), payload: Buffer.from(text) })
    const first = await make(5, 'a')
    const position = await telemetry.send(from, message(first))
    assert.deepEqual(await telemetry.send(from, message(first)), position)
    assert.equal(await ruleOf(telemetry.send(from, message(await make(5, 'b')))), 'message-replayed')
    assert.equal(await ruleOf(telemetry.send(from, message(await make(4, 'c')))), 'message-replayed')
    await telemetry.send(from, message(await make(6, 'd')))
    assert.equal((await stored('pump-4')).length, 2)
  })

  test('is known to have counted after a restart', async () => {
    const { device, from } = await connect('pump-5')
    const make = (counter: number) => seal({ ...sealing(device, 'pump-5', counter), payload: Buffer.from('x') })
    const [one, two] = [await make(1), await make(2)]
    const before = telemetryWith()
    await before.send(from, message(one))
    const position = await before.send(from, message(two))
    const restarted = telemetryWith()
    assert.deepEqual(await restarted.send(from, message(two)), position)
    assert.equal(await ruleOf(restarted.send(from, message(await make(2)))), 'message-replayed')
    await restarted.send(from, message(await make(3)))
    assert.equal((await stored('pump-5')).length, 3)
  })

  test('keeps the order of what it sends at once', async () => {
    const { device, from } = await connect('pump-6')
    const telemetry = telemetryWith()
    const bodies = await Promise.all(
      Array.from({ length: 50 }, (_, index) =>
        seal({ ...sealing(device, 'pump-6', index), payload: Buffer.from([index]) }),
      ),
    )
    await Promise.all(
      [...bodies, ...bodies.slice(-1), ...bodies.slice(0, 1)].map((body) => telemetry.send(from, message(body))),
    )
    assert.deepEqual(
      (await stored('pump-6')).map((body) => Buffer.from(body)),
      bodies.map((body) => Buffer.from(body)),
    )
  })

  test('may send again what could not be stored', async () => {
    const { device, from } = await connect('pump-7')
    let full = true
    const log = new Proxy(bench.telemetryLog, {
      get: (target, name) => {
        if (name === 'append' && full) return () => Promise.reject(new HubError('storage-full', 'The disk is full.'))
        const value: unknown = Reflect.get(target, name, target)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
    const telemetry = telemetryWith(sealed(), log)
    const body = await seal({ ...sealing(device, 'pump-7', 1), payload: Buffer.from('x') })
    await assert.rejects(telemetry.send(from, message(body)), { code: 'storage-full' })
    full = false
    await telemetry.send(from, message(body))
    await telemetry.send(from, message(body))
    assert.equal((await stored('pump-7')).length, 1)
  })

  test('need not send the chain that it connected with', async () => {
    const { device, from } = await connect('pump-8')
    const body = await seal({ ...sealing(device, 'pump-8', 1), payload: Buffer.from('x'), thumbprintOnly: true })
    await telemetryWith().send(from, message(body))
    const other = await makeDevice(line, 'pump-8', bench.clock.now())
    const unknown = await seal({ ...sealing(other, 'pump-8', 2), payload: Buffer.from('x'), thumbprintOnly: true })
    assert.equal(await ruleOf(telemetryWith().send(from, message(unknown))), 'message-signer-unknown')
  })

  test('may connect by a key, or by a certificate that is known by its thumbprint', async () => {
    const device = await makeDevice(line, 'pump-9', bench.clock.now())
    const { authentication } = await bench.devices.create(FACTORY, { deviceId: 'pump-9', sealed: 'verify' })
    assert(authentication.type === 'sas')
    const se = bench.clock.now() / 1000 + 3600
    const token = sasToken({ sr: `${HOST}/devices/pump-9`, key: authentication.primaryKey, se })
    const byKey = await bench.door.device(claimOf('pump-9', { token }), peerWith())
    await telemetryWith().send(
      byKey,
      message(await seal({ ...sealing(device, 'pump-9', 1), payload: Buffer.from('x') })),
    )

    const now = bench.clock.now()
    const lone = await forge({ subject: [{ CN: ['pump-10'] }], notBefore: now - DAY, notAfter: now + DAY })
    const primaryThumbprint = parseCertificate(lone.der).sha256
    const spec = { authentication: { type: 'selfSigned', x509Thumbprint: { primaryThumbprint } } }
    const { from } = await connect('pump-10', spec, lone)
    const chain = [parseCertificate(lone.der)] as const
    const send = async (request: Omit<SealRequest, 'payload'>) =>
      telemetryWith().send(from, message(await seal({ ...request, payload: Buffer.from('x') })))
    await send({ ...sealing(lone, 'pump-10', 1), chain })
    const byCa = await makeDevice(line, 'pump-10', bench.clock.now())
    assert.equal(await ruleOf(send(sealing(byCa, 'pump-10', 2))), 'thumbprint-mismatch')
  })

  test('is refused from the moment on that the CA of its signer is gone', async () => {
    const shortRoot = await makeRoot('Short Root', bench.clock.now())
    await registerCa(bench, 'short', shortRoot)
    const device = await makeDevice(shortRoot, 'pump-11', bench.clock.now())
    await bench.devices.create(FACTORY, {
      deviceId: 'pump-11',
      authentication: { type: 'certificateAuthority' },
      sealed: 'verify',
    })
    const from = await bench.door.device(claimOf('pump-11'), peerWith(device))
    const telemetry = telemetryWith()
    const chain = [parseCertificate(device.der)] as const
    const make = (counter: number) => seal({ ...sealing(device, 'pump-11', counter), chain, payload: Buffer.from('x') })
    await telemetry.send(from, message(await make(1)))
    await bench.authorities.delete(FACTORY, 'short', { kind: 'any' })
    assert.match(await ruleOf(telemetry.send(from, message(await make(2)))), /^chain:/)
  })

  test('cannot send where nothing verifies; another device needs no seal', async () => {
    const { from } = await connect('pump-12')
    const blind = new Telemetry({ ...bench, log: bench.telemetryLog })
    await assert.rejects(blind.send(from, message(Buffer.from('x'))), { code: 'internal' })
    const { from: free } = await connect('pump-13', { sealed: 'off' })
    await telemetryWith().send(free, message(Buffer.from('x')))
    assert.equal(free.witness, null)
  })

  test('is a matter of the credential: switching it ends what rests on the old one', async () => {
    const { from } = await connect('pump-14', { sealed: 'off' })
    const spec = { deviceId: 'pump-14', authentication: { type: 'certificateAuthority' }, sealed: 'verify' } as const
    const updated = await bench.devices.update(FACTORY, spec, { kind: 'any' })
    const { credentialsOf } = await import('../../src/hub/findings/device-credential.ts')
    assert.ok(!credentialsOf(updated).includes(from.credential))
    const { sealed: _, ...unaware } = spec
    assert.equal((await bench.devices.update(FACTORY, unaware, { kind: 'any' })).sealed, 'verify')
  })
})
