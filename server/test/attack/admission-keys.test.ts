import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import { Admission } from '../../src/net/admission.ts'
import { createServer } from 'node:net'
import { Metrics } from '../../src/metrics.ts'

const LIMITS = { connections: 100, unauthenticated: 4, unauthenticatedPerAddress: 4, handshakeSeconds: 5 }

test('connections from one source port to two addresses of the server are counted apart', async (t) => {
  const admission = new Admission(LIMITS, new Metrics())
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.resume()
    admission.enter(socket, () => {})
  }).listen(0, '0.0.0.0')
  await once(server, 'listening')
  t.after(async () => {
    server.close()
    await admission.drain(0)
  })
  const { port } = server.address() as { port: number }
  const dial = async (host: string, localPort = 0): Promise<Socket> => {
    const socket = connect({ port, host, localAddress: '127.0.0.9', localPort })
    socket.on('error', () => {})
    await once(socket, 'connect')
    return socket
  }
  for (let round = 0; round < 6; round++) {
    const one = await dial('127.0.0.1')
    const other = await dial('127.0.0.2', one.localPort ?? 0)
    while (admission.openCount < 2) await new Promise(setImmediate)
    assert.equal(admission.unauthenticatedCount, 2)
    for (const socket of [one, other]) socket.destroy()
    while (admission.openCount > 0) await new Promise(setImmediate)
  }
  assert.equal(admission.unauthenticatedCount, 0)
})
