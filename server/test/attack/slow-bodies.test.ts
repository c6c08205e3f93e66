import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:tls'
import type { TLSSocket } from 'node:tls'
import { suite, test } from 'node:test'
import type { TestContext } from 'node:test'
import { makeDevice, makeRoot } from '../http/certificates.ts'
import type { TestIdentity } from '../http/certificates.ts'
import { HUB, HUB_HOST, startServer } from '../http/running-server.ts'
import type { RunningServer } from '../http/running-server.ts'

/** A request whose head has come and whose body has not. */
interface Begun {
  /** Sends the body; resolves to the status of the answer. */
  finish(): Promise<number>
}

async function begin(
  t: TestContext,
  server: RunningServer,
  { head, body, identity }: { head: readonly string[]; body: string; identity?: TestIdentity },
): Promise<Begun> {
  const socket: TLSSocket = connect({
    host: '127.0.0.1',
    port: server.port,
    servername: HUB_HOST,
    ca: server.rootPem,
    ...(identity && { cert: identity.cert, key: identity.key }),
  })
  t.after(() => socket.destroy())
  await once(socket, 'secureConnect')
  const lines = [...head, `host: ${HUB_HOST}`, `content-length: ${body.length}`, 'expect: 100-continue']
  socket.write(`${lines.join('\r\n')}\r\n\r\n`)
  // The server asks for the body once it has the head.
  const [first] = (await once(socket, 'data')) as [Buffer]
  assert.match(first.toString(), /^HTTP\/1\.1 100 /)
  return {
    finish: async () => {
      socket.write(body)
      const [answer] = (await once(socket, 'data')) as [Buffer]
      return Number(answer.toString().split(' ', 2)[1])
    },
  }
}

/** Until every request that has come is judged: one that comes later is answered. */
async function judged(server: RunningServer): Promise<void> {
  for (let times = 0; times < 5; times++) await server.operate('/status')
}

suite('a request that keeps its body back', () => {
  test('sends no telemetry once its device is disabled', async (t) => {
    const server = await startServer(t)
    const root = await makeRoot('Attack Root')
    await server.operate(`/hubs/${HUB}/authorities/root`, {
      method: 'PUT',
      body: { certificate: root.pem, verified: true },
    })
    const authentication = { type: 'certificateAuthority' }
    await server.operate(`/hubs/${HUB}/devices/pump`, { method: 'PUT', body: { authentication } })
    const identity = await makeDevice(root, 'pump', [])
    const head = ['POST /devices/pump/messages/events?api-version=2021-04-12 HTTP/1.1']
    const honest = await begin(t, server, { head, body: 'hello', identity })
    assert.equal(await honest.finish(), 204)
    const late = await begin(t, server, { head, body: 'after the cut', identity })
    await judged(server)
    await server.operate(`/hubs/${HUB}/devices/pump`, { method: 'PATCH', body: { status: 'disabled' } })
    assert.equal(await late.finish(), 403)
  })

  test('changes nothing once its operator was revoked', async (t) => {
    const server = await startServer(t)
    await server.operate('/operators/mallory', { method: 'PUT', body: { role: 'operator' } })
    const { json } = await server.operate('/operators/mallory/tokens', { method: 'POST', body: {} })
    const head = [
      `PUT /holdfast/v1/hubs/${HUB}/devices/backdoor HTTP/1.1`,
      `authorization: Bearer ${json.token}`,
      'content-type: application/json',
    ]
    const late = await begin(t, server, { head, body: '{}' })
    await judged(server)
    assert.equal((await server.operate('/operators/mallory', { method: 'DELETE' })).status, 204)
    assert.equal(await late.finish(), 401)
    assert.equal((await server.operate(`/hubs/${HUB}/devices/backdoor`)).status, 404)
  })
})
