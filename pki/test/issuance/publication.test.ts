import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import {
  generateKey,
  issueDevice,
  IssueError,
  ocspUrls,
  parseCertificate,
  spkiOf,
  type Publication,
} from '@holdfast/pki'
import { DAY, makeRoot, NOW, pem, withoutOpenssl, Workshop, type TestCa } from './workshop.ts'

const skip = withoutOpenssl

async function publishing(root: TestCa, publication: Publication) {
  const spki = spkiOf(generateKey('p256'))
  const profile = { id: 'pump', spki, term: { now: NOW, lifetime: DAY }, publication }
  return parseCertificate(await issueDevice(root.issuer, profile, randomBytes))
}

test(
  'openssl reads where the CRL, the responder and the CA certificate are, and still verifies',
  { skip },
  async () => {
    using workshop = new Workshop()
    const root = await makeRoot()
    const certificate = await publishing(root, {
      crls: ['http://one.example/root.crl', 'http://two.example/root.crl'],
      ocsp: ['http://ocsp.example'],
      caIssuers: ['http://one.example/root.cer'],
    })
    workshop.write('root.pem', pem(root.certificate))
    workshop.write('pump.pem', pem(certificate))
    assert.match(workshop.openssl('verify', '-x509_strict', '-CAfile', 'root.pem', 'pump.pem'), /OK/)
    const extensions = 'crlDistributionPoints,authorityInfoAccess'
    const text = workshop.openssl('x509', '-in', 'pump.pem', '-noout', '-ext', extensions)
    assert.match(text, /Full Name:\s+URI:http:\/\/one\.example\/root\.crl\s+URI:http:\/\/two\.example\/root\.crl/)
    assert.match(text, /OCSP - URI:http:\/\/ocsp\.example\n\s*CA Issuers - URI:http:\/\/one\.example\/root\.cer/)
    assert.doesNotMatch(text, /critical/)
    assert.equal(workshop.openssl('x509', '-in', 'pump.pem', '-noout', '-ocsp_uri').trim(), 'http://ocsp.example')
  },
)

test('our own parser reads what was written, and nothing is written that was not asked for', async () => {
  const root = await makeRoot()
  const names = (certificate: Awaited<ReturnType<typeof publishing>>) =>
    (certificate.extensions.crlDistributionPoints ?? []).flatMap(({ name }) =>
      name?.kind === 'full' ? name.names : [],
    )
  const full = await publishing(root, {
    crls: ['http://a.example/1'],
    ocsp: ['http://b.example/', 'http://c.example/'],
  })
  assert.deepEqual(names(full), [{ kind: 'uri', value: 'http://a.example/1' }])
  assert.deepEqual(ocspUrls(full), ['http://b.example/', 'http://c.example/'])
  const bare = await publishing(root, { crls: [], ocsp: [] })
  assert.equal(bare.extensions.crlDistributionPoints, undefined)
  assert.equal(bare.extensions.authorityInfoAccess, undefined)
})

test('an address that misleads or leads in a circle is refused in words', async () => {
  const root = await makeRoot()
  const wrong: readonly (readonly [string, RegExp])[] = [
    ['https://pki.example/root.crl', /circle/],
    ['ldap://pki.example/cn=root', /no http address/],
    ['file:///etc/passwd', /no http address/],
    ['pki.example/root.crl', /no http address/],
    ['', /no http address/],
    ['http://', /no http address/],
    ['http://pki.example/a\nb', /no http address/],
    ['http://pki.example/\u0000', /no http address/],
    ['http://pkí.example/', /no http address/],
    ['http://ada:secret@pki.example/', /neither a user/],
    ['http://pki.example/#x', /fragment/],
    [`http://pki.example/${'x'.repeat(1_000)}`, /longer than 1000/],
  ]
  for (const [address, why] of wrong) {
    for (const publication of [{ crls: [address] }, { ocsp: [address] }, { caIssuers: [address] }])
      await assert.rejects(publishing(root, publication), (error) => {
        assert.ok(error instanceof IssueError && error.code === 'invalid-address', String(error))
        assert.match(error.message, why)
        assert.match(error.message, /^\P{C}*$/u)
        return true
      })
  }
  const nine = Array.from({ length: 9 }, (_, at) => `http://pki.example/${at}`)
  await assert.rejects(publishing(root, { crls: nine }), /more than 8/)
})
