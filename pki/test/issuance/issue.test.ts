import assert from 'node:assert/strict'
import { generateKeyPairSync, randomBytes, X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import {
  encodePem,
  generateKey,
  issueDevice,
  IssueError,
  issueIntermediate,
  issuerOf,
  issueRoot,
  issueServer,
  issueVerification,
  KEY_TYPES,
  keySigner,
  KeyPurpose,
  KeyUsageBit,
  parseCertificate,
  spkiOf,
  type Certificate,
  type IssueErrorCode,
  type KeyType,
} from '@holdfast/pki'
import {
  DAY,
  makeDevice,
  makeIntermediate,
  makeRoot,
  NOW,
  pem,
  withoutOpenssl,
  Workshop,
  type TestCa,
} from './workshop.ts'

/** Larger RSA keys take long to find, and are made once, below; these cover every algorithm. */
const OPENSSL_KEYS: readonly KeyType[] = ['p256', 'p384', 'ed25519', 'rsa2048']

const device = (ca: TestCa, id: string, term: Parameters<typeof issueDevice>[1]['term']) =>
  issueDevice(ca.issuer, { id, spki: spkiOf(generateKey('p256')), term }, randomBytes).then(parseCertificate)

async function refused(code: IssueErrorCode, work: () => unknown): Promise<void> {
  await assert.rejects(
    async () => work(),
    (error) => {
      assert.ok(error instanceof IssueError, String(error))
      assert.equal(error.code, code)
      assert.match(error.message, /^[A-Z"].*\.$/s)
      assert.match(error.remedy, /^[A-Z].*[.D]$/s)
      return true
    },
  )
}

for (const key of OPENSSL_KEYS) {
  test(`openssl verifies a chain of three under a ${key} root`, { skip: withoutOpenssl }, async () => {
    using workshop = new Workshop()
    const root = await makeRoot({ key })
    const plant = await makeIntermediate(root, { name: 'Plant', key })
    const line = await makeIntermediate(plant, { name: 'Line', key, pathLength: 0 })
    const { certificate } = await makeDevice(line, 'pump-1', key)
    workshop.write('root.pem', pem(root.certificate))
    workshop.write('between.pem', pem(plant.certificate, line.certificate))
    workshop.write('leaf.pem', pem(certificate))
    const verify = [
      'verify',
      '-x509_strict',
      '-purpose',
      'sslclient',
      '-CAfile',
      'root.pem',
      '-untrusted',
      'between.pem',
    ]
    assert.match(workshop.openssl(...verify, 'leaf.pem'), /leaf\.pem: OK/)
    assert.equal(workshop.tryOpenssl(...verify.with(3, 'sslserver'), 'leaf.pem').status, 2)
  })
}

test('Node verifies a chain of ML-DSA-65', async () => {
  const root = await makeRoot({ key: 'ml-dsa-65' })
  const { certificate } = await makeDevice(root, 'pump-1', 'ml-dsa-65')
  const [ca, leaf] = [new X509Certificate(root.certificate.der), new X509Certificate(certificate.der)]
  assert.equal(ca.publicKey.asymmetricKeyType, 'ml-dsa-65')
  assert.ok(ca.verify(ca.publicKey))
  assert.ok(leaf.verify(ca.publicKey))
  assert.ok(leaf.checkIssued(ca))
})

test('every kind of key can be made by its name, and signs', async () => {
  for (const type of KEY_TYPES) {
    const { issuer, certificate } = await makeRoot({ key: type })
    assert.equal(new X509Certificate(certificate.der).verify(new X509Certificate(certificate.der).publicKey), true)
    const bits = /^rsa(\d+)$/.exec(type)?.[1]
    if (bits !== undefined)
      assert.equal(new X509Certificate(certificate.der).publicKey.asymmetricKeyDetails?.modulusLength, Number(bits))
    const leaf = await device({ issuer, certificate, key: generateKey('p256') }, 'pump-1', { now: NOW, lifetime: DAY })
    assert.ok(new X509Certificate(leaf.der).verify(new X509Certificate(certificate.der).publicKey), type)
  }
})

test('openssl reads each extension as it is meant', { skip: withoutOpenssl }, async () => {
  using workshop = new Workshop()
  const root = await makeRoot({ pathLength: 2 })
  const { certificate } = await makeDevice(root, 'pump-1')
  workshop.write('root.pem', pem(root.certificate))
  workshop.write('leaf.pem', pem(certificate))
  const rootText = workshop.openssl('x509', '-in', 'root.pem', '-noout', '-text')
  assert.match(rootText, /Basic Constraints: critical\s+CA:TRUE, pathlen:2/)
  assert.match(rootText, /X509v3 Key Usage: critical\s+Certificate Sign, CRL Sign/)
  const leafText = workshop.openssl('x509', '-in', 'leaf.pem', '-noout', '-text')
  assert.match(leafText, /Version: 3/)
  assert.match(leafText, /Basic Constraints: critical\s+CA:FALSE/)
  assert.match(leafText, /X509v3 Key Usage: critical\s+Digital Signature\n/)
  assert.match(leafText, /X509v3 Extended Key Usage: \s+TLS Web Client Authentication\n/)
  assert.match(leafText, /Subject: CN = pump-1\n/)
})

test('key identifiers link the chain', async () => {
  const root = await makeRoot()
  const { certificate } = await makeDevice(root, 'pump-1')
  const rootId = root.certificate.extensions.subjectKeyIdentifier
  assert.ok(rootId)
  assert.equal(rootId.length, 20)
  assert.deepEqual(certificate.extensions.authorityKeyIdentifier?.keyIdentifier, rootId)
  assert.notDeepEqual(certificate.extensions.subjectKeyIdentifier, rootId)
})

test('serials are 128 random bits and positive, also when the first bit is set', async () => {
  const root = await makeRoot()
  const ones = await issueDevice(
    root.issuer,
    { id: 'a', spki: spkiOf(generateKey('p256')), term: { now: NOW, lifetime: DAY } },
    (size) => new Uint8Array(size).fill(0xff),
  )
  assert.equal(parseCertificate(ones).serialHex, `00${'ff'.repeat(16)}`)
  const serials = new Set(
    await Promise.all([1, 2, 3].map(async () => (await makeDevice(root, 'a')).certificate.serialHex)),
  )
  assert.equal(serials.size, 3)
  await assert.rejects(
    issueDevice(
      root.issuer,
      { id: 'a', spki: spkiOf(generateKey('p256')), term: { now: NOW, lifetime: DAY } },
      (size) => new Uint8Array(size),
    ),
    RangeError,
  )
})

test('a default lifetime is cut to the end of the issuer, a demanded end is refused', async () => {
  const root = await makeRoot({ days: 10 })
  const cut = await device(root, 'a', { now: NOW, lifetime: 365 * DAY })
  assert.equal(cut.notAfter, root.certificate.notAfter)
  const exact = await device(root, 'a', { now: NOW, until: root.certificate.notAfter })
  assert.equal(exact.notAfter, root.certificate.notAfter)
  await refused('outlives-issuer', () => device(root, 'a', { now: NOW, until: root.certificate.notAfter + 1000 }))
})

test('certificates are back-dated by five minutes, but never before their issuer', async () => {
  const root = await makeRoot()
  assert.equal(root.certificate.notBefore, NOW - 5 * 60 * 1000)
  const later = await device(root, 'a', { now: NOW + DAY, lifetime: DAY })
  assert.equal(later.notBefore, NOW + DAY - 5 * 60 * 1000)
  const atOnce = await device(root, 'a', { now: NOW + 1000, lifetime: DAY })
  assert.equal(atOnce.notBefore, NOW + 1000 - 5 * 60 * 1000)
  const young = await device(root, 'a', { now: root.certificate.notBefore, lifetime: DAY })
  assert.equal(young.notBefore, root.certificate.notBefore)
})

test('an issuer outside of its validity issues nothing', async () => {
  const root = await makeRoot({ days: 10 })
  const { notBefore, notAfter } = root.certificate
  await refused('issuer-not-valid', () => device(root, 'a', { now: notBefore - 1000, lifetime: DAY }))
  await refused('issuer-not-valid', () => device(root, 'a', { now: notAfter + 1000, lifetime: DAY }))
  await refused('invalid-term', () => device(root, 'a', { now: NOW, until: NOW }))
  await refused('invalid-term', () => device(root, 'a', { now: NOW, lifetime: Number.NaN }))
})

test('dates beyond 2049 are read by openssl', { skip: withoutOpenssl }, async () => {
  using workshop = new Workshop()
  const root = await makeRoot({ days: 20_000 })
  workshop.write('root.pem', pem(root.certificate))
  assert.match(workshop.openssl('x509', '-in', 'root.pem', '-noout', '-enddate'), /notAfter=.* 2081 GMT/)
})

const pathLength = ({ extensions }: Certificate) => extensions.basicConstraints?.pathLength

test('path lengths shrink from CA to CA and end', async () => {
  const root = await makeRoot({ pathLength: 2 })
  const plant = await makeIntermediate(root)
  assert.equal(pathLength(plant.certificate), 1)
  const line = await makeIntermediate(plant)
  assert.equal(pathLength(line.certificate), 0)
  await refused('path-length-exhausted', () => makeIntermediate(line))
  await refused('path-length-exhausted', () => makeIntermediate(root, { pathLength: 2 }))
  assert.equal(pathLength((await makeIntermediate(root, { pathLength: 0 })).certificate), 0)
  assert.equal(pathLength((await makeIntermediate(await makeRoot())).certificate), undefined)
})

test('only a CA with its own key issues', async () => {
  const root = await makeRoot()
  const { certificate, privateKey } = await makeDevice(root, 'pump-1')
  await refused('issuer-not-a-ca', () => issuerOf(certificate, keySigner(privateKey)))
  await refused('issuer-key-mismatch', () => issuerOf(root.certificate, keySigner(privateKey)))
})

test("the CA's own key and weak keys are not certified", async () => {
  const root = await makeRoot()
  const term = { now: NOW, lifetime: DAY }
  const certify = (spki: Uint8Array) => issueDevice(root.issuer, { id: 'a', spki, term }, randomBytes)
  await refused('issuer-key-reused', () => certify(root.certificate.spki))
  const weak = [
    generateKeyPairSync('rsa', { modulusLength: 1024 }),
    generateKeyPairSync('ec', { namedCurve: 'secp256k1' }),
    generateKeyPairSync('dsa', { modulusLength: 2048, divisorLength: 256 }),
  ]
  for (const { publicKey } of weak) await refused('weak-key', () => certify(spkiOf(publicKey)))
  const small = keySigner(generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey)
  await refused('weak-key', () => issueRoot(small, { subject: { commonName: 'x' }, term }, randomBytes))
})

test('ids and names that mislead are refused', async () => {
  const root = await makeRoot()
  const term = { now: NOW, lifetime: DAY }
  for (const id of ['', 'a/b', 'a b', 'a\0b', 'pümp', 'pump\n', 'a'.repeat(65), '../etc']) {
    await refused('invalid-name', () => device(root, id, term))
  }
  assert.equal((await device(root, `-:.+%_#*?!(),=@;$'`, term)).subject.commonNames[0], `-:.+%_#*?!(),=@;$'`)
  for (const name of ['', ' x', 'x\u202e', 'x\0', 'x\ny', 'a'.repeat(65)]) {
    await refused('invalid-name', () => makeRoot({ name }))
  }
  assert.deepEqual((await makeRoot({ name: 'Straße 7 日本' })).certificate.subject.commonNames, ['Straße 7 日本'])
})

test('a verification certificate carries the code alone', async () => {
  const root = await makeRoot()
  const spki = spkiOf(generateKey('p256'))
  const profile = { code: '7A69A1F2C0DE', spki, term: { now: NOW, lifetime: DAY } }
  const certificate = parseCertificate(await issueVerification(root.issuer, profile, randomBytes))
  assert.deepEqual(certificate.subject.commonNames, ['7A69A1F2C0DE'])
  assert.equal(certificate.isCa, false)
  for (const code of ['', 'a b', 'CN=x', 'a'.repeat(65)]) {
    await refused('invalid-name', () => issueVerification(root.issuer, { ...profile, code }, randomBytes))
  }
})

test('a server certificate is accepted for each of its names', { skip: withoutOpenssl }, async () => {
  using workshop = new Workshop()
  const root = await makeRoot()
  const names = ['hub.example.com', '*.hubs.example.com', '127.0.0.1', '::1', '2001:db8::ff'] as const
  const profile = { names: [...names] as [string, ...string[]], spki: spkiOf(generateKey('p256')) }
  const der = await issueServer(root.issuer, { ...profile, term: { now: NOW, lifetime: DAY } }, randomBytes)
  workshop.write('root.pem', pem(root.certificate))
  workshop.write('server.pem', encodePem('CERTIFICATE', der))
  const verify = ['verify', '-x509_strict', '-purpose', 'sslserver', '-CAfile', 'root.pem']
  const good: readonly [string, string][] = [
    ['hostname', 'hub.example.com'],
    ['hostname', 'a.hubs.example.com'],
    ['ip', '127.0.0.1'],
    ['ip', '::1'],
    ['ip', '2001:db8::ff'],
  ]
  for (const [kind, name] of good) {
    assert.match(workshop.openssl(...verify, `-verify_${kind}`, name, 'server.pem'), /OK/)
  }
  assert.equal(workshop.tryOpenssl(...verify, '-verify_hostname', 'other.example.com', 'server.pem').status, 2)
  const certificate = parseCertificate(der)
  assert.deepEqual(certificate.extensions.extKeyUsage, [KeyPurpose.serverAuth])
  assert.equal(certificate.extensions.keyUsage, 1 << KeyUsageBit.digitalSignature)
  for (const name of [
    '',
    'a b',
    '-x.example',
    'a..b',
    '*.*.example',
    'x\0y',
    '1.2.3.256',
    '1.2.3',
    '::1%eth0',
    ':::',
  ]) {
    await assert.rejects(
      async () =>
        issueServer(root.issuer, { ...profile, names: ['ok', name], term: { now: NOW, lifetime: DAY } }, randomBytes),
      RangeError,
    )
  }
})

test('an organization stands before the common name', async () => {
  const root = await makeRoot()
  const profile = { subject: { commonName: 'Line 7', organization: 'Contoso' }, spki: spkiOf(generateKey('p256')) }
  const der = await issueIntermediate(root.issuer, { ...profile, term: { now: NOW, lifetime: DAY } }, randomBytes)
  assert.equal(parseCertificate(der).subject.toString(), 'CN=Line 7,O=Contoso')
})

test('a signer may answer with a promise', async () => {
  const direct = keySigner(generateKey('p256'))
  const remote = { ...direct, sign: async (data: Uint8Array) => direct.sign(data) }
  const profile = { subject: { commonName: 'Token CA' }, term: { now: NOW, lifetime: DAY } }
  const certificate = new X509Certificate(await issueRoot(remote, profile, randomBytes))
  assert.ok(certificate.verify(certificate.publicKey))
})
