import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  checkRevocation,
  encodePem,
  issueCrl,
  issueDeltaCrl,
  IssueError,
  parseCrl,
  PathVerifier,
  type Certificate,
  type RevocationFacts,
  type RevokedEntry,
} from '@holdfast/pki'
import { DAY, makeDevice, makeRoot, NOW, pem, withoutOpenssl, Workshop } from './workshop.ts'

const skip = withoutOpenssl
const times = { thisUpdate: NOW, nextUpdate: NOW + 7 * DAY }

for (const key of ['p256', 'p384', 'ed25519', 'rsa2048'] as const) {
  test(`openssl verifies a CRL signed by ${key} and refuses what it lists`, { skip }, async () => {
    using workshop = new Workshop()
    const root = await makeRoot({ key })
    const [good, bad] = [await makeDevice(root, 'good'), await makeDevice(root, 'bad')]
    const revoked = [{ serial: bad.certificate.serial, revokedAt: NOW, reason: 'keyCompromise' }] as const
    const crl = await issueCrl(root.issuer, { number: 7n, ...times, revoked })
    workshop.write('root.pem', pem(root.certificate))
    workshop.write('good.pem', pem(good.certificate))
    workshop.write('bad.pem', pem(bad.certificate))
    workshop.write('crl.pem', encodePem('X509 CRL', crl))
    assert.match(workshop.tryOpenssl('crl', '-in', 'crl.pem', '-noout', '-verify', '-CAfile', 'root.pem').output, /OK/)
    const verify = ['verify', '-crl_check', '-x509_strict', '-CAfile', 'root.pem', '-CRLfile', 'crl.pem']
    assert.match(workshop.openssl(...verify, 'good.pem'), /OK/)
    assert.match(workshop.tryOpenssl(...verify, 'bad.pem').output, /certificate revoked/)
    const text = workshop.openssl('crl', '-in', 'crl.pem', '-noout', '-text')
    assert.match(text, /X509v3 CRL Number: \s+7\n/)
    assert.match(text, /X509v3 CRL Reason Code: \s+Key Compromise/)
  })
}

test('a CRL without entries has no list, one without reasons no extensions', { skip }, async () => {
  using workshop = new Workshop()
  const root = await makeRoot()
  const text = async (revoked: readonly RevokedEntry[]): Promise<string> => {
    const crl = await issueCrl(root.issuer, { number: 1n, ...times, revoked })
    workshop.write('crl.der', crl)
    return workshop.openssl('crl', '-inform', 'DER', '-in', 'crl.der', '-noout', '-text')
  }
  assert.match(await text([]), /No Revoked Certificates/)
  const entry = await text([{ serial: Uint8Array.of(5), revokedAt: NOW, reason: 'unspecified' }])
  assert.match(entry, /Serial Number: 05/)
  assert.doesNotMatch(entry, /entry extensions/)
})

test('numbers grow beyond 64 bits', { skip }, async () => {
  using workshop = new Workshop()
  const root = await makeRoot()
  workshop.write('crl.der', await issueCrl(root.issuer, { number: 2n ** 100n, ...times, revoked: [] }))
  const args = ['crl', '-inform', 'DER', '-in', 'crl.der', '-noout', '-crlnumber']
  assert.match(workshop.openssl(...args), /crlNumber=0x10{25}\n/i)
})

test('a next update that is not later is refused', async () => {
  const root = await makeRoot()
  const contents = { number: 1n, thisUpdate: NOW, nextUpdate: NOW, revoked: [] }
  await assert.rejects(
    async () => issueCrl(root.issuer, contents),
    (error) => error instanceof IssueError && error.code === 'invalid-term',
  )
})

test('a CRL of 200,000 entries is written: they are no arguments of one call', async () => {
  const revoked = Array.from({ length: 200_000 }, (_, index): RevokedEntry => {
    const serial = Buffer.alloc(8, 1)
    serial.writeUInt32BE(index, 4)
    return { serial, revokedAt: times.thisUpdate, reason: 'superseded' }
  })
  const root = await makeRoot()
  const crl = await issueCrl(root.issuer, { number: 8n, ...times, revoked })
  assert.equal(parseCrl(crl).number, 8n)
})

test('openssl and our own check take the changes of a delta over the list that it builds on', { skip }, async () => {
  using workshop = new Workshop()
  const root = await makeRoot()
  const devices = await Promise.all(['good', 'late', 'held', 'bad'].map((id) => makeDevice(root, id)))
  const [good, late, held, bad] = devices.map(({ certificate }) => certificate)
  assert.ok(good && late && held && bad)
  const entry = ({ serial }: { serial: Uint8Array }, reason: RevokedEntry['reason']) => ({
    serial,
    revokedAt: NOW,
    reason,
  })
  const base = await issueCrl(root.issuer, {
    number: 4n,
    ...times,
    revoked: [entry(held, 'certificateHold'), entry(bad, 'keyCompromise')],
    deltas: ['http://pki.example/root-delta.crl'],
  })
  const delta = await issueDeltaCrl(root.issuer, {
    number: 5n,
    baseNumber: 4n,
    ...times,
    changes: [{ ...entry(late, 'superseded') }, { serial: held.serial, revokedAt: NOW, reason: 'removeFromCRL' }],
  })
  workshop.write('root.pem', pem(root.certificate))
  workshop.write('base.pem', encodePem('X509 CRL', base))
  workshop.write('delta.pem', encodePem('X509 CRL', delta))
  const text = (file: string) => workshop.openssl('crl', '-in', file, '-noout', '-text')
  assert.match(text('base.pem'), /X509v3 Freshest CRL: \s+Full Name:\s+URI:http:\/\/pki\.example\/root-delta\.crl/)
  assert.match(text('delta.pem'), /X509v3 Delta CRL Indicator: critical\s+4\n/)
  assert.doesNotMatch(text('delta.pem'), /Freshest/)
  const verify = (name: string, certificate: Certificate) => {
    workshop.write(`${name}.pem`, pem(certificate))
    const crls = ['-CRLfile', 'base.pem', '-CRLfile', 'delta.pem']
    const { output } = workshop.tryOpenssl(
      ...['verify', '-crl_check', '-use_deltas', '-extended_crl', '-CAfile', 'root.pem', ...crls, `${name}.pem`],
    )
    return output
  }
  const facts: RevocationFacts = {
    find: () => undefined,
    crlsBy: () => [parseCrl(base), parseCrl(delta)],
    policyOf: () => 'require',
  }
  const verifier = new PathVerifier({ cacheSize: 4 })
  for (const [name, certificate, isGood] of [
    ['good', good, true],
    ['late', late, false],
    ['held', held, true],
    ['bad', bad, false],
  ] as const) {
    assert.match(verify(name, certificate), isGood ? /OK/ : /certificate revoked/, name)
    const verdict = checkRevocation({ path: [certificate, root.certificate], facts, now: NOW + 1, verifier })
    assert.equal(verdict?.rule, isGood ? undefined : 'revoked', name)
  }
})

test('a delta needs a list before it to build on', async () => {
  const root = await makeRoot()
  const contents = { number: 4n, baseNumber: 4n, ...times, changes: [] }
  await assert.rejects(issueDeltaCrl(root.issuer, contents), RangeError)
})
