import assert from 'node:assert/strict'
import { createPrivateKey, randomBytes, X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, test } from 'node:test'
import { connect, createServer, type ConnectionOptions, type TLSSocket } from 'node:tls'
import * as fc from 'fast-check'
import {
  encryptPrivateKey,
  generateKey,
  issueServer,
  parseCertificate,
  ParseError,
  protectPkcs12,
  ProtectionError,
  readPkcs12,
  spkiOf,
  writePkcs12,
  type KeyType,
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

const skip = withoutOpenssl
/** The count changes nothing but the time it takes. */
const ITERATIONS = 1000

let root: TestCa
let line: TestCa

before(async () => {
  root = await makeRoot()
  line = await makeIntermediate(root)
})

interface Identity {
  readonly pfx: Buffer
  readonly key: string
  readonly cert: string
}

async function makeIdentity(passphrase: string, key: KeyType = 'p256', ca = line, id = 'pump-1'): Promise<Identity> {
  const { certificate, privateKey } = await makeDevice(ca, id, key)
  const protection = protectPkcs12(passphrase, randomBytes, ITERATIONS)
  const pkcs8 = privateKey.export({ type: 'pkcs8', format: 'der' })
  const pfx = writePkcs12(
    {
      encryptedKey: encryptPrivateKey(pkcs8, protection.bags, randomBytes),
      certificates: [certificate.der, ca.certificate.der],
      friendlyName: id,
    },
    protection,
    randomBytes,
  )
  return { pfx, key: keyPem(privateKey), cert: pem(certificate, ca.certificate) }
}

for (const passphrase of ['correct horse', '', 'pässwörd 日本', 'x'.repeat(200)]) {
  test(`openssl opens a .pfx under "${passphrase.slice(0, 20)}"`, { skip }, async () => {
    using workshop = new Workshop()
    const { pfx, key } = await makeIdentity(passphrase)
    workshop.write('device.pfx', pfx)
    const args = ['pkcs12', '-in', 'device.pfx', '-passin', `pass:${passphrase}`]
    const { output, status } = workshop.tryOpenssl(...args, '-nodes', '-info')
    assert.equal(status, 0, output)
    assert.match(output, /MAC: sha256, Iteration 1000/)
    assert.match(output, /PKCS7 Encrypted data: PBES2, PBKDF2, AES-256-CBC, Iteration 1000, PRF hmacWithSHA256/)
    assert.match(output, /Shrouded Keybag: PBES2, PBKDF2, AES-256-CBC/)
    assert.match(output, /friendlyName: pump-1/)
    assert.equal(output.match(/BEGIN CERTIFICATE/g)?.length, 2)
    assert.ok(output.includes(key.trim()))
    // The localKeyId decides which certificate is the key's own.
    const client = workshop.openssl(...args, '-clcerts', '-nokeys')
    assert.equal(new X509Certificate(client).subject, 'CN=pump-1')
  })
}

/** What the server saw of a client that presents this identity. */
async function presentTo(ca: TestCa, identity: ConnectionOptions): Promise<{ authorized: boolean; subject: string }> {
  const serverKey = generateKey('p256')
  const profile = { names: ['localhost'] as const, spki: spkiOf(serverKey), term: { now: NOW, lifetime: DAY } }
  const serverCertificate = parseCertificate(
    await issueServer(root.issuer, { ...profile, names: ['localhost'] }, randomBytes),
  )
  const server = createServer({
    key: keyPem(serverKey),
    cert: pem(serverCertificate),
    ca: pem(ca.certificate),
    requestCert: true,
    rejectUnauthorized: true,
  })
  try {
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const { port } = server.address() as { port: number }
    const accepted = once(server, 'secureConnection') as Promise<[TLSSocket]>
    const client = connect({ port, host: '127.0.0.1', servername: 'localhost', ca: pem(root.certificate), ...identity })
    const [socket] = await accepted
    const seen = { authorized: socket.authorized, subject: socket.getPeerX509Certificate()?.subject ?? '' }
    socket.destroy()
    client.destroy()
    return seen
  } finally {
    server.close()
  }
}

test('a device identifies itself by its .pfx in a mutual handshake', async () => {
  const { pfx } = await makeIdentity('secret')
  const seen = await presentTo(root, { pfx, passphrase: 'secret' })
  assert.deepEqual(seen, { authorized: true, subject: 'CN=pump-1' })
})

test('a device identifies itself by its key and chain', async () => {
  const { key, cert } = await makeIdentity('')
  assert.deepEqual(await presentTo(root, { key, cert }), { authorized: true, subject: 'CN=pump-1' })
})

test('an identity of ML-DSA-65 from root to device does both', async () => {
  const ca = await makeRoot({ key: 'ml-dsa-65', name: 'PQ Root' })
  const { pfx, key, cert } = await makeIdentity('secret', 'ml-dsa-65', ca)
  const expected = { authorized: true, subject: 'CN=pump-1' }
  assert.deepEqual(await presentTo(ca, { pfx, passphrase: 'secret' }), expected)
  assert.deepEqual(await presentTo(ca, { key, cert }), expected)
})

test('an encrypted PKCS#8 key is the same bytes in PEM and .pfx, and Node opens it', async () => {
  const key = generateKey('p256')
  const protection = protectPkcs12('secret', randomBytes, ITERATIONS)
  const encrypted = encryptPrivateKey(key.export({ type: 'pkcs8', format: 'der' }), protection.bags, randomBytes)
  const opened = createPrivateKey({ key: encrypted, format: 'der', type: 'pkcs8', passphrase: 'secret' })
  assert.ok(opened.equals(key))
})

test('files of one run share their stretched passphrase but no IV', async () => {
  const protection = protectPkcs12('secret', randomBytes, ITERATIONS)
  const pkcs8 = generateKey('p256').export({ type: 'pkcs8', format: 'der' })
  const encrypt = () => encryptPrivateKey(pkcs8, protection.bags, randomBytes).toString('hex')
  assert.notEqual(encrypt(), encrypt())
})

test('what was written is read back', async () => {
  for (const passphrase of ['', 'secret', 'pässwörd 日本']) {
    const { pfx, key } = await makeIdentity(passphrase)
    const contents = readPkcs12(pfx, passphrase)
    assert.ok(
      createPrivateKey({ key: contents.privateKey, format: 'der', type: 'pkcs8' }).equals(createPrivateKey(key)),
    )
    assert.deepEqual(
      contents.certificates.map((der) => parseCertificate(der).subject.toString()),
      ['CN=pump-1', 'CN=Test Intermediate'],
    )
    assert.throws(
      () => readPkcs12(pfx, `${passphrase}x`),
      (error) => error instanceof ProtectionError && error.code === 'wrong-passphrase',
    )
  }
})

function exported(workshop: Workshop, ...args: readonly string[]): Buffer {
  workshop.write('ca.key', keyPem(line.key))
  workshop.write('ca.cer', pem(line.certificate, root.certificate))
  workshop.openssl('pkcs12', '-export', '-inkey', 'ca.key', '-in', 'ca.cer', '-out', 'ca.pfx', ...args)
  return readFileSync(join(workshop.path, 'ca.pfx'))
}

test('what openssl exports is read', { skip }, () => {
  using workshop = new Workshop()
  const variants = [
    [],
    ['-keypbe', 'NONE', '-certpbe', 'NONE'],
    ['-keypbe', 'AES-128-CBC', '-certpbe', 'AES-192-CBC', '-macalg', 'sha512'],
    ['-macalg', 'sha1', '-iter', '1'],
  ]
  for (const variant of variants) {
    const { certificates } = readPkcs12(exported(workshop, '-passout', 'pass:päss', ...variant), 'päss')
    assert.equal(certificates.length, 2)
  }
})

test('protections of the last century are refused by name', { skip }, () => {
  using workshop = new Workshop()
  for (const variant of [['-legacy'], ['-nomac']]) {
    assert.throws(
      () => readPkcs12(exported(workshop, '-passout', 'pass:x', ...variant), 'x'),
      (error) => error instanceof ProtectionError && error.code === 'unsupported-protection',
    )
  }
})

test('every cut is refused', async () => {
  const { pfx } = await makeIdentity('x')
  for (let length = 0; length < pfx.length; length += 7) {
    assert.throws(() => readPkcs12(pfx.subarray(0, length), 'x'), ParseError)
  }
})

test('a file that is huge or claims endless stretching is refused before any work is done', () => {
  assert.throws(() => readPkcs12(Buffer.alloc(2 * 1024 * 1024), 'x'), ParseError)
  const { bags, mac } = protectPkcs12('x', randomBytes, 1)
  const endless = { bags, mac: { ...mac, iterations: 2_000_001 } }
  const contents = {
    encryptedKey: Buffer.of(0x30, 0),
    certificates: [root.certificate.der],
    friendlyName: 'x',
  } as const
  assert.throws(() => readPkcs12(writePkcs12(contents, endless, randomBytes), 'x'), ParseError)
})

test('a file of many parts is refused, since each may cost a stretching', () => {
  const protection = protectPkcs12('x', randomBytes, 1)
  const encryptedKey = encryptPrivateKey(
    generateKey('p256').export({ type: 'pkcs8', format: 'der' }),
    protection.bags,
    randomBytes,
  )
  const read = (count: number) => {
    const more = Array<Uint8Array>(count - 1).fill(root.certificate.der)
    const contents = { encryptedKey, certificates: [root.certificate.der, ...more], friendlyName: 'x' } as const
    return readPkcs12(writePkcs12(contents, protection, randomBytes), 'x').certificates.length
  }
  assert.equal(read(30), 30)
  assert.throws(() => read(40), ParseError)
})

test('whatever bytes are changed, a file opens or is refused by its own errors', async () => {
  const { pfx } = await makeIdentity('x')
  const change = fc.record({ at: fc.nat({ max: pfx.length - 1 }), to: fc.nat({ max: 255 }) })
  const changes = fc.array(change, { minLength: 1, maxLength: 4 })
  fc.assert(
    fc.property(changes, (list) => {
      const altered = Buffer.from(pfx)
      for (const { at, to } of list) altered[at] = to
      try {
        readPkcs12(altered, 'x')
      } catch (error) {
        assert.ok(error instanceof ParseError || error instanceof ProtectionError, String(error))
      }
    }),
    { numRuns: 300 },
  )
})

test('an altered file is refused', async () => {
  const { pfx } = await makeIdentity('x')
  const altered = Buffer.from(pfx)
  altered[200] = (altered[200] ?? 0) ^ 1
  assert.throws(() => readPkcs12(altered, 'x'), ProtectionError)
})
