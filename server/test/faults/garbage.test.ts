import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect as netConnect } from 'node:net'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as tlsConnect } from 'node:tls'
import { after, before, describe, test } from 'node:test'
import { deviceOf, readEverything } from '../e2e/event-reading.ts'
import { SpawnedServer } from '../e2e/spawned-server.ts'
import { HUB } from '../e2e/whole-server.ts'
import { makeFleet } from './fleet.ts'

/** Of each kind, on each port, at the same time. */
const TIMES = 10
const DEVICES = 4
/** Another address than the devices', so that what it is refused is not refused to them. */
const ATTACKER = '127.0.0.2'
const HANDSHAKE_SECONDS = 2
const GROWTH_LIMIT = 120 * 1024 * 1024

const CLIENT_HELLO_START = Buffer.from('16030102000100', 'hex')
const HUGE_PUBLISH = Buffer.from([0x30, 0xff, 0xff, 0xff, 0x7f, 0, 1, 0x61])
const HUGE_CONNECT = Buffer.from([0x10, 0xff, 0xff, 0xff, 0x7f, 0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 2, 0, 60])
const HUGE_AMQP = Buffer.concat([Buffer.from('AMQP\x03\x01\x00\x00', 'latin1'), Buffer.alloc(64, 0xff)])
const HUGE_HEADER = Buffer.from(`GET / HTTP/1.1\r\nhost: a\r\nx: ${'x'.repeat(200_000)}\r\n\r\n`)
const SMUGGLED = Buffer.from(
  'POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET',
)
const UPGRADE = Buffer.concat([
  Buffer.from(
    'GET /$iothub/websocket HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\n' +
      'sec-websocket-version: 13\r\nsec-websocket-protocol: mqtt\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
  ),
  Buffer.alloc(64, 0xff),
])

/** What is written, and whether inside TLS. Silence must end by the time limit, the rest at once or by it. */
const ATTACKS: [isTls: boolean, bytes: () => Buffer][] = [
  [false, () => randomBytes(1_000)],
  [false, () => CLIENT_HELLO_START],
  [false, () => Buffer.from('GET / HTTP/1.1\r\n\r\n')],
  [false, () => Buffer.alloc(0)],
  [true, () => randomBytes(1_000)],
  [true, () => HUGE_PUBLISH],
  [true, () => HUGE_CONNECT],
  [true, () => HUGE_AMQP],
  [true, () => HUGE_HEADER],
  [true, () => SMUGGLED],
  [true, () => UPGRADE],
  [true, () => Buffer.alloc(0)],
]

/** Resolves when the server has ended the connection: the attacker never does. */
async function attack(port: number, isTls: boolean, bytes: Buffer): Promise<void> {
  const tcp = netConnect({ port, host: '127.0.0.1', localAddress: ATTACKER })
  const socket: Socket = isTls ? tlsConnect({ socket: tcp, rejectUnauthorized: false }) : tcp
  for (const each of new Set([tcp, socket])) each.on('error', () => {})
  const closed = new Promise((resolve) => tcp.once('close', resolve))
  if (bytes.length > 0) socket.write(bytes)
  socket.resume()
  await closed
}

describe('a flood of garbage on every port', () => {
  const data = mkdtempSync(join(tmpdir(), 'holdfast-garbage-'))
  let server: SpawnedServer
  before(async () => {
    server = await SpawnedServer.start(data, { limits: { handshakeSeconds: HANDSHAKE_SECONDS } })
  })
  after(async () => {
    await server.kill()
    rmSync(data, { recursive: true, force: true })
  })

  test('ends every one of its connections while real devices go on', { timeout: 150_000 }, async (t) => {
    const devices = await makeFleet(server.operator, DEVICES, 200)
    await Promise.all(devices.map((device) => device.connect(server.ports.mqtt, server.operator.ca)))
    const before = server.residentBytes
    let isOver = false
    const flights = devices.map((device) =>
      device.flood(
        () => {},
        () => isOver,
      ),
    )
    const started = performance.now()
    const ports = Object.values(server.ports).filter((port): port is number => typeof port === 'number')
    const wave = ports.flatMap((port) =>
      ATTACKS.flatMap(([isTls, bytes]) => Array.from({ length: TIMES }, () => attack(port, isTls, bytes()))),
    )
    await Promise.all(wave)
    const took = performance.now() - started
    const during = devices.map((device) => device.acknowledgedCount)
    isOver = true
    await Promise.all(flights)
    const growth = server.residentBytes - before
    assert.ok(growth < GROWTH_LIMIT, `${growth} bytes more`)
    for (const count of during) assert.ok(count > 100, `a device got only ${count} messages through`)
    for (const device of devices) device.close()

    // The rest of the world finds everything as it should be.
    const events = await readEverything(await server.operator.eventsConnectionString(HUB))
    for (const device of devices)
      device.requireKept(events.filter((event) => deviceOf(event) === device.id).map(({ body }) => Number(body)))
    assert.equal(server.complaints, '')
    const { value } = await server.operator.call<{ value: { peer: { address: string } }[] }>(
      'GET',
      `/holdfast/v1/refusals?address=${ATTACKER}&limit=1000`,
    )
    assert.ok(value.length > 0)
    t.diagnostic(
      `${wave.length} connections ended in ${Math.round(took)} ms; meanwhile ` +
        `${during.reduce((sum, count) => sum + count, 0)} messages; ${Math.round(growth / 1024 / 1024)} MB more; ${value.length} refusals`,
    )
    await server.stop()
  })
})
