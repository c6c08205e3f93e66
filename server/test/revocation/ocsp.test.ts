import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import type { TestContext } from 'node:test'
import { ocspRequest, parseCertificate, PathVerifier, readOcspResponse } from '@holdfast/pki'
import { makeDevice, makeIntermediate, makeRoot } from '../http/certificates.ts'
import type { TestAuthority } from '../http/certificates.ts'
import { makeCrl } from './crls.ts'
import { startResponder } from './openssl-responder.ts'
import { HOME, openPlant } from './plant.ts'
import type { Plant } from './plant.ts'
import { without } from '../../../test/foreign-program.ts'

const withoutOpenssl = without('openssl')

function ask(plant: Plant, url: string | null, policy: 'require' | 'prefer') {
  const body = { authority: plant.line.pem, ocsp: { url }, policy }
  return plant.operate(`/hubs/${HOME}/revocation-rules`, 'PUT', body)
}

suite('a CA whose responder is asked', () => {
  test('lets in who is good, once, and nobody else', { skip: withoutOpenssl }, async (t) => {
    const plant = await openPlant(t)
    const responder = await startResponder(t, plant.line)
    const [good, bad, unknown] = [await plant.device('good'), await plant.device('bad'), await plant.device('unknown')]
    responder.says(
      new Map([
        [good.der, 'good' as const],
        [bad.der, 'revoked' as const],
      ]),
    )
    await ask(plant, responder.url, 'require')
    await plant.live('good', good)
    await plant.live('good', good)
    assert.equal(responder.asked, 1)
    const refusal = await plant.refusal('bad', bad)
    assert.equal(refusal.rule, 'chain:revoked')
    assert.match(refusal.message, /keyCompromise; OCSP responder http:\/\/127/)
    assert.equal((await plant.refusal('unknown', unknown)).rule, 'chain:revocation-unknown')
    assert.equal((await plant.registrationRefusal('bad', bad)).rule, 'chain:revoked')
    // A CRL outweighs a good answer.
    const crl = await makeCrl(plant.line, { number: 1, revoked: [good.der] })
    await plant.operate(`/hubs/${HOME}/crls`, 'POST', { crl: crl.toString('base64') })
    assert.equal((await plant.refusal('good', good)).rule, 'chain:revoked')
  })

  test('is not waited for longer than its time, and then the policy decides', { skip: withoutOpenssl }, async (t) => {
    const plant = await openPlant(t)
    const responder = await startResponder(t, plant.line)
    responder.hang()
    const identity = await plant.device('pump')
    await ask(plant, responder.url, 'prefer')
    const start = performance.now()
    await plant.live('pump', identity)
    assert.ok(performance.now() - start >= 2_900)
    // The failure is remembered, so that the next one does not wait.
    const { asked } = responder
    await plant.live('pump', identity)
    assert.equal(responder.asked, asked)
    await ask(plant, responder.url, 'require')
    assert.equal((await plant.refusal('pump', identity)).rule, 'chain:revocation-unknown')
  })

  test('believes nobody but the CA and whom it appointed', { skip: withoutOpenssl }, async (t) => {
    const plant = await openPlant(t)
    const responder = await startResponder(t, plant.line)
    const identity = await plant.device('pump')
    responder.says(new Map([[identity.der, 'good']]))
    const impostor = await makeRoot('Line 7')
    responder.signWith({ pem: impostor.pem, keyPem: String(impostor.key.export({ type: 'pkcs8', format: 'pem' })) })
    await ask(plant, responder.url, 'require')
    assert.equal((await plant.refusal('pump', identity)).rule, 'chain:revocation-unknown')
    responder.signWith(appoint(t, plant.line, 'OCSPSigning'))
    plant.time.skew = 11_000
    await plant.live('pump', identity)
    const other = await plant.device('other')
    responder.says(new Map([[other.der, 'good']]))
    responder.signWith(appoint(t, plant.line, 'clientAuth'))
    assert.equal((await plant.refusal('other', other)).rule, 'chain:revocation-unknown')
  })
})

suite('an OCSP response', () => {
  test('is read strictly, and only for the certificate that was asked about', { skip: withoutOpenssl }, async (t) => {
    const root = await makeRoot('Root')
    const line = await makeIntermediate(root, 'Line')
    const responder = await startResponder(t, line)
    const [one, two] = [await makeDevice(line, 'one'), await makeDevice(line, 'two')]
    responder.says(
      new Map([
        [one.der, 'good' as const],
        [two.der, 'good' as const],
      ]),
    )
    const issuer = parseCertificate(line.der)
    const [certificate, other] = [parseCertificate(one.der), parseCertificate(two.der)]
    const body = new Uint8Array(ocspRequest({ certificate, issuer }))
    const answer = await fetch(responder.url, { method: 'POST', body })
    const response = new Uint8Array(await answer.arrayBuffer())
    const verifier = new PathVerifier({ cacheSize: 10 })
    const read = (bytes: Uint8Array, about = certificate, now = Date.now()) =>
      readOcspResponse(bytes, { certificate: about, issuer }, { now, verifier })
    const good = read(response)
    assert.ok(good.kind === 'answer', messageOf(good))
    assert.equal(good.status.kind, 'good')
    assert.equal(good.signer.sha256, issuer.sha256)
    assert.match(messageOf(read(response, other)), /another certificate/)
    assert.match(messageOf(read(response, certificate, Date.now() + 2 * 86_400_000)), /replaced since/)
    assert.match(messageOf(read(response, certificate, Date.now() - 86_400_000)), /dated in the future/)
    assert.match(messageOf(read(Uint8Array.from([0x30, 3, 0x0a, 1, 3]))), /try later/)
    for (let length = 0; length < response.length; length += 7)
      assert.equal(read(response.subarray(0, length)).kind, 'ocsp-error')
    for (let at = 0; at < response.length; at++) {
      const mutated = Uint8Array.from(response)
      mutated[at] = (mutated[at] ?? 0) ^ 0x55
      const outcome = read(mutated)
      // The certificate that is sent along is not covered by the signature, and here it is not needed.
      if (outcome.kind === 'answer') assert.equal(outcome.status.kind, 'good')
    }
  })
})

function messageOf(outcome: { kind: string; message?: string }): string {
  return outcome.message ?? `no error: ${outcome.kind}`
}

function openssl(...args: string[]): Buffer {
  return execFileSync('openssl', args, { stdio: 'pipe' })
}

/** A certificate for signing responses, made by openssl, with this extended key usage. */
function appoint(t: TestContext, { pem, key }: TestAuthority, purpose: string): { pem: string; keyPem: string } {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-signer-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const path = (name: string) => join(folder, name)
  writeFileSync(path('ca.cer'), pem)
  writeFileSync(path('ca.key'), key.export({ type: 'pkcs8', format: 'pem' }))
  writeFileSync(path('ext'), `extendedKeyUsage=${purpose}\n`)
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  openssl('req', ...curve, '-subj', '/CN=Responder', '-keyout', path('key'), '-out', path('csr'))
  const ca = ['-CA', path('ca.cer'), '-CAkey', path('ca.key'), '-days', '2', '-extfile', path('ext')]
  openssl('x509', '-req', '-in', path('csr'), ...ca, '-out', path('cer'))
  return { pem: readFileSync(path('cer'), 'utf8'), keyPem: readFileSync(path('key'), 'utf8') }
}
