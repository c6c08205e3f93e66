import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import { connect as tlsConnect } from 'node:tls'
import { parseCertificate, publicationName } from '@holdfast/pki'
import { makeCrl } from '../revocation/crls.ts'
import { HOME, openPlant } from '../revocation/plant.ts'
import { OPERATOR_ROUTES } from '../roles/rights-table.ts'

/** Everything that comes back until the other side closes. */
async function exchange(port: number, bytes: string | Uint8Array): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1' })
  socket.on('error', () => {})
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  socket.write(bytes)
  await once(socket, 'close')
  return Buffer.concat(chunks).toString('latin1')
}

function statuses(answers: string): number[] {
  return [...answers.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status))
}

test('the port of CRLs answers for CRLs, and for nothing else of the server', async (t) => {
  const plant = await openPlant(t)
  await plant.live('pump', await plant.device('pump'))
  const crl = await makeCrl(plant.line, { number: 1 })
  const { path } = await plant.operate(`/hubs/${HOME}/crls`, 'POST', { crl: crl.toString('base64') })
  const port = plant.crlPort
  const end = 'Host: plant.test\r\nConnection: close\r\n\r\n'
  const ask = async (line: string, more = '') => statuses(await exchange(port, `${line} HTTP/1.1\r\n${more}${end}`))
  assert.deepEqual(await ask(`GET ${path}`), [200])
  for (const route of [
    ...Object.keys(OPERATOR_ROUTES),
    'GET /healthz',
    'GET /readyz',
    'GET /',
    'GET /$iothub/websocket',
  ]) {
    const [method = '', url = ''] = route.split(' ')
    assert.deepEqual(await ask(route), [method === 'GET' ? 404 : 405], route)
    assert.deepEqual(await ask(`GET http://plant.test${url}`), [404], route)
  }
  const file = path.slice('/crl/'.length)
  for (const target of [
    '/crl/',
    '/crl',
    `/crl/${'0'.repeat(40)}.crl`,
    `/crl/../holdfast/v1/status`,
    `/crl/..%2fholdfast/v1/status`,
    `/crl/%2e%2e/%2e%2e/etc/passwd`,
    `//crl/${file}`,
    `/CRL/${file}`,
    `/crl/${file.toUpperCase()}`,
    `${path}?`,
    `${path}?x=1`,
    `${path}/`,
    `${path}%00`,
    `${path};a`,
    `https://plant.test${path}`,
    '*',
  ])
    assert.deepEqual(await ask(`GET ${target}`), [404], target)
  for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE'])
    assert.deepEqual(await ask(`${method} ${path}`), [405], method)
  // An upgrade is not heeded, and a tunnel is not dug.
  const upgrade = 'Upgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n'
  assert.deepEqual(await ask('GET /$iothub/websocket', upgrade), [404])
  assert.deepEqual(await ask('CONNECT 127.0.0.1:22'), [])
})

test('what is no request of this kind is turned away, and a second one cannot hide in the body of the first', async (t) => {
  const plant = await openPlant(t)
  await plant.live('pump', await plant.device('pump'))
  const crl = await makeCrl(plant.line, { number: 1 })
  const { path } = await plant.operate(`/hubs/${HOME}/crls`, 'POST', { crl: crl.toString('base64') })
  assert.equal(path, `/crl/${publicationName(parseCertificate(plant.line.der))}.crl`)
  const port = plant.crlPort
  const hidden = `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`
  const line = `GET ${path} HTTP/1.1\r\nHost: x\r\n`
  assert.deepEqual(statuses(await exchange(port, `${line}Content-Length: ${hidden.length}\r\n\r\n${hidden}`)), [400])
  const chunked = `${hidden.length.toString(16)}\r\n${hidden}\r\n0\r\n\r\n`
  assert.deepEqual(statuses(await exchange(port, `${line}Transfer-Encoding: chunked\r\n\r\n${chunked}`)), [400])
  const both = `${line}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n${chunked}`
  assert.deepEqual(statuses(await exchange(port, both)), [400])
  assert.deepEqual(statuses(await exchange(port, `${line}X: ${'x'.repeat(5_000)}\r\n\r\n`)), [431])
  assert.deepEqual(statuses(await exchange(port, `GET ${path}${'x'.repeat(5_000)} HTTP/1.1\r\n\r\n`)), [431])
  assert.deepEqual(statuses(await exchange(port, Buffer.from('101000044d5154540402003c0000', 'hex'))), [400])
  assert.deepEqual(statuses(await exchange(port, 'AMQP\u0003\u0001\u0000\u0000')), [400])
  const tls = tlsConnect({ port, host: '127.0.0.1', rejectUnauthorized: false })
  const [error] = (await once(tls, 'error')) as [Error & { code?: string }]
  assert.match(`${error.code} ${error.message}`, /WRONG_VERSION|packet length|ECONNRESET|disconnected/)
})

test('one address holds a few connections at most, and who sends nothing is put out in time', async (t) => {
  const plant = await openPlant(t)
  const sockets: Socket[] = []
  t.after(() => sockets.forEach((socket) => socket.destroy()))
  const dial = async (): Promise<Socket> => {
    const socket = connect({ port: plant.crlPort, host: '127.0.0.1' })
    socket.on('error', () => {})
    sockets.push(socket)
    await once(socket, 'connect')
    return socket
  }
  const held = await Promise.all(Array.from({ length: 32 }, dial))
  const over = await dial()
  await once(over.resume(), 'close')
  const start = performance.now()
  const [slow = assert.fail()] = held
  slow.write('GET /crl/')
  // The time for a header block is five seconds.
  await Promise.all(held.filter((socket) => !socket.closed).map((socket) => once(socket.resume(), 'close')))
  assert.ok(performance.now() - start < 30_000)
  const again = await dial()
  again.write('GET / HTTP/1.0\r\n\r\n')
  const [chunk] = (await once(again, 'data')) as [Buffer]
  assert.match(chunk.toString(), /^HTTP\/1\.1 404 /)
})
