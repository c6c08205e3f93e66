import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, suite, test } from 'node:test'
import { trustRules } from '@holdfast/pki'
import { adviceFor, REFUSAL_GUIDE } from '../../src/hub/refusals/refusal-guide.ts'
import { ofPeer, summarizeChain } from '../../src/hub/refusals/refusals.ts'
import type { RefusalDraft } from '../../src/hub/refusals/refusals.ts'
import { REFUSAL_RULES } from '../../src/model/refusal.ts'
import { forge } from './certificates.ts'
import { FACTORY, openWorkbench, peerWith } from './workbench.ts'
import type { Workbench } from './workbench.ts'

suite('refusals', () => {
  let bench: Workbench
  before(async () => {
    bench = await openWorkbench()
  })
  after(() => bench.close())

  test('are kept with the remedy of the guide and found by tracking id and filter', async () => {
    const heard = new Promise((resolve) => bench.bus.subscribe(resolve))
    const refusal = bench.refusals.record(draft({ identity: 'findme' }))
    assert.equal(refusal.remedy, REFUSAL_GUIDE['device-unknown'].remedy)
    assert.deepEqual(await bench.refusals.get(refusal.trackingId), refusal)
    const [listed] = await bench.refusals.list({ identity: 'findme', limit: 10 })
    assert.equal(listed?.trackingId, refusal.trackingId)
    assert.deepEqual(await heard, { kind: 'refused' })
    const counts = await bench.refusals.countByRule(bench.clock.now())
    assert.deepEqual(
      counts.filter(({ rule }) => rule === 'device-unknown'),
      [{ rule: 'device-unknown', count: 1 }],
    )
  })

  test('of a peer that repeats itself share a row for a second; others do not', async () => {
    const first = bench.refusals.record(draft({ identity: 'loop' }))
    for (let index = 0; index < 1_000; index++) assert.equal(bench.refusals.record(draft({ identity: 'loop' })), first)
    bench.refusals.record(draft({ identity: 'loop', rule: 'device-disabled' }))
    bench.refusals.record(draft({ identity: 'loop', peer: { address: '192.0.2.8', port: 1 } }))
    bench.clock.time += 1_000
    bench.refusals.record(draft({ identity: 'loop' }))
    assert.equal((await bench.refusals.list({ identity: 'loop', limit: 100 })).length, 4)
    const metric = await bench.metrics.refusals.get()
    assert.ok(metric.values.some(({ value }) => value >= 1_002))
  })

  test('of one address fill no more than its share of the store', async () => {
    bench.clock.time += 1_000
    for (let index = 0; index < 1_000; index++)
      bench.refusals.record(draft({ identity: `flood-${index}`, peer: { address: '192.0.2.66', port: index } }))
    bench.refusals.record(draft({ identity: 'bystander' }))
    assert.equal((await bench.refusals.list({ address: '192.0.2.66', limit: 1_000 })).length, 100)
    assert.equal((await bench.refusals.list({ identity: 'bystander', limit: 10 })).length, 1)
    bench.clock.time += 1_000
    bench.refusals.record(draft({ identity: 'later', peer: { address: '192.0.2.66', port: 1 } }))
    assert.equal((await bench.refusals.list({ identity: 'later', limit: 10 })).length, 1)
  })

  test('hold bounded text without control characters', async () => {
    const refusal = bench.refusals.record(
      draft({
        identity: `x\r\n\u001b[31m${'y'.repeat(100_000)}`,
        message: 'm'.repeat(100_000),
        evidence: Object.fromEntries(Array.from({ length: 100 }, (_, index) => [`key${index}`, 'v'.repeat(10_000)])),
      }),
    )
    assert.ok(JSON.stringify(refusal).length < 8_000)
    assert.doesNotMatch(refusal.identity, /[\u0000-\u001f]/)
  })

  test('summarise any bytes as a chain, and at most ten', async () => {
    const now = bench.clock.now()
    const subject = [{ CN: ['\u202eevil\u0007'] }]
    const odd = await forge({ subject, notBefore: now, notAfter: now + 1_000 })
    const [first, second] = summarizeChain([odd.der, randomBytes(40)])
    assert.doesNotMatch(first?.subject ?? '', /[\u202e\u0007]/)
    assert.equal(first?.notBefore, now)
    assert.match(second?.subject ?? '', /unreadable/)
    assert.match(second?.sha256 ?? '', /^[0-9a-f]{64}$/)
    assert.equal(summarizeChain(Array.from({ length: 50 }, () => odd.der)).length, 10)
  })
})

test('the refusal guide has whole sentences for every rule', () => {
  for (const rule of [...REFUSAL_RULES, ...trustRules.map((each) => `chain:${each}` as const)]) {
    const { meaning, remedy } = adviceFor(rule)
    for (const text of [meaning, remedy]) assert.match(text, /^[A-Z].*\.$/s, rule)
  }
  assert.notEqual(adviceFor('chain:expired').remedy, adviceFor('chain:revoked').remedy)
  assert.match(adviceFor('chain:toString').remedy, /holdfast pki verify/)
})

function draft(more: Partial<RefusalDraft> = {}): RefusalDraft {
  const attempt = {
    area: 'connect',
    hub: FACTORY,
    identity: 'd1',
    rule: 'device-unknown',
    message: 'No such device.',
  } as const
  return { ...ofPeer(peerWith()), ...attempt, ...more }
}
