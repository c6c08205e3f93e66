import assert from 'node:assert/strict'
import { after, before, beforeEach, suite, test } from 'node:test'
import type { AuthenticatedDevice } from '../../src/hub/door/authenticate.ts'
import { TrustWatch } from '../../src/hub/door/trust-watch.ts'
import { Sessions } from '../../src/hub/sessions/sessions.ts'
import { certificateId, parseCertificate } from '@holdfast/pki'
import { group } from '../contract/nouns.ts'
import type { CloseReason, Session } from '../../src/model/session.ts'
import { makeDevice, makeRoot } from '../hub/certificates.ts'
import type { Made } from '../hub/certificates.ts'
import { claimOf, FACTORY, openWorkbench, peerWith, registerCa } from '../hub/workbench.ts'
import type { Workbench } from '../hub/workbench.ts'

const ANY = { kind: 'any' } as const

/** Its end is what it resolves to. */
function sessionOf(who: AuthenticatedDevice): Session & { readonly closed: Promise<CloseReason> } {
  const { promise: closed, resolve } = Promise.withResolvers<CloseReason>()
  const { hub, path, grounds, expiresAt, asOf, credential } = who
  const { deviceId } = who.device
  const identity = { id: 'late', hub, deviceId, moduleId: null, openedAt: 0, peer: peerWith() }
  return { ...identity, path, grounds, expiresAt, asOf, credential, close: resolve, probe: () => {}, closed }
}

/** A device that was let in and opens its session only after everything about its trust was swept. */
suite('a session that opens late', { timeout: 20_000 }, () => {
  let bench: Workbench
  let sessions: Sessions
  let watch: TrustWatch
  let root: Made
  before(async () => {
    bench = await openWorkbench()
    sessions = new Sessions({ ...bench })
    watch = new TrustWatch(bench)
    root = await makeRoot('Acme Root', bench.clock.now())
  })
  beforeEach(async () => {
    if ((await bench.authorities.list(FACTORY)).length === 0) await registerCa(bench, 'acme', root)
  })
  after(async () => {
    watch.close()
    sessions.close()
    await bench.close()
  })

  const settled = async (): Promise<void> => {
    for (let turn = 0; turn < 20; turn++) await bench.registry.authorities.revision()
  }

  test('ends when its CA left the register meanwhile', async () => {
    const who = await admit('pump')
    await bench.authorities.delete(FACTORY, 'acme', ANY)
    await settled()
    await watch.sweep()
    const session = sessionOf(who)
    sessions.open(session)
    await settled()
    assert.equal(sessions.find(FACTORY, who.device.deviceId), null)
    assert.equal(await session.closed, 'revoked')
  })

  test('ends when its enrollment was disabled meanwhile', async () => {
    const signingCertificates = { primary: root.der, secondary: null }
    const enrolled = group('line', { attestation: { type: 'x509', signingCertificates } })
    await bench.registry.enrollments.createGroup(enrolled)
    const identity = await makeDevice(root, 'valve', bench.clock.now(), 10)
    const device = await bench.devices.create(FACTORY, {
      deviceId: 'valve',
      authentication: {
        type: 'selfSigned',
        x509Thumbprint: { primaryThumbprint: parseCertificate(identity.der).sha256 },
      },
    })
    const path = [identity, root].map(({ der }) => certificateId(parseCertificate(der)))
    const provenance = { enrollment: { kind: 'group', id: enrolled.enrollmentGroupId }, path } as const
    await bench.registry.devices.replace({ ...device, provenance, etag: 'other' }, ANY)
    const who = await bench.door.device(claimOf('valve'), peerWith(identity))
    await bench.registry.enrollments.replaceGroup({ ...enrolled, status: 'disabled' }, ANY)
    bench.bus.publish({ kind: 'enrollments-changed', enrollment: provenance.enrollment })
    await settled()
    await watch.sweep()
    const session = sessionOf(who)
    sessions.open(session)
    await settled()
    assert.equal(await session.closed, 'revoked')
  })

  async function admit(deviceId: string): Promise<AuthenticatedDevice> {
    await bench.devices.create(FACTORY, { deviceId, authentication: { type: 'certificateAuthority' } })
    return bench.door.device(claimOf(deviceId), peerWith(await makeDevice(root, deviceId, bench.clock.now(), 10)))
  }
})
