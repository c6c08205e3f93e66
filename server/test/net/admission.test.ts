import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import { addressKeyOf } from '../../src/net/admission.ts'
import { closeOf, startListening } from './listening.ts'
import type { Listening } from './listening.ts'

async function rejectedBy(listening: Listening, limit: string): Promise<number> {
  const { values } = await listening.metrics.rejectedConnections.get()
  return values.find(({ labels }) => labels['limit'] === limit)?.value ?? 0
}

async function open(listening: Listening, count: number, firstAddress?: number): Promise<Socket[]> {
  const { admission } = listening.listeners
  const wanted = admission.openCount + count
  const sockets = Array.from({ length: count }, (_, number) =>
    connect({
      port: listening.ports.mqtts!,
      host: '127.0.0.1',
      localAddress: firstAddress === undefined ? '127.0.0.1' : `127.0.0.${firstAddress + number}`,
    }),
  )
  await Promise.all(sockets.map((socket) => once(socket, 'connect')))
  while (admission.openCount < wanted) await new Promise(setImmediate)
  return sockets
}

for (const [limit, limits] of [
  ['connections', { connections: 3 }],
  ['unauthenticated', { unauthenticated: 3 }],
  ['unauthenticatedPerAddress', { unauthenticatedPerAddress: 3 }],
] as const) {
  test(`a connection beyond '${limit}' is reset before the handshake and counted`, async (t) => {
    const listening = await startListening({ limits })
    t.after(() => listening.close())
    const sockets = await open(listening, 3, limit === 'unauthenticated' ? 2 : undefined)
    await closeOf(connect(listening.ports.mqtts!, '127.0.0.1').resume())
    assert.equal(await rejectedBy(listening, limit), 1)
    sockets.pop()?.destroy()
    while (listening.listeners.admission.openCount === 3) await new Promise(setImmediate)
    const socket = await listening.dial()
    assert.equal(String((await once(socket, 'data'))[0]), 'hello')
    for (const other of [...sockets, socket]) other.destroy()
    await listening.close()
    assert.equal(listening.listeners.admission.unauthenticatedCount, 0)
  })
}

test('one address cannot take the places of the others', async (t) => {
  const listening = await startListening({ limits: { unauthenticated: 10 } })
  t.after(() => listening.close())
  const greedy = await open(listening, 5)
  await closeOf(connect(listening.ports.mqtts!, '127.0.0.1').resume())
  assert.equal(await rejectedBy(listening, 'unauthenticatedPerAddress'), 1)
  const others = await open(listening, 5, 2)
  assert.equal(listening.listeners.admission.openCount, 10)
  for (const socket of [...greedy, ...others]) socket.destroy()
})

test('authenticated connections free the places of strangers', async (t) => {
  const listening = await startListening({ limits: { unauthenticated: 1 } })
  t.after(() => listening.close())
  const sockets = []
  for (let count = 0; count < 3; count += 1) {
    const socket = await listening.dial()
    await once(socket, 'data')
    sockets.push(socket)
  }
  assert.equal(listening.listeners.admission.openCount, 3)
  assert.equal(listening.listeners.admission.unauthenticatedCount, 0)
  for (const socket of sockets) socket.destroy()
})

test('whoever does not authenticate in time is put out, whoever did stays', async (t) => {
  const listening = await startListening({ limits: { handshakeSeconds: 5 }, passes: false })
  t.after(() => listening.close())
  const stranger = await listening.dial()
  await once(stranger, 'data')
  const known = await listening.dial()
  await once(known, 'data')
  listening.mqtt.accepted.at(-1)!.probation.passed()
  const closed = once(stranger, 'close')
  for (let second = 0; second < 6; second += 1) listening.listeners.admission.tick()
  await closed
  known.write('ping')
  assert.equal(String((await once(known, 'data'))[0]), 'ping')
  assert.equal(await rejectedBy(listening, 'handshakeSeconds'), 1)
  known.destroy()
})

test('addresses are counted as one subscriber has them', () => {
  assert.equal(addressKeyOf('192.0.2.7'), '192.0.2.7')
  assert.equal(addressKeyOf('::ffff:192.0.2.7'), '192.0.2.7')
  assert.equal(addressKeyOf('2001:db8:1:2:3:4:5:6'), '2001:db8:1:2')
  assert.equal(addressKeyOf('2001:db8::1'), '2001:db8:0:0')
  assert.equal(addressKeyOf('2001:db8::'), '2001:db8:0:0')
  assert.equal(addressKeyOf('::1'), '0:0:0:0')
  assert.equal(addressKeyOf('fe80::1%eth0'), 'fe80:0:0:0')
})
