import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseCertificate } from '@holdfast/pki'
import { certificateTarget } from '../../src/hub/revoke.ts'
import { openLocalBus } from '../../src/local/bus.ts'
import { certificateGround } from '../../src/model/ground.ts'
import { makeDevice, makeIntermediate, makeRoot } from '../hub/certificates.ts'
import { claimOf, FACTORY, openWorkbench, peerWith, refusalOf, registerCa } from '../hub/workbench.ts'
import { openTrust } from './open-trust.ts'

const ORDER = { reason: 'keyCompromise', by: 'test' } as const

test('a node that a hint does not reach has caught up within seconds', async () => {
  const bench = await openWorkbench()
  // Another node of the same registry: its bus carries nothing of the first.
  const deaf = openLocalBus()
  const other = await openTrust({ ...bench, bus: deaf })
  try {
    const now = bench.clock.now()
    const leaf = parseCertificate((await makeDevice(await makeRoot('Root', now), 'a', now)).der)
    const applied = Promise.withResolvers<void>()
    other.revocations.onRecord(() => {
      applied.resolve()
      return 0
    })
    await bench.revocations.revoke(FACTORY, certificateTarget(leaf), ORDER)
    assert.equal(bench.revocations.facts(FACTORY).find(leaf)?.reason, 'keyCompromise')
    assert.equal(other.revocations.facts(FACTORY).find(leaf), undefined)
    // Its timer does not hold the process open.
    const alive = setInterval(() => {}, 1_000)
    await applied.promise
    clearInterval(alive)
    assert.equal(other.revocations.facts(FACTORY).find(leaf)?.reason, 'keyCompromise')
    assert.equal(other.revocations.revision, bench.revocations.revision)
  } finally {
    other.close()
    await deaf.close()
    await bench.close()
  }
})

test('many revocations at once all count, and the connect path stays a matter of microseconds', async () => {
  const bench = await openWorkbench()
  try {
    const now = bench.clock.now()
    const root = await makeRoot('Acme Root', now)
    const line = await makeIntermediate(root, 'Acme Line', now)
    await registerCa(bench, 'acme', root)
    await bench.devices.create(FACTORY, { deviceId: 'a', authentication: { type: 'certificateAuthority' } })
    const device = await makeDevice(line, 'a', now)
    const enter = () => bench.door.device(claimOf('a'), peerWith(device, line))
    await enter()
    const target = (at: number) =>
      ({ kind: 'certificate', certificateId: at.toString(16).padStart(64, '0'), issuer: 'CN=x', serial: '01' }) as const
    await Promise.all(Array.from({ length: 2_000 }, (_, at) => bench.revocations.revoke(FACTORY, target(at), ORDER)))
    assert.equal(bench.revocations.facts(FACTORY).rows().length, 2_000)
    assert.ok(bench.revocations.isCut(certificateGround(FACTORY, target(1_999).certificateId)))
    const path = [device, line, root].map(({ der }) => parseCertificate(der))
    const rounds = 2_000
    const start = performance.now()
    for (let round = 0; round < rounds; round++) assert.equal(bench.trust.judge(FACTORY, path, now), undefined)
    const each = ((performance.now() - start) * 1_000) / rounds
    // About 10 µs on an idle machine; a search among 2,000 rows would take far more.
    assert.ok(each < 500, `${each} µs`)
    const revoked = certificateTarget(parseCertificate(device.der))
    await bench.revocations.revoke(FACTORY, revoked, ORDER)
    const refusal = await refusalOf(enter())
    assert.equal(refusal.rule, 'chain:revoked')
  } finally {
    await bench.close()
  }
})
