import assert from 'node:assert/strict'
import { setImmediate } from 'node:timers/promises'
import { after, afterEach, before, beforeEach, suite, test } from 'node:test'
import { Sessions } from '../../src/hub/sessions/sessions.ts'
import type { AuthenticatedDevice } from '../../src/hub/door/authenticate.ts'
import { certificateGround } from '../../src/model/ground.ts'
import { parseDeviceId } from '../../src/model/ids.ts'
import type { DeviceId, HubName } from '../../src/model/ids.ts'
import type { CloseReason, Session } from '../../src/model/session.ts'
import { makeDevice, makeIntermediate, makeRoot } from './certificates.ts'
import type { Made } from './certificates.ts'
import { claimOf, FACTORY, LAB, openWorkbench, peerWith, registerCa } from './workbench.ts'
import type { Workbench } from './workbench.ts'

const ANY = { kind: 'any' } as const
const CA = { type: 'certificateAuthority' }

/** What a head keeps of a connection. */
class Connection implements Session {
  readonly id = 'c'
  readonly hub: HubName
  readonly deviceId
  readonly moduleId = null
  readonly openedAt: number
  readonly peer = peerWith()
  readonly path: readonly string[]
  readonly grounds
  readonly expiresAt: number | null
  readonly asOf: number
  readonly credential: string
  readonly closed: Promise<CloseReason>
  reason: CloseReason | null = null
  #resolve: (reason: CloseReason) => void = () => {}

  constructor(who: AuthenticatedDevice, openedAt: number) {
    this.hub = who.hub
    this.deviceId = who.device.deviceId
    this.openedAt = openedAt
    this.path = who.path
    this.grounds = who.grounds
    this.expiresAt = who.expiresAt
    this.asOf = who.asOf
    this.credential = who.credential
    this.closed = new Promise((resolve) => {
      this.#resolve = resolve
    })
  }

  close(reason: CloseReason): void {
    this.reason = reason
    this.#resolve(reason)
  }

  probe(): void {}
}

suite('sessions', () => {
  let bench: Workbench
  let sessions: Sessions
  let now: number
  let root: Made
  let line: Made
  before(async () => {
    bench = await openWorkbench()
    now = bench.clock.now()
    root = await makeRoot('Acme Root', now)
    line = await makeIntermediate(root, 'Acme Line', now)
    await registerCa(bench, 'acme', root)
  })
  beforeEach(() => {
    bench.clock.time = now
    sessions = new Sessions({ ...bench })
  })
  afterEach(() => sessions.close())
  after(() => bench.close())

  /** Creates the device and lets it in. */
  const admit = async (deviceId: string, days = 10) => {
    if ((await bench.registry.devices.get(FACTORY, parseDeviceId(deviceId))) === null)
      await bench.devices.create(FACTORY, { deviceId, authentication: CA })
    return bench.door.device(claimOf(deviceId), peerWith(await makeDevice(line, deviceId, now, days), line))
  }
  /** Bookkeeping is written in batches: reads until it is there. */
  const touched = async (deviceId: DeviceId) => {
    for (;;) {
      const device = await bench.devices.get(FACTORY, deviceId)
      if (device.connectionStateUpdatedTime !== null) return device
      await setImmediate()
    }
  }
  const connect = (who: AuthenticatedDevice) => {
    const connection = new Connection(who, bench.clock.now())
    sessions.open(connection)
    return connection
  }

  test('are found by identity while they last, and tell the registry', { timeout: 10_000 }, async () => {
    const who = await admit('d1')
    const { deviceId } = who.device
    assert.equal(sessions.find(FACTORY, deviceId), null)
    const connection = connect(who)
    assert.equal(sessions.find(FACTORY, deviceId), connection)
    assert.equal(sessions.find(LAB, deviceId), null)
    assert.equal(sessions.find(FACTORY, deviceId, 'module'), null)
    assert.deepEqual([sessions.count(), sessions.count(FACTORY), sessions.count(LAB)], [1, 1, 0])
    bench.clock.time = now + 7_000
    sessions.end(connection)
    sessions.end(connection)
    assert.deepEqual([sessions.count(), sessions.count(FACTORY)], [0, 0])
    assert.equal(connection.reason, null)
    const device = await touched(deviceId)
    assert.equal(device.connectionStateUpdatedTime, now + 7_000)
    assert.equal(device.lastActivityTime, now + 7_000)
    assert.equal(device.etag, who.device.etag)
  })

  test('yield to a newer one of the same identity, whose place an older end does not take', async () => {
    const who = await admit('d2')
    const older = connect(who)
    const newer = connect(who)
    assert.equal(older.reason, 'superseded')
    sessions.end(older)
    assert.equal(sessions.find(FACTORY, who.device.deviceId), newer)
    assert.equal(sessions.count(), 1)
    const gauge = await bench.metrics.connections.get()
    assert.equal(gauge.values[0]?.value, 1)
    sessions.closeAll('shutting-down')
    assert.equal(newer.reason, 'shutting-down')
    assert.equal(sessions.count(), 0)
  })

  test('close when the device is disabled, deleted, or given another credential', async () => {
    for (const [index, spec] of [{ status: 'disabled', authentication: CA }, { authentication: {} }].entries()) {
      const connection = connect(await admit(`changed${index}`))
      await bench.devices.update(FACTORY, { deviceId: connection.deviceId, ...spec }, ANY)
      assert.equal(await connection.closed, 'device-changed')
    }
    const connection = connect(await admit('deleted'))
    await bench.devices.delete(FACTORY, connection.deviceId, ANY)
    assert.equal(await connection.closed, 'device-changed')
    assert.equal(sessions.count(), 0)
  })

  test('stay open when something else of the device changes, or another device does', async () => {
    const connection = connect(await admit('steady'))
    const neighbour = connect(await admit('neighbour'))
    await bench.devices.update(FACTORY, { deviceId: 'steady', statusReason: 'checked', authentication: CA }, ANY)
    await bench.devices.delete(FACTORY, neighbour.deviceId, ANY)
    await neighbour.closed
    assert.equal(connection.reason, null)
    assert.equal(sessions.find(FACTORY, connection.deviceId), connection)
  })

  test('close when the device was disabled between its proof and its opening', async () => {
    const who = await admit('racer')
    await bench.devices.update(FACTORY, { deviceId: 'racer', status: 'disabled', authentication: CA }, ANY)
    assert.equal(await connect(who).closed, 'device-changed')
  })

  test('close when the device was made again between its proof and its opening', async () => {
    const who = await admit('phoenix')
    await bench.devices.delete(FACTORY, who.device.deviceId, ANY)
    await bench.devices.create(FACTORY, { deviceId: 'phoenix', authentication: CA })
    assert.equal(await connect(who).closed, 'device-changed')
  })

  test('close within a second of their expiry', async () => {
    const short = connect(await admit('short', 1))
    const long = connect(await admit('long', 2))
    const end = short.expiresAt ?? 0
    bench.clock.time = end - 1
    bench.holders.endExpired()
    assert.equal(short.reason, null)
    bench.clock.time = end + 1_000
    bench.holders.endExpired()
    assert.equal(short.reason, 'credential-expired')
    assert.equal(long.reason, null)
    assert.equal(sessions.count(), 1)
  })

  test('close with any certificate of their path', async () => {
    const [one, two] = [connect(await admit('one')), connect(await admit('two'))]
    const [leaf, intermediate, anchor] = one.path.map((id) => certificateGround(FACTORY, id))
    assert.ok(leaf !== undefined && intermediate !== undefined && anchor !== undefined)
    assert.equal(one.path.length, 3)
    assert.equal(bench.holders.end(leaf, 'revoked'), 1)
    assert.equal(one.reason, 'revoked')
    assert.equal(two.reason, null)
    // The sessions of the tests before hang on it too.
    assert.ok(bench.holders.end(intermediate, 'revoked') >= 1)
    assert.equal(two.reason, 'revoked')
    assert.equal(bench.holders.end(anchor, 'revoked'), 0)
  })
})
