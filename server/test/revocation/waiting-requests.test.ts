import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { makeDevice, makeRoot } from '../http/certificates.ts'
import { startServer } from '../http/running-server.ts'
import type { Ask, Reply, RunningServer } from '../http/running-server.ts'

const FOLLOW = '/holdfast/v1/refusals?after=1000000&wait=30'
/** As many as may wait: one more is turned away, which shows that all others wait. */
const PLACES = 16
/** Far less than the thirty seconds that such a request may wait. */
const AT_ONCE_MS = 10_000

async function makeOperator(server: RunningServer): Promise<void> {
  assert.equal((await server.operate('/operators/grace', { method: 'PUT', body: { role: 'reader' } })).status, 200)
}

async function makeToken(server: RunningServer, body: object): Promise<{ id: string; ask: Ask }> {
  await makeOperator(server)
  const made = await server.operate('/operators/grace/tokens', { method: 'POST', body })
  assert.ok(made.status < 300, made.text)
  return { id: made.json.id, ask: { headers: { authorization: `Bearer ${made.json.token}` } } }
}

/** Returns once as many wait as may: the one too many is answered first. */
async function follow(server: RunningServer, ask: Ask): Promise<readonly Promise<Reply>[]> {
  const asked = Array.from({ length: PLACES + 1 }, () => server.ask(FOLLOW, ask))
  const [surplus, reply] = await Promise.race(asked.map(async (each, index) => [index, await each] as const))
  assert.equal(reply.status, 429, reply.text)
  return asked.filter((_, index) => index !== surplus)
}

async function assertEnded(waiting: readonly Promise<Reply>[], end: () => Promise<void>): Promise<void> {
  const began = performance.now()
  await end()
  for (const { status, json } of await Promise.all(waiting)) {
    assert.equal(status, 401)
    assert.match(json.error.message, /log-in of this request/)
  }
  assert.ok(performance.now() - began < AT_ONCE_MS)
}

suite('requests that wait for what comes end at once', { timeout: 60_000 }, () => {
  test('when the token of their operator is revoked', async (t) => {
    const server = await startServer(t)
    const { id, ask } = await makeToken(server, {})
    await assertEnded(await follow(server, ask), async () => {
      const gone = await server.operate(`/operators/grace/credentials/${id}`, { method: 'DELETE' })
      assert.equal(gone.status, 204, gone.text)
    })
  })

  test('when their operator goes', async (t) => {
    const server = await startServer(t)
    const { ask } = await makeToken(server, {})
    await assertEnded(await follow(server, ask), async () => {
      const gone = await server.operate('/operators/grace', { method: 'DELETE' })
      assert.equal(gone.status, 204, gone.text)
    })
  })

  test('when their token expires', async (t) => {
    const server = await startServer(t)
    const { ask } = await makeToken(server, { expiresIn: 3_600 })
    await assertEnded(await follow(server, ask), async () => {
      server.skew = 3_600_001
    })
  })

  test('when a hub revokes the certificate of their operator', async (t) => {
    const server = await startServer(t)
    const identity = await makeDevice(await makeRoot('Operators'), 'grace')
    await makeOperator(server)
    const body = { certificate: identity.cert }
    assert.equal((await server.operate('/operators/grace/certificates', { method: 'POST', body })).status, 201)
    await assertEnded(await follow(server, { identity }), async () => {
      const order = { method: 'POST', body: { certificate: identity.cert } }
      const revoked = await server.operate('/hubs/depot/revocations', order)
      assert.equal(revoked.status, 200, revoked.text)
    })
  })
})
