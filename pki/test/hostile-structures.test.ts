import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import * as fc from 'fast-check'
import { explicit, implicit, sequence } from '../src/der-writer.ts'
import {
  AnchorSet,
  ExtensionOid,
  issueDeltaCrl,
  parseCertificate,
  parseCertificateRequest,
  parseCrl,
  ParseError,
  PathVerifier,
  readOcspResponse,
  requestedDeviceId,
  IssueError,
} from '../src/index.ts'
import { extension, forgeCa } from './forge.ts'
import { forgeCrl } from './forge-crl.ts'
import { keyPem, makeDevice, makeRoot, NOW, pem, withoutOpenssl, Workshop } from './issuance/workshop.ts'

/** What foreign tools and we ourselves make, in every shape that the parsers know, and then broken. */

const skip = withoutOpenssl
const verifier = new PathVerifier({ cacheSize: 4 })

/** Each octet changed to each of these, cut off everywhere, and edited at random: `judge` sees it all and may only return. */
function mutate(seed: Uint8Array, judge: (bytes: Uint8Array, isChanged: boolean) => void): void {
  judge(seed, false)
  for (const [at, octet] of seed.entries()) {
    for (const value of [0x00, 0x80, 0xff, octet ^ 0x01]) {
      const copy = Uint8Array.from(seed)
      copy[at] = value
      judge(copy, value !== octet)
    }
  }
  for (let length = 0; length < seed.length; length++) judge(seed.subarray(0, length), true)
  const edit = fc.record({ at: fc.nat(seed.length), remove: fc.nat(8), insert: fc.uint8Array({ maxLength: 8 }) })
  fc.assert(
    fc.property(fc.array(edit, { minLength: 1, maxLength: 4 }), (edits) => {
      let bytes: Uint8Array = seed
      for (const { at, remove, insert } of edits)
        bytes = Buffer.concat([bytes.subarray(0, at), insert, bytes.subarray(at + remove)])
      judge(bytes, Buffer.compare(bytes, seed) !== 0)
    }),
    { numRuns: 500 },
  )
}

/** The value, or undefined for bytes that are refused. Anything else that is thrown fails the test. */
function parsed<Value>(parse: () => Value): Value | undefined {
  try {
    return parse()
  } catch (error) {
    assert.ok(error instanceof ParseError, String(error))
    return undefined
  }
}

describe('broken structures are refused in the parser, and none passes for the one that it was', () => {
  test('a CA certificate with every extension', { skip }, () => {
    using workshop = new Workshop()
    const extensions = [
      'nameConstraints=permitted;DNS:.a.example,permitted;email:a.example,excluded;IP:10.0.0.0/255.0.0.0,excluded;URI:.b.example',
      'crlDistributionPoints=URI:http://a.example/a.crl,URI:ldap://a.example/cn=a',
      'freshestCRL=URI:http://a.example/d.crl',
      'authorityInfoAccess=OCSP;URI:http://o.example,caIssuers;URI:http://a.example/a.cer',
      'certificatePolicies=1.2.3.4,1.2.3.5',
      'policyMappings=1.2.3.4:1.2.3.6',
      'policyConstraints=requireExplicitPolicy:1,inhibitPolicyMapping:2',
      'inhibitAnyPolicy=3',
      'subjectAltName=DNS:a.example,IP:::1,email:a@a.example,URI:http://a.example,RID:1.2.3,otherName:1.2.3.4;UTF8:x',
      'extendedKeyUsage=clientAuth,serverAuth',
    ].flatMap((each) => ['-addext', each])
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', 'k']
    workshop.openssl('req', '-x509', ...curve, '-subj', '/C=NO/O=A/CN=a', ...extensions, '-outform', 'DER', '-out', 'c')
    const seed = parseCertificate(readFileSync(join(workshop.path, 'c')))
    assert.equal(seed.extensions.nameConstraints?.permitted.length, 2)
    assert.equal(seed.extensions.unknownCritical.length, 0)
    const anchors = new AnchorSet([seed])
    mutate(seed.der, (bytes, isChanged) => {
      const leaf = parsed(() => parseCertificate(bytes))
      if (leaf === undefined) return
      const verdict = verifier.verify({
        ...{ leaf, intermediates: [leaf], anchors, now: NOW, profile: 'compatible', purpose: 'any' },
      })
      if (isChanged) assert.ok('rule' in verdict)
    })
  })

  test('CRLs: complete, delta, indirect and of a narrow scope', async () => {
    const root = await makeRoot()
    const changes = [
      { serial: Uint8Array.of(5), revokedAt: NOW, reason: 'removeFromCRL' },
      { serial: Uint8Array.of(6), revokedAt: NOW, reason: 'keyCompromise' },
    ] as const
    const term = { number: 300n, thisUpdate: NOW, nextUpdate: NOW + 1_000 }
    const delta = await issueDeltaCrl(root.issuer, { baseNumber: 299n, ...term, changes })
    const entity = forgeCa('Root')
    const uri = implicit(6, Buffer.from('http://a.example/a.crl'))
    const scope = sequence(
      explicit(0, explicit(0, uri)),
      implicit(1, Uint8Array.of(0xff)),
      implicit(3, Uint8Array.of(1, 0x60)),
      implicit(4, Uint8Array.of(0xff)),
    )
    const names = sequence(explicit(4, entity.certificate.subject.der))
    const point = sequence(sequence(explicit(0, explicit(0, uri))))
    const rich = forgeCrl({
      issuer: entity,
      number: 7,
      revoked: [[{ certificate: { serial: Uint8Array.of(9) } }, 6]],
      entryExtensions: [extension(ExtensionOid.certificateIssuer, names, true)],
      extensions: [
        extension(ExtensionOid.issuingDistributionPoint, scope, true),
        extension(ExtensionOid.freshestCrl, point),
      ],
    })
    assert.equal(rich.freshest.length, 1)
    assert.equal(rich.scope?.indirect, true)
    for (const [der, signer] of [
      [delta, root.certificate],
      [rich.der, entity.certificate],
    ] as const)
      mutate(der, (bytes, isChanged) => {
        const crl = parsed(() => parseCrl(bytes))
        if (crl === undefined) return
        crl.find(signer.subject, Uint8Array.of(6))
        const isGood = crl.signatureAlgorithmsAgree && verifier.signatures.verify(crl, signer)
        if (isChanged) assert.ok(!isGood, 'accepted changed bytes')
      })
  })

  test('a request with attributes', { skip }, () => {
    using workshop = new Workshop()
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', 'k']
    const wishes = ['-addext', 'subjectAltName=DNS:a', '-addext', 'keyUsage=digitalSignature']
    workshop.openssl('req', '-new', ...curve, '-subj', '/CN=valve', ...wishes, '-outform', 'DER', '-out', 'r')
    mutate(readFileSync(join(workshop.path, 'r')), (bytes, isChanged) => {
      const request = parsed(() => parseCertificateRequest(bytes))
      if (request === undefined) return
      try {
        requestedDeviceId(request)
        assert.ok(!isChanged, 'accepted changed bytes')
      } catch (error) {
        assert.ok(error instanceof IssueError, String(error))
      }
    })
  })

  test('an OCSP response', { skip }, async () => {
    using workshop = new Workshop()
    const root = await makeRoot()
    const { certificate } = await makeDevice(root, 'pump')
    workshop.write('ca', pem(root.certificate))
    workshop.write('key', keyPem(root.key))
    workshop.write('leaf', pem(certificate))
    workshop.write('index', `V\t350101000000Z\t\t${certificate.serialHex.toUpperCase()}\tunknown\t/CN=pump\n`)
    const ca = ['-index', 'index', '-CA', 'ca', '-rsigner', 'ca', '-rkey', 'key', '-ndays', '1']
    workshop.openssl('ocsp', '-issuer', 'ca', '-cert', 'leaf', '-no_nonce', '-reqout', 'q')
    workshop.openssl('ocsp', ...ca, '-reqin', 'q', '-respout', 'a')
    const seed = readFileSync(join(workshop.path, 'a'))
    const question = { certificate, issuer: root.certificate }
    const tbs = parsed(() => readOcspResponse(seed, question, { now: Date.now(), verifier }))
    assert.equal(tbs?.kind, 'answer')
    mutate(seed, (bytes) => {
      // Refused or, where what changed is not what was signed, the very same answer.
      const outcome = readOcspResponse(bytes, question, { now: Date.now(), verifier })
      if (outcome.kind === 'answer') assert.equal(outcome.status.kind, 'good')
    })
  })

  test('noise as long as each of them', () => {
    for (let round = 0; round < 500; round++) {
      const bytes = randomBytes(1 + round)
      for (const parse of [parseCertificate, parseCertificateRequest, parseCrl]) parsed(() => parse(bytes))
    }
  })
})
