import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { writeFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { HUB_HOST, startServer } from './running-server.ts'
import type { RunningServer } from './running-server.ts'

const JSON_TYPE = { 'content-type': 'application/json' }

/** Writes bytes as they are and returns all that comes back until the server closes. */
function raw(server: RunningServer, text: string): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port: server.port, servername: HUB_HOST, ca: server.rootPem })
  let answer = ''
  socket.setEncoding('utf8').on('data', (chunk: string) => (answer += chunk))
  // A server that closes while more is being sent resets the connection: its answer counts all the same.
  socket.on('error', () => undefined)
  socket.on('secureConnect', () => socket.write(text))
  const { promise, resolve } = Promise.withResolvers<string>()
  socket.on('close', () => resolve(answer))
  return promise
}

test('bad bodies are refused in words, each in the shape of its head', async (t) => {
  const server = await startServer(t)
  const headers = { ...JSON_TYPE, authorization: `Bearer ${server.token}` }
  const put = (body: string | Uint8Array, type = headers) =>
    server.ask('/holdfast/v1/hubs/plant/devices/d', { method: 'PUT', body, headers: type })
  const cases: [string, string | Uint8Array, RegExp][] = [
    ['malformed', '{"status":', /not valid JSON/],
    ['deep', '['.repeat(100_000), /nests deeper/],
    ['deep behind a string', `{"a":"\\"[[[","b":${'['.repeat(30)}${']'.repeat(30)}}`, /nests deeper/],
    ['not UTF-8', new Uint8Array([0x22, 0xff, 0xfe, 0x22]), /not valid UTF-8/],
    ['prototype', '{"__proto__":{"status":"enabled"}}', /__proto__/],
    ['an array', '[]', /object/],
    ['unknown member', '{"statuss":"enabled"}', /additional properties/],
    ['wrong type', '{"status":1}', /./],
  ]
  for (const [name, body, message] of cases) {
    const reply = await put(body)
    assert.equal(reply.status, 400, name)
    assert.match(reply.json.error.message, message, name)
    assert.match(reply.json.error.trackingId, /^[0-9a-f]{32}$/, name)
    assert.equal(reply.text.includes('node_modules'), false, name)
  }
  const typed = await put('status=enabled', { ...headers, 'content-type': 'application/x-www-form-urlencoded' })
  assert.equal(typed.status, 415)
  const large = await put(`{"statusReason":"${'x'.repeat(300_000)}"}`)
  assert.deepEqual([large.status, large.json.error.code], [413, 'message-too-large'])
})

test('bad paths and versions are refused in the shape of the head they are meant for', async (t) => {
  const server = await startServer(t)
  const bad = await server.ask('/devices/%zz?api-version=2021-04-12')
  assert.equal(bad.status, 400)
  assert.match(bad.json.Message, /^ErrorCode:IotHubFormatError;/)
  assert.equal((await server.ask('/devices/%ff?api-version=2021-04-12')).status, 400)
  for (const version of ['', '?api-version=', '?api-version=latest', '?api-version=2015-01-01'])
    assert.equal((await server.ask(`/devices/d${version}`)).headers['iothub-errorcode'], 'InvalidProtocolVersion')
  const long = await server.ask(`/devices/${'x'.repeat(2000)}?api-version=2021-04-12`)
  assert.ok(long.status === 404 || long.status === 414, String(long.status))

  assert.match((await server.ask('/nowhere')).json.Message, /There is no GET at this path/)
  const arm = await server.ask('/subscriptions/s/nowhere')
  assert.deepEqual([arm.status, arm.json.httpStatusCode], [404, 'NotFound'])
  const management = await server.ask('/holdfast/v1/nowhere')
  assert.equal(management.json.error.message, 'There is no GET at this path.')
})

test('a hub that is not here is told by its Host header', async (t) => {
  const server = await startServer(t)
  const reply = await server.ask('/devices/d?api-version=2021-04-12', { headers: { host: 'elsewhere.test' } })
  assert.deepEqual([reply.status, reply.headers['iothub-errorcode']], [404, 'IotHubNotFound'])
})

test('floods of headers and broken requests end the connection', async (t) => {
  const server = await startServer(t)
  const flood = Array.from({ length: 3000 }, (_, index) => `X-${index}: ${'y'.repeat(20)}`).join('\r\n')
  assert.match(await raw(server, `GET /healthz HTTP/1.1\r\nHost: ${HUB_HOST}\r\n${flood}\r\n\r\n`), /^HTTP\/1\.1 431 /)
  assert.match(await raw(server, 'GET /healthz HTTP/1.1\r\n\r\n'), /^HTTP\/1\.1 400 /)
  assert.match(await raw(server, '\u0000\u0001garbage\r\n\r\n'), /^HTTP\/1\.1 400 |^$/)
  const smuggled = `POST /devices HTTP/1.1\r\nHost: ${HUB_HOST}\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`
  assert.match(await raw(server, smuggled), /^HTTP\/1\.1 400 /)
  assert.equal((await server.ask('/healthz')).status, 200)
})

test('an address that asks too often is put off', async (t) => {
  const server = await startServer(t, { requestsPerMinute: 5 })
  const path = '/statistics/devices?api-version=2021-04-12'
  for (let asked = 0; asked < 5; asked++) assert.equal((await server.ask(path)).status, 401)
  const reply = await server.ask(path)
  assert.deepEqual([reply.status, reply.headers['iothub-errorcode']], [429, 'ThrottlingException'])
  assert.ok(Number(reply.headers['retry-after']) >= 1)
  assert.equal((await server.ask('/nowhere')).status, 429)
})

test('curl speaks to it over HTTP/1.1 with the server root alone', async (t) => {
  const server = await startServer(t)
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-curl-'))
  t.after(() => rm(folder, { recursive: true }))
  const root = join(folder, 'root.pem')
  await writeFile(root, server.rootPem)
  const url = `https://localhost:${server.port}/HealthZ/`
  const run = promisify(execFile)('curl', [
    '--silent',
    '--show-error',
    '--max-time',
    '5',
    '--ipv4',
    '--cacert',
    root,
    url,
  ])
  const done = await run.catch((error: NodeJS.ErrnoException) =>
    error.code === 'ENOENT' ? null : Promise.reject(error),
  )
  if (done === null) return t.skip('curl is not installed')
  assert.equal(done.stdout, '{"status":"alive"}')
})
