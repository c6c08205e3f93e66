import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Authority, Provisioning } from './fixture.ts'
import {
  assertRefused,
  derivedKey,
  makeIntermediate,
  makeLeaf,
  makeRoot,
  NOW,
  openProvisioning,
  tokenFor,
  WEST,
} from './fixture.ts'

const YEAR = 365 * 24 * 60 * 60 * 1000
const KEY = Buffer.alloc(32, 7).toString('base64')
const OTHER_KEY = Buffer.alloc(32, 8).toString('base64')

/** What AuthenticatedRegistration says of the enrollment that decided. */
async function decidedBy(attempt: ReturnType<Provisioning['authenticate']>): Promise<string> {
  const { enrollment } = await attempt
  return enrollment.kind === 'individual' ? enrollment.registrationId : enrollment.enrollmentGroupId
}

function signingGroup(id: string, { pem }: Authority, provisioningStatus = 'enabled') {
  const x509 = { signingCertificates: { primary: { certificate: pem } } }
  return { enrollmentGroupId: id, attestation: { type: 'x509', x509 }, provisioningStatus }
}

function referenceGroup(id: string, primary: string, provisioningStatus = 'enabled') {
  return {
    enrollmentGroupId: id,
    attestation: { type: 'x509', x509: { caReferences: { primary } } },
    provisioningStatus,
  }
}

describe('a device with a certificate', () => {
  let house: Provisioning
  let root: Authority
  let factory: Authority
  let line: Authority

  before(async () => {
    house = await openProvisioning()
    root = await makeRoot('Root')
    factory = await makeIntermediate(root, 'Factory')
    line = await makeIntermediate(factory, 'Line')
    await house.registerAuthority('root', root)
    await house.enrollments.putGroup(referenceGroup('by-root', 'root'), null)
  })
  after(() => house.close())

  test('of a chain to a verified CA is taken in by the group of that CA', async () => {
    const leaf = await makeLeaf(line, 'Dev-1')
    const chain = [leaf, line.der, factory.der]
    const who = await house.authenticate('DEV-1', { chain })
    assert.equal(who.registrationId, 'dev-1')
    assert.equal(who.presentedId, 'DEV-1')
    assert.equal(who.evidence.kind === 'x509' && who.evidence.path?.certificates.length, 4)
    assert.equal(await decidedBy(house.authenticate('dev-1', { chain: [leaf, factory.der, line.der] })), 'by-root')
  })

  test('belongs to the group of the CA nearest to it, also when that one blocks', async () => {
    const chain = [await makeLeaf(line, 'dev-2'), line.der, factory.der]
    await house.enrollments.putGroup(signingGroup('by-line', line), null)
    await house.enrollments.putGroup(signingGroup('by-factory', factory, 'disabled'), null)
    assert.equal(await decidedBy(house.authenticate('dev-2', { chain })), 'by-line')

    const sibling = await makeIntermediate(factory, 'Other line')
    const blocked = [await makeLeaf(sibling, 'dev-3'), sibling.der, factory.der]
    await assertRefused(house.authenticate('dev-3', { chain: blocked }), 'enrollment-disabled', 'enrollment-disabled')

    await house.enrollments.deleteGroup('by-line', null)
    await assertRefused(house.authenticate('dev-2', { chain }), 'enrollment-disabled', 'enrollment-disabled')
    await house.enrollments.deleteGroup('by-factory', null)
    assert.equal(await decidedBy(house.authenticate('dev-2', { chain })), 'by-root')
  })

  test('is not led past a group that blocks its CA by another certificate of that CA', async () => {
    await house.enrollments.putGroup(signingGroup('by-factory', factory, 'disabled'), null)
    const renewed = await makeIntermediate(root, 'Factory', factory.key)
    const chain = [await makeLeaf(factory, 'dev-4'), renewed.der]
    await assertRefused(house.authenticate('dev-4', { chain }), 'enrollment-disabled', 'enrollment-disabled')
    await house.enrollments.deleteGroup('by-factory', null)
  })

  test('is taken in by the group of a CA above the first verified one of its chain', async () => {
    await house.registerAuthority('factory', factory)
    const leaf = await makeLeaf(factory, 'dev-5')
    assert.equal(await decidedBy(house.authenticate('dev-5', { chain: [leaf, factory.der] })), 'by-root')
    assert.equal(await decidedBy(house.authenticate('dev-5', { chain: [leaf] })), 'by-root')
  })

  test('is taken in by the secondary certificate or authority as by the primary', async () => {
    const [first, second] = [await makeRoot('Rolling 1'), await makeRoot('Rolling 2')]
    await house.registerAuthority('rolling-1', first)
    await house.registerAuthority('rolling-2', second)
    const caReferences = { primary: 'rolling-1', secondary: 'rolling-2' }
    const signingCertificates = { primary: { certificate: first.pem }, secondary: { certificate: second.pem } }
    for (const x509 of [{ caReferences }, { signingCertificates }]) {
      const draft = { enrollmentGroupId: 'rolling', attestation: { type: 'x509', x509 } }
      await house.enrollments.putGroup(draft, { kind: 'any' })
      for (const authority of [first, second]) {
        const chain = [await makeLeaf(authority, 'roller')]
        assert.equal(await decidedBy(house.authenticate('roller', { chain })), 'rolling')
      }
    }
    const [old, renewed] = [await makeRoot('roller-2'), await makeRoot('roller-2')]
    const clientCertificates = { primary: { certificate: old.pem }, secondary: { certificate: renewed.pem } }
    const attestation = { type: 'x509', x509: { clientCertificates } }
    await house.enrollments.putIndividual({ registrationId: 'roller-2', attestation }, null)
    for (const { der } of [old, renewed])
      assert.equal(await decidedBy(house.authenticate('roller-2', { chain: [der] })), 'roller-2')
  })

  test('that stays connected is judged anew by the groups there are by then', async () => {
    const chain = [await makeLeaf(factory, 'stayer'), factory.der]
    const who = await house.authenticate('stayer', { chain })
    await house.enrollments.putGroup(signingGroup('by-factory', factory, 'disabled'), null)
    house.clock.time = NOW + 5_000
    const attempt = house.registrar.register(who, {}, { force: false })
    await assertRefused(attempt, 'enrollment-disabled', 'enrollment-disabled')
    house.clock.time = NOW
    await house.enrollments.deleteGroup('by-factory', null)
  })

  test('goes to its individual enrollment before any group', async () => {
    const leaf = await makeLeaf(line, 'dev-6')
    const attestation = {
      type: 'x509',
      x509: { clientCertificates: { primary: { certificate: leaf.toString('base64') } } },
    }
    const draft = { registrationId: 'dev-6', attestation }
    await house.enrollments.putIndividual(draft, null)
    const chain = [leaf, line.der, factory.der]
    assert.equal(await decidedBy(house.authenticate('dev-6', { chain })), 'dev-6')

    const other = [await makeLeaf(line, 'dev-6'), line.der, factory.der]
    await assertRefused(house.authenticate('dev-6', { chain: other }), 'attestation-mismatch')
    await house.enrollments.putIndividual({ ...draft, provisioningStatus: 'disabled' }, { kind: 'any' })
    await assertRefused(house.authenticate('dev-6', { chain }), 'enrollment-disabled', 'enrollment-disabled')
  })

  test('that is enrolled itself must still lead to a verified CA, unless it is self-signed', async () => {
    const stranger = await makeRoot('Stranger')
    const leaf = await makeLeaf(stranger, 'dev-7')
    const self = await makeRoot('dev-8')
    for (const [registrationId, der] of [
      ['dev-7', leaf],
      ['dev-8', self.der],
    ] as const) {
      const clientCertificates = { primary: { certificate: der.toString('base64') } }
      await house.enrollments.putIndividual(
        { registrationId, attestation: { type: 'x509', x509: { clientCertificates } } },
        null,
      )
    }
    await assertRefused(house.authenticate('dev-7', { chain: [leaf, stranger.der] }), 'chain:untrusted-root')
    const who = await house.authenticate('dev-8', { chain: [self.der] })
    assert.equal(who.evidence.kind === 'x509' && who.evidence.path, null)
    house.clock.time = NOW + 2 * YEAR
    await assertRefused(house.authenticate('dev-8', { chain: [self.der] }), 'certificate-expired')
    house.clock.time = NOW - YEAR
    await assertRefused(house.authenticate('dev-8', { chain: [self.der] }), 'certificate-not-yet-valid')
    house.clock.time = NOW
  })

  test('is refused, with the reason, in every bad case', async () => {
    const leaf = await makeLeaf(line, 'bad-1')
    const chain = [leaf, line.der, factory.der]
    await assertRefused(house.authenticate('bad-1', { chain, scope: '0ne00000000' }), 'scope-unknown')
    await assertRefused(house.authenticate('bad-1', { chain: [] }), 'client-certificate-missing')
    await assertRefused(house.authenticate('bad-1', { chain: [leaf, factory.der] }), 'chain:issuer-not-found')
    await assertRefused(house.authenticate('bad-2', { chain }), 'registration-id-mismatch')
    await assertRefused(house.authenticate('bad\n', { chain }), 'device-id-invalid', 'argument-invalid')
    await assertRefused(house.authenticate('bad-1', { chain: [leaf.subarray(0, 99)] }), 'chain:malformed-certificate')
    await assertRefused(
      house.authenticate('bad-1', { chain: [leaf, Buffer.from('no DER')] }),
      'chain:malformed-certificate',
    )

    const expired = await makeLeaf(line, 'bad-3', 60_000)
    await assertRefused(house.authenticate('bad-3', { chain: [expired, line.der, factory.der] }), 'chain:expired')
    const impostor = await makeIntermediate(await makeRoot('Root'), 'Factory')
    const sameName = await makeIntermediate(impostor, 'Line')
    await assertRefused(
      house.authenticate('bad-4', { chain: [await makeLeaf(impostor, 'bad-4'), impostor.der] }),
      'chain:anchor-key-mismatch',
    )
    await assertRefused(
      house.authenticate('bad-4', { chain: [await makeLeaf(sameName, 'bad-4'), line.der, factory.der] }),
      'chain:signature-invalid',
    )
    // The Kelvin sign is a letter that lower case turns into a plain k.
    await assertRefused(house.authenticate('\u212a1', { chain }), 'device-id-invalid', 'argument-invalid')
  })

  test('is refused while its CA is unproven, or proven at another hub only', async () => {
    const unproven = await makeRoot('Unproven')
    await house.registerAuthority('unproven', unproven, 'code-issued')
    await house.enrollments.putGroup(referenceGroup('unproven', 'unproven'), null)
    await house.enrollments.putGroup(signingGroup('unproven-too', unproven), null)
    await assertRefused(
      house.authenticate('dev-9', { chain: [await makeLeaf(unproven, 'dev-9')] }),
      'authority-unverified',
    )

    const elsewhere = await makeRoot('Elsewhere')
    await house.registerAuthority('elsewhere', elsewhere, 'verified', WEST)
    await house.enrollments.putGroup(signingGroup('elsewhere', elsewhere), null)
    await assertRefused(
      house.authenticate('dev-9', { chain: [await makeLeaf(elsewhere, 'dev-9')] }),
      'authority-of-another-hub',
    )
  })

  test('of a trusted CA that no group names is not enrolled', async () => {
    const lonely = await makeRoot('Lonely')
    await house.registerAuthority('lonely', lonely)
    await assertRefused(
      house.authenticate('dev-10', { chain: [await makeLeaf(lonely, 'dev-10')] }),
      'enrollment-unknown',
    )
  })

  test('whose CA was registered again under the name that a group refers to is judged by the new one', async () => {
    const [old, young] = [await makeRoot('Changing'), await makeRoot('Changing')]
    await house.registerAuthority('changing', old)
    await house.enrollments.putGroup(referenceGroup('changing', 'changing'), null)
    const leaf = await makeLeaf(old, 'dev-11')
    assert.equal(await decidedBy(house.authenticate('dev-11', { chain: [leaf] })), 'changing')
    const row = (await house.registry.authorities.list(house.hubs.home.name)).find(({ name }) => name === 'changing')!
    await house.registry.authorities.delete(row.hub, row.name, { kind: 'any' })
    await house.registerAuthority('changing', young)
    await assertRefused(house.authenticate('dev-11', { chain: [leaf] }), 'chain:anchor-key-mismatch')
  })
})

describe('a device with a symmetric key', () => {
  let house: Provisioning
  before(async () => {
    house = await openProvisioning()
    const symmetricKey = { primaryKey: KEY, secondaryKey: OTHER_KEY }
    await house.enrollments.putIndividual(
      { registrationId: 'one', attestation: { type: 'symmetricKey', symmetricKey } },
      null,
    )
  })
  after(() => house.close())

  test('proves an individual enrollment by either key', async () => {
    for (const key of [KEY, OTHER_KEY]) {
      assert.equal(await decidedBy(house.authenticate('ONE', { token: tokenFor('ONE', key) })), 'one')
    }
    await assertRefused(house.authenticate('one', { chain: [] }), 'token-missing')
  })

  test('without enrollment is unknown', async () => {
    await assertRefused(house.authenticate('two', { token: tokenFor('two', KEY) }), 'enrollment-unknown')
  })

  test('proves a group by the key derived from its id, as spelled or in lower case', async () => {
    const symmetricKey = { primaryKey: KEY, secondaryKey: OTHER_KEY }
    await house.enrollments.putGroup(
      { enrollmentGroupId: 'keys', attestation: { type: 'symmetricKey', symmetricKey } },
      null,
    )
    // The published vector: 32 bytes of 0x07 and the id dev1.
    assert.equal(derivedKey(KEY, 'dev1'), 'TblgFdTUelR0kCe6RoBM6Y/SmexDpjJq4hgNuoyTB90=')
    for (const [groupKey, spelling] of [
      [KEY, 'Dev1'],
      [OTHER_KEY, 'Dev1'],
      [KEY, 'dev1'],
    ] as const) {
      const key = derivedKey(groupKey, spelling)
      const who = await house.authenticate('Dev1', { token: tokenFor('Dev1', key) })
      assert.deepEqual(who.evidence, {
        kind: 'symmetricKey',
        primaryKey: derivedKey(KEY, spelling),
        secondaryKey: derivedKey(OTHER_KEY, spelling),
      })
      assert.equal(who.expiresAt, NOW + 24 * 60 * 60 * 1000)
    }
    await assertRefused(house.authenticate('dev1', { token: tokenFor('dev1', KEY) }), 'token-signature-wrong')
    await assertRefused(
      house.authenticate('dev2', { token: tokenFor('dev2', derivedKey(KEY, 'dev1')) }),
      'token-signature-wrong',
    )
    await assertRefused(
      house.authenticate('dev2', { token: tokenFor('dev1', derivedKey(KEY, 'dev2')) }),
      'token-resource-mismatch',
    )
    await house.enrollments.putGroup(
      { enrollmentGroupId: 'keys', attestation: { type: 'symmetricKey' }, provisioningStatus: 'disabled' },
      { kind: 'any' },
    )
    await assertRefused(
      house.authenticate('dev1', { token: tokenFor('dev1', derivedKey(KEY, 'dev1')) }),
      'enrollment-disabled',
      'enrollment-disabled',
    )
  })

  test('is refused by a token that is wrong in any part', async () => {
    await assertRefused(house.authenticate('one', { token: 'SharedAccessSignature sr=x' }), 'token-malformed')
    await assertRefused(house.authenticate('one', { token: tokenFor('one', KEY, { expires: NOW }) }), 'token-expired')
    await assertRefused(
      house.authenticate('one', { token: tokenFor('one', KEY, { scope: '0ne00000000' }) }),
      'token-resource-mismatch',
    )
    await assertRefused(
      house.authenticate('one', { token: tokenFor('one', KEY, { policy: 'iothubowner' }) }),
      'token-policy-unknown',
    )
    await assertRefused(
      house.authenticate('one', { token: tokenFor('one', Buffer.alloc(32, 9).toString('base64')) }),
      'token-signature-wrong',
    )
  })

  test('accepts the tokens of the SDKs byte for byte', async () => {
    const symmetricKey = { primaryKey: 'TblgFdTUelR0kCe6RoBM6Y/SmexDpjJq4hgNuoyTB90=' }
    const { attestation } = await house.enrollments.putIndividual(
      { registrationId: 'dev9', attestation: { type: 'symmetricKey', symmetricKey } },
      null,
    )
    assert.equal(attestation.type === 'symmetricKey' && Buffer.from(attestation.secondaryKey, 'base64').length, 32)
    const encoded = tokenFor('dev9', symmetricKey.primaryKey)
    assert.equal(
      await decidedBy(house.authenticate('dev9', { token: encoded.replace('&skn=registration', '') })),
      'dev9',
    )
  })
})
