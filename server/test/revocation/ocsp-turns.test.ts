import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { parseCertificate, PathVerifier } from '@holdfast/pki'
import type { Certificate } from '@holdfast/pki'
import { OcspClient } from '../../src/hub/revocation/ocsp-client.ts'
import type { OcspLimits } from '../../src/hub/revocation/ocsp-client.ts'
import { Turns } from '../../src/hub/revocation/turns.ts'
import { createLog } from '../../src/log.ts'
import { Metrics } from '../../src/metrics.ts'
import { makeDevice, makeRoot } from '../http/certificates.ts'
import type { TestAuthority } from '../http/certificates.ts'
import { startResponder } from './openssl-responder.ts'
import { without } from '../../../test/foreign-program.ts'

const withoutOpenssl = without('openssl')

const clock = { now: () => Date.now() }

function openClient(t: TestContext, limits: OcspLimits) {
  const metrics = new Metrics()
  const verifier = new PathVerifier({ cacheSize: 10 })
  const client = new OcspClient({ verifier, clock, log: createLog({ level: 'silent' }), metrics }, limits)
  t.after(() => client.close())
  const outcomes = async () => {
    const { values } = await metrics.ocspQuestions.get()
    return Object.fromEntries(values.map(({ labels, value }) => [labels['outcome'], value]))
  }
  return { client, outcomes }
}

async function openCa(t: TestContext, name: string, devices: number) {
  const ca = await makeRoot(name)
  const responder = await startResponder(t, ca)
  const made = await Promise.all(Array.from({ length: devices }, (_, at) => makeDevice(ca, `${name}-${at}`)))
  responder.says(new Map(made.map(({ der }) => [der, 'good'])))
  return { issuer: authority(ca), responder, leaves: made.map(({ der }) => parseCertificate(der)) }
}

test(
  'more questions than may be asked at once wait for their turn, and every one is answered',
  { skip: withoutOpenssl },
  async (t) => {
    const { client, outcomes } = openClient(t, { timeoutMs: 60_000, atOnce: 2 })
    const { issuer, responder, leaves } = await openCa(t, 'Line', 7)
    await Promise.all(leaves.map((leaf) => client.ask(leaf, issuer, responder.url)))
    for (const leaf of leaves) assert.equal(client.answerOf(leaf, issuer, clock.now()), 'good')
    assert.equal(responder.asked, 7)
    assert.equal(responder.peak, 2)
    assert.deepEqual(await outcomes(), { good: 7 })
  },
)

test('the same question is asked once, however many wait for the answer', { skip: withoutOpenssl }, async (t) => {
  const { client, outcomes } = openClient(t, { timeoutMs: 60_000, atOnce: 1 })
  const { issuer, responder, leaves } = await openCa(t, 'Line', 2)
  const twice = [...leaves, ...leaves, ...leaves]
  await Promise.all(twice.map((leaf) => client.ask(leaf, issuer, responder.url)))
  assert.equal(responder.asked, 2)
  assert.deepEqual(await outcomes(), { good: 2 })
})

test(
  'who gets no turn in time goes unasked, is counted, and is asked about when it comes again',
  { skip: withoutOpenssl },
  async (t) => {
    const { client, outcomes } = openClient(t, { timeoutMs: 200, atOnce: 1 })
    const { issuer, responder, leaves } = await openCa(t, 'Line', 2)
    const [first = assert.fail(), second = assert.fail()] = leaves
    responder.hang()
    await Promise.all([client.ask(first, issuer, responder.url), client.ask(second, issuer, responder.url)])
    assert.equal(responder.asked, 1)
    assert.deepEqual(await outcomes(), { failed: 1, 'no-turn-in-time': 1 })
    assert.equal(client.answerOf(second, issuer, clock.now()), undefined)
    assert.ok(client.isFresh(first, issuer, clock.now()))
    assert.ok(!client.isFresh(second, issuer, clock.now()))
  },
)

test(
  'a responder that keeps all who ask it waiting keeps nobody of another CA waiting',
  { skip: withoutOpenssl },
  async (t) => {
    const { client } = openClient(t, { timeoutMs: 60_000, atOnce: 1 })
    const [slow, quick] = [await openCa(t, 'Slow', 3), await openCa(t, 'Quick', 1)]
    slow.responder.hang()
    const held = slow.leaves.map((leaf) => client.ask(leaf, slow.issuer, slow.responder.url))
    const [leaf = assert.fail()] = quick.leaves
    await client.ask(leaf, quick.issuer, quick.responder.url)
    assert.equal(client.answerOf(leaf, quick.issuer, clock.now()), 'good')
    client.close()
    await Promise.all(held)
  },
)

test('a certificate that names no responder is counted as such', { skip: withoutOpenssl }, async (t) => {
  const { client, outcomes } = openClient(t, { timeoutMs: 60_000, atOnce: 1 })
  const { issuer, leaves } = await openCa(t, 'Line', 1)
  const [leaf = assert.fail()] = leaves
  await client.ask(leaf, issuer, null)
  assert.deepEqual(await outcomes(), { 'no-responder': 1 })
})

test('turns come in the order of arrival; beyond the bound nobody waits, and who gave up takes no turn', async () => {
  const turns = new Turns({ atOnce: 1, waiting: 2 })
  const { signal } = new AbortController()
  assert.equal(await turns.begin(signal), 'begun')
  const impatient = new AbortController()
  const gaveUp = turns.begin(impatient.signal)
  const next = turns.begin(signal)
  assert.equal(await turns.begin(signal), 'full')
  impatient.abort()
  assert.equal(await gaveUp, 'late')
  assert.equal(await turns.begin(impatient.signal), 'late')
  const last = turns.begin(signal)
  turns.end()
  assert.equal(await next, 'begun')
  turns.end()
  assert.equal(await last, 'begun')
  assert.ok(!turns.isIdle)
  turns.end()
  assert.ok(turns.isIdle)
})

function authority({ der }: TestAuthority): Certificate {
  return parseCertificate(der)
}
