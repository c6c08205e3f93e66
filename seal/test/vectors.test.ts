import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { AnchorSet, parseCertificate, PathVerifier } from '@holdfast/pki'
import { isSealError, openSealed, verifySealed } from '@holdfast/seal'
import { algorithmById, derSignature } from '../src/algorithms.ts'
import {
  bytesOf,
  hex,
  keyOf,
  makeVectors,
  PAGE_FILE,
  readVectors,
  renderVectors,
  SEALED_AT,
  withVectors,
} from './vectors.ts'

const file = readVectors()
const { inputs, vectors } = file
const certificates = [inputs.certificates.device, inputs.certificates.deviceEd25519].map((der) =>
  parseCertificate(bytesOf(der)),
)
const verification = {
  trust: { kind: 'authorities', anchors: new AnchorSet([parseCertificate(bytesOf(inputs.certificates.root))]) },
  verifier: new PathVerifier({ cacheSize: 8 }),
  now: SEALED_AT,
  certificates,
} as const

test('the vectors come out again, byte for byte', async () => {
  const signatures = new Map(
    vectors
      .filter(({ name }) => name.includes('ES256'))
      .map(({ name, signature }) => [name, derSignature(bytesOf(signature), algorithmById(-7)!)!]),
  )
  assert.deepEqual(await makeVectors(inputs, signatures), vectors)
})

for (const { name, sealed, payload, counter, time, encryption, contentType } of vectors) {
  test(`vector "${name}" is good`, () => {
    const bytes = bytesOf(sealed)
    const verdict = verifySealed(bytes, verification)
    if (isSealError(verdict)) assert.fail(verdict.message)
    assert.equal(verdict.claims.counter, counter)
    assert.equal(verdict.claims.time, time)
    if (encryption === undefined) {
      assert.equal(hex(verdict.payload), payload)
      return
    }
    const opened = openSealed(bytes, { ...verification, recipientKey: keyOf(inputs.keys.consumer) })
    if (isSealError(opened)) assert.fail(opened.message)
    assert.equal(hex(opened.payload), payload)
    assert.equal(opened.contentType, contentType)
  })
}

test('the format page shows these vectors', () => {
  const page = readFileSync(PAGE_FILE, 'utf8')
  assert.equal(page, withVectors(page, renderVectors(file)))
})
