import assert from 'node:assert/strict'
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, test } from 'node:test'
import {
  generateKey,
  issueVerification,
  keySigner,
  parseCertificate,
  parseCertificates,
  provePossession,
  spkiOf,
  type Certificate,
  type PossessionRule,
} from '@holdfast/pki'
import {
  DAY,
  keyPem,
  makeDevice,
  makeIntermediate,
  makeRoot,
  NOW,
  pem,
  withoutOpenssl,
  Workshop,
  type TestCa,
} from './workshop.ts'

const CODE = '106A5F3C2B9D4E8F7A6B5C4D3E2F1A0B9C8D7E6F5A4B3C2D'
const code = { value: CODE, expiresAt: NOW + DAY }
let root: TestCa

before(async () => {
  root = await makeRoot({ days: 100 })
})

async function verificationBy(ca: TestCa, value = CODE, now = NOW): Promise<Certificate> {
  const profile = { code: value, spki: spkiOf(generateKey('p256')), term: { now, lifetime: DAY } }
  return parseCertificate(await issueVerification(ca.issuer, profile, randomBytes))
}

function refused(rule: PossessionRule, claim: Parameters<typeof provePossession>[0], now = NOW): void {
  const verdict = provePossession(claim, now)
  assert.equal(verdict.kind, 'possession-error')
  assert.equal(verdict.rule, rule)
  assert.match(verdict.message, /^[A-Z].*\.$/s)
  assert.match(verdict.remedy, /^[A-Z].*\.$/s)
}

test('a certificate for the code, signed by the key of the CA, is the proof', async () => {
  const verdict = provePossession({ authority: root.certificate, code, verification: await verificationBy(root) }, NOW)
  assert.equal(verdict.kind, 'proof-of-possession')
  assert.equal(verdict.authority, root.certificate)
  assert.equal(verdict.provenAt, NOW)
})

test('every kind of CA key proves itself', async () => {
  for (const key of ['p384', 'ed25519', 'rsa2048', 'ml-dsa-65'] as const) {
    const ca = await makeRoot({ key })
    const claim = { authority: ca.certificate, code, verification: await verificationBy(ca) }
    assert.equal(provePossession(claim, NOW).kind, 'proof-of-possession')
  }
})

test('an intermediate CA proves itself by its own key, not by that of the root', async () => {
  const line = await makeIntermediate(root)
  const { certificate: authority } = line
  assert.equal(
    provePossession({ authority, code, verification: await verificationBy(line) }, NOW).kind,
    'proof-of-possession',
  )
  refused('wrong-issuer', { authority, code, verification: await verificationBy(root) })
  refused('wrong-issuer', { authority: root.certificate, code, verification: await verificationBy(line) })
})

test('a proof that openssl made, as existing scripts do, is accepted', { skip: withoutOpenssl }, () => {
  using workshop = new Workshop()
  workshop.write('root.key', keyPem(root.key))
  workshop.write('root.pem', pem(root.certificate))
  workshop.openssl(
    'req',
    '-new',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-keyout',
    'v.key',
    '-subj',
    `/O=x/CN=${CODE}`,
    '-out',
    'v.csr',
  )
  workshop.openssl(
    'x509',
    '-req',
    '-in',
    'v.csr',
    '-CA',
    'root.pem',
    '-CAkey',
    'root.key',
    '-set_serial',
    '5',
    '-days',
    '1',
    '-out',
    'v.pem',
  )
  const [verification] = parseCertificates(readFileSync(join(workshop.path, 'v.pem')))
  assert.ok(verification)
  // openssl starts the validity at its own second, a moment after NOW.
  const claim = { authority: root.certificate, code, verification }
  assert.equal(provePossession(claim, verification.notBefore).kind, 'proof-of-possession')
})

test('another code is refused, however near', async () => {
  for (const other of [CODE.toLowerCase(), CODE.slice(0, -1), `${CODE}0`, `${CODE.slice(0, -1)}E`, 'X']) {
    refused('wrong-code', { authority: root.certificate, code, verification: await verificationBy(root, other) })
  }
})

test('a CA of the same name with another key is refused', async () => {
  const impostor = await makeRoot({ days: 100 })
  assert.deepEqual(impostor.certificate.subject.der, root.certificate.subject.der)
  refused('same-name-other-key', { authority: root.certificate, code, verification: await verificationBy(impostor) })
})

test('a proof whose bytes were altered is refused', async () => {
  const good = await verificationBy(root, CODE)
  const other = `${CODE.slice(0, -1)}F`
  const der = Buffer.from(good.der)
  der.write(other, der.indexOf(CODE))
  const claim = { authority: root.certificate, code: { ...code, value: other }, verification: parseCertificate(der) }
  refused('same-name-other-key', claim)
})

test('an expired code is refused on the very millisecond', async () => {
  const claim = {
    authority: root.certificate,
    code: { ...code, expiresAt: NOW + 10 },
    verification: await verificationBy(root),
  }
  assert.equal(provePossession(claim, NOW + 9).kind, 'proof-of-possession')
  refused('code-expired', claim, NOW + 10)
})

test('a verification certificate outside of its validity is refused', async () => {
  const lasting = { value: CODE, expiresAt: NOW + 50 * DAY }
  const verification = await verificationBy(root)
  const claim = { authority: root.certificate, code: lasting, verification }
  assert.equal(provePossession(claim, verification.notAfter).kind, 'proof-of-possession')
  refused('expired-certificate', claim, verification.notAfter + 1)
  const future = await verificationBy(root, CODE, NOW + 10 * DAY)
  refused('not-yet-valid', { ...claim, verification: future })
})

test('an expired CA proves nothing', async () => {
  const verification = await verificationBy(root)
  const claim = { authority: root.certificate, code: { value: CODE, expiresAt: Infinity }, verification }
  refused('authority-expired', claim, root.certificate.notAfter + 1)
})

test('a certificate that is no CA proves nothing', async () => {
  const leaf = await makeDevice(root, 'pump-1')
  refused('authority-not-a-ca', { authority: leaf.certificate, code, verification: await verificationBy(root) })
})

test('a CA with a weak key proves nothing', { skip: withoutOpenssl }, async () => {
  using workshop = new Workshop()
  workshop.write('weak.key', keyPem(generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey))
  workshop.openssl('req', '-x509', '-new', '-key', 'weak.key', '-subj', '/CN=Test Root', '-out', 'weak.pem')
  const [authority] = parseCertificates(readFileSync(join(workshop.path, 'weak.pem')))
  assert.ok(authority)
  refused('authority-weak', { authority, code, verification: await verificationBy(root) }, authority.notBefore)
})

test('a CA certificate or one with several common names is no proof', { skip: withoutOpenssl }, async () => {
  const subordinate = await makeIntermediate(root, { name: CODE })
  refused('malformed', { authority: root.certificate, code, verification: subordinate.certificate })
  using workshop = new Workshop()
  workshop.write('root.key', keyPem(root.key))
  workshop.write('root.pem', pem(root.certificate))
  for (const subject of [`/CN=x/CN=${CODE}`, '/O=none']) {
    workshop.openssl(
      'req',
      '-new',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-keyout',
      'v.key',
      '-subj',
      subject,
      '-out',
      'v.csr',
    )
    workshop.openssl(
      'x509',
      '-req',
      '-in',
      'v.csr',
      '-CA',
      'root.pem',
      '-CAkey',
      'root.key',
      '-set_serial',
      '5',
      '-out',
      'v.pem',
    )
    const [verification] = parseCertificates(readFileSync(join(workshop.path, 'v.pem')))
    assert.ok(verification)
    refused('malformed', { authority: root.certificate, code, verification }, verification.notBefore)
  }
})

test('the CA certificate itself is no proof', () => {
  refused('malformed', { authority: root.certificate, code, verification: root.certificate })
})

test('the signer of the proof needs no more than the key', async () => {
  const remote = { ...keySigner(root.key), sign: async (data: Uint8Array) => keySigner(root.key).sign(data) }
  const profile = { code: CODE, spki: spkiOf(generateKey('p256')), term: { now: NOW, lifetime: DAY } }
  const der = await issueVerification({ certificate: root.certificate, signer: remote }, profile, randomBytes)
  const claim = { authority: root.certificate, code, verification: parseCertificate(der) }
  assert.equal(provePossession(claim, NOW).kind, 'proof-of-possession')
})
