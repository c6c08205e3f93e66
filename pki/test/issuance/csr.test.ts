import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, test } from 'node:test'
import * as fc from 'fast-check'
import {
  decodePem,
  IssueError,
  issueFromRequest,
  KeyPurpose,
  ParseError,
  parseCertificate,
  parseCertificateRequest,
  requestedDeviceId,
  type IssueErrorCode,
} from '@holdfast/pki'
import { DAY, keyPem, makeRoot, NOW, pem, withoutOpenssl, Workshop, type TestCa } from './workshop.ts'

const term = { now: NOW, lifetime: DAY }
const skip = withoutOpenssl
let root: TestCa

before(async () => {
  root = await makeRoot()
})

/** A request as `openssl req` makes it, DER. */
function request(workshop: Workshop, subject: string, ...more: readonly string[]): Buffer {
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', 'device.key']
  workshop.openssl('req', '-new', ...key, '-subj', subject, '-outform', 'DER', '-out', 'device.csr', ...more)
  return readFileSync(join(workshop.path, 'device.csr'))
}

function refused(code: IssueErrorCode, work: () => unknown): void {
  assert.throws(work, (error) => error instanceof IssueError && error.code === code)
}

test('a request made by openssl becomes a certificate for its key', { skip }, async () => {
  using workshop = new Workshop()
  const parsed = parseCertificateRequest(request(workshop, '/CN=pump-1'))
  assert.equal(requestedDeviceId(parsed), 'pump-1')
  const der = await issueFromRequest(root.issuer, { request: parsed, term }, randomBytes)
  workshop.write('root.pem', pem(root.certificate))
  workshop.write('device.pem', pem(parseCertificate(der)))
  assert.match(workshop.openssl('verify', '-x509_strict', '-CAfile', 'root.pem', 'device.pem'), /OK/)
  const publicKey = workshop.openssl('pkey', '-in', 'device.key', '-pubout')
  assert.equal(workshop.openssl('x509', '-in', 'device.pem', '-noout', '-pubkey'), publicKey)
})

test('extensions and other names that a request asks for are not granted', { skip }, async () => {
  using workshop = new Workshop()
  const greedy = ['-addext', 'keyUsage=keyCertSign', '-addext', 'subjectAltName=DNS:hub.example.com']
  const parsed = parseCertificateRequest(request(workshop, '/O=Evil/CN=pump-1', ...greedy))
  const certificate = parseCertificate(await issueFromRequest(root.issuer, { request: parsed, term }, randomBytes))
  assert.equal(certificate.isCa, false)
  assert.equal(certificate.extensions.subjectAltName, undefined)
  assert.deepEqual(certificate.extensions.extKeyUsage, [KeyPurpose.clientAuth])
  assert.equal(certificate.subject.toString(), 'CN=pump-1')
  const ambitious = request(workshop, '/CN=pump-1', '-addext', 'basicConstraints=critical,CA:TRUE')
  await assert.rejects(
    async () => issueFromRequest(root.issuer, { request: parseCertificateRequest(ambitious), term }, randomBytes),
    (error) => error instanceof IssueError && error.code === 'request-for-ca',
  )
})

for (const kind of ['rsa:2048', 'ed25519']) {
  test(`requests by ${kind} keys are read`, { skip }, () => {
    using workshop = new Workshop()
    const key = ['-newkey', kind, '-nodes', '-keyout', 'k.key']
    workshop.openssl('req', '-new', ...key, '-subj', '/CN=x', '-outform', 'DER', '-out', 'x.csr')
    const parsed = parseCertificateRequest(readFileSync(join(workshop.path, 'x.csr')))
    assert.equal(requestedDeviceId(parsed), 'x')
  })
}

test('a request must be signed by the key it holds', { skip }, () => {
  using workshop = new Workshop()
  const der = request(workshop, '/CN=pump-1')
  const altered = Buffer.from(der)
  const at = altered.indexOf('pump-1')
  altered.write('pump-2', at)
  refused('request-signature', () => requestedDeviceId(parseCertificateRequest(altered)))
  const forged = Buffer.from(der)
  forged[forged.length - 1] = (forged.at(-1) ?? 0) ^ 1
  refused('request-signature', () => requestedDeviceId(parseCertificateRequest(forged)))
})

test('a request signed with SHA-1 is refused', { skip }, () => {
  using workshop = new Workshop()
  refused('request-signature', () =>
    requestedDeviceId(parseCertificateRequest(request(workshop, '/CN=pump-1', '-sha1'))),
  )
})

test('a weak key is refused', { skip }, () => {
  using workshop = new Workshop()
  workshop.openssl('req', '-new', '-newkey', 'rsa:1024', '-nodes', '-keyout', 'k', '-subj', '/CN=x', '-out', 'x.csr')
  const [block] = decodePem(readFileSync(join(workshop.path, 'x.csr'), 'latin1'))
  assert.ok(block)
  refused('request-signature', () => requestedDeviceId(parseCertificateRequest(block.der)))
})

test("the CA's own key is refused", { skip }, async () => {
  using workshop = new Workshop()
  workshop.write('ca.key', keyPem(root.key))
  workshop.openssl('req', '-new', '-key', 'ca.key', '-subj', '/CN=pump-1', '-outform', 'DER', '-out', 'ca.csr')
  const parsed = parseCertificateRequest(readFileSync(join(workshop.path, 'ca.csr')))
  await assert.rejects(
    issueFromRequest(root.issuer, { request: parsed, term }, randomBytes),
    (error) => error instanceof IssueError && error.code === 'issuer-key-reused',
  )
})

test('a request names exactly one possible device', { skip }, () => {
  using workshop = new Workshop()
  for (const subject of ['/O=Contoso', '/CN=a/CN=b', '/CN=a b', '/CN=a/O=x/CN=a']) {
    refused('invalid-name', () => requestedDeviceId(parseCertificateRequest(request(workshop, subject))))
  }
})

test('bytes that are no request are refused at every cut', { skip }, () => {
  using workshop = new Workshop()
  const der = request(workshop, '/CN=pump-1')
  for (let length = 0; length < der.length; length += 1) {
    assert.throws(() => parseCertificateRequest(der.subarray(0, length)), ParseError)
  }
  assert.throws(() => parseCertificateRequest(Buffer.concat([der, Buffer.of(0)])), ParseError)
  assert.throws(() => parseCertificateRequest(Buffer.alloc(1024 * 1024, 0x30)), ParseError)
  assert.throws(() => parseCertificateRequest(root.certificate.der), ParseError)
})

test('whatever bytes are changed, a request is read or refused by its own errors', { skip }, () => {
  using workshop = new Workshop()
  const der = request(workshop, '/CN=pump-1')
  const change = fc.record({ at: fc.nat({ max: der.length - 1 }), to: fc.nat({ max: 255 }) })
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (list) => {
      const altered = Buffer.from(der)
      for (const { at, to } of list) altered[at] = to
      if (altered.equals(der)) return
      try {
        const id = requestedDeviceId(parseCertificateRequest(altered))
        assert.fail(`an altered request was accepted for ${id}`)
      } catch (error) {
        assert.ok(error instanceof ParseError || error instanceof IssueError, String(error))
      }
    }),
    { numRuns: 2000 },
  )
})
