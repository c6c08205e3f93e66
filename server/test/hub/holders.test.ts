import assert from 'node:assert/strict'
import { after, afterEach, before, beforeEach, suite, test } from 'node:test'
import { TrustWatch } from '../../src/hub/door/trust-watch.ts'
import { Holders } from '../../src/hub/holders.ts'
import type { Holder, LossReason } from '../../src/hub/holders.ts'
import {
  anchorGround,
  certificateGround,
  deviceGround,
  enrollmentGround,
  policyKeyGround,
  readSharedGround,
  subjectOf,
  subjects,
} from '../../src/model/ground.ts'
import type { Ground } from '../../src/model/ground.ts'
import { parseDeviceId } from '../../src/model/ids.ts'
import { createSasTokenFor } from '../amqp/tokens.ts'
import { FACTORY, HOST, LAB, openWorkbench, peerWith } from './workbench.ts'
import type { Workbench } from './workbench.ts'

class Held implements Holder {
  readonly grounds: readonly Ground[]
  readonly expiresAt: number | null
  readonly asOf: number
  readonly losses: LossReason[] = []

  constructor(grounds: readonly Ground[], { asOf = 0, expiresAt = null as number | null } = {}) {
    this.grounds = grounds
    this.expiresAt = expiresAt
    this.asOf = asOf
  }

  lost(reason: LossReason): void {
    this.losses.push(reason)
  }
}

const LEAF = certificateGround(FACTORY, 'aa')
const CA = certificateGround(FACTORY, 'bb')

suite('holders of a verdict', () => {
  let bench: Workbench
  let holders: Holders
  before(async () => {
    bench = await openWorkbench()
  })
  beforeEach(() => {
    holders = new Holders(bench)
  })
  afterEach(() => holders.close())
  after(() => bench.close())

  test('are told once, of a ground that they rest on and of no other', () => {
    const [one, two, alone] = [new Held([LEAF, CA]), new Held([CA]), new Held([certificateGround(LAB, 'bb')])]
    for (const holder of [one, two, alone]) holders.hold(holder)
    assert.equal(holders.end(LEAF, 'revoked'), 1)
    assert.equal(holders.end(CA, 'revoked'), 1)
    assert.equal(holders.end(CA, 'revoked'), 0)
    assert.deepEqual([one.losses, two.losses, alone.losses], [['revoked'], ['revoked'], []])
    assert.ok(!holders.isHeld(CA) && !holders.isHeld(LEAF))
    assert.deepEqual([...holders.all()], [alone])
  })

  test('who are done are told nothing', () => {
    const holder = new Held([LEAF])
    holders.hold(holder)
    assert.ok(holders.release(holder))
    assert.ok(!holders.release(holder))
    assert.equal(holders.end(LEAF, 'revoked'), 0)
    assert.deepEqual(holder.losses, [])
  })

  test('who fail do not keep the others', () => {
    const [bad, good] = [new Held([CA]), new Held([CA])]
    bad.lost = () => assert.fail('a head that is broken')
    holders.hold(bad)
    holders.hold(good)
    assert.equal(holders.end(CA, 'revoked'), 2)
    assert.deepEqual(good.losses, ['revoked'])
  })

  test('end by the clock, however far that is', () => {
    const now = bench.clock.time
    const [soon, far] = [new Held([LEAF], { expiresAt: now + 500 }), new Held([CA], { expiresAt: 999_999_999_999_000 })]
    holders.hold(soon)
    holders.hold(far)
    holders.endExpired()
    assert.deepEqual([soon.losses, far.losses], [[], []])
    bench.clock.time = now + 500
    holders.endExpired()
    assert.deepEqual([soon.losses, far.losses], [['credential-expired'], []])
    bench.clock.time = now
  })

  test('come in doubt when something changed since they were judged', () => {
    const doubted: Holder[] = []
    holders.onDoubt((holder) => doubted.push(holder))
    const asOf = holders.moment
    holders.advance()
    const [late, fresh] = [new Held([LEAF], { asOf }), new Held([LEAF], { asOf: holders.moment })]
    holders.hold(late)
    holders.hold(fresh)
    assert.deepEqual(doubted, [late])
  })

  test('of a token end when its policy is removed, hint or no hint', { timeout: 10_000 }, async () => {
    const watch = new TrustWatch({ ...bench, holders: bench.holders })
    const owner = { kind: 'hub', hub: FACTORY } as const
    const policy = await bench.registry.policies.get(owner, 'service')
    assert.ok(policy !== null)
    const principal = await bench.door.service(
      HOST,
      createSasTokenFor(policy, HOST, 'iot'),
      'ServiceConnect',
      peerWith(),
    )
    const { grounds, expiresAt, asOf } = principal
    const lost = Promise.withResolvers<LossReason>()
    bench.holders.hold({ grounds, expiresAt, asOf, lost: lost.resolve })
    await watch.sweep()
    await bench.registry.policies.delete(owner, 'service')
    await watch.sweep()
    assert.equal(await lost.promise, 'revoked')
    watch.close()
  })
})

test('a shared ground is read as it was made, and names its subject', () => {
  const [hub, provisioning] = [{ kind: 'hub', hub: FACTORY } as const, { kind: 'provisioning' } as const]
  for (const [owner, name] of [
    [hub, 'service'],
    [provisioning, 'a/b'],
  ] as const) {
    const ground = policyKeyGround(owner, name, 'EnrollmentRead', 'ab12')
    assert.deepEqual(readSharedGround(ground), {
      kind: 'policy',
      owner,
      name,
      right: 'EnrollmentRead',
      keyDigest: 'ab12',
    })
    assert.equal(subjectOf(ground), subjects.policy(owner, name))
  }
  const enrollment = { kind: 'group', id: 'line.7' } as const
  const rooted = enrollmentGround(enrollment, 'authority:ab')
  assert.deepEqual(readSharedGround(rooted), { kind: 'enrollment', enrollment, proof: 'authority:ab' })
  assert.deepEqual(readSharedGround(anchorGround(FACTORY, 'ab')), { kind: 'anchor', hub: FACTORY, sha256: 'ab' })
  for (const ground of [LEAF, deviceGround(FACTORY, parseDeviceId('policy'), '1')])
    assert.equal(subjectOf(ground), null)
})
