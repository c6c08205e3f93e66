import assert from 'node:assert/strict'
import { createPublicKey } from 'node:crypto'
import { test } from 'node:test'
import { AnchorSet, keySigner } from '@holdfast/pki'
import { generateConsumerKey, isSealError, openSealed, seal, verifySealed } from '@holdfast/seal'
import type { SealError, VerifyRequest } from '@holdfast/seal'
import { DAY, makeDevice, makePlant, makeRoot, NOW } from './workshop.ts'

const payload = Buffer.from('{"bar":4.2}')
const plant = await makePlant()
const consumer = generateConsumerKey()
const recipient = createPublicKey(consumer)

function good<Value extends object>(value: Value | SealError): Exclude<Value, SealError> {
  if (isSealError(value)) assert.fail(`${value.rule}: ${value.message}`)
  return value as Exclude<Value, SealError>
}

function ruleOf(value: object): string {
  assert.ok(isSealError(value), 'it was accepted')
  assert.ok(value.message.endsWith('.') && value.remedy.length > 10)
  return value.rule
}

for (const type of ['p256', 'p384', 'ed25519', 'ml-dsa-65'] as const) {
  test(`a ${type} device seals; its consumer verifies and opens`, async () => {
    const { request, verification } = await makePlant('pump-17', type)
    const clear = good(verifySealed(await seal({ ...request, payload }), verification))
    assert.deepEqual(Buffer.from(clear.payload), payload)
    const claims = { device: 'pump-17', counter: 1, time: NOW }
    assert.deepEqual(clear.claims, { ...claims, contentType: 'application/json', isEncrypted: false })
    assert.deepEqual(
      clear.path.map(({ subject }) => subject.commonNames[0]),
      ['pump-17', 'Line 7', 'Plant Root'],
    )

    const bytes = await seal({ ...request, payload, recipient })
    assert.equal(Buffer.from(bytes).includes(payload), false)
    assert.deepEqual(good(verifySealed(bytes, verification)).claims, {
      ...claims,
      contentType: null,
      isEncrypted: true,
    })
    const opened = good(openSealed(bytes, { ...verification, recipientKey: consumer }))
    assert.deepEqual(Buffer.from(opened.payload), payload)
    assert.equal(opened.contentType, 'application/json')
  })
}

test('a thumbprint stands for the chain where the chain is known', async () => {
  const bytes = await seal({ ...plant.request, payload, thumbprintOnly: true })
  assert.equal(ruleOf(verifySealed(bytes, plant.verification)), 'certificate-missing')
  const certificates = [plant.line.certificate, plant.device.certificate]
  good(verifySealed(bytes, { ...plant.verification, certificates }))
  assert.ok(bytes.length < 200, `${bytes.length} bytes`)
})

test('any changed bit is refused, wherever it is', async () => {
  const bytes = await seal({ ...plant.request, payload, recipient })
  const open = (changed: Uint8Array) => openSealed(changed, { ...plant.verification, recipientKey: consumer })
  for (let bit = 0; bit < bytes.length * 8; bit += 1) {
    const changed = Uint8Array.from(bytes)
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    assert.ok(isSealError(open(changed)), `bit ${bit}`)
  }
  for (let length = 0; length < bytes.length; length++) assert.ok(isSealError(open(bytes.subarray(0, length))))
  assert.ok(isSealError(open(Buffer.concat([bytes, Buffer.of(0)]))))
})

test('each rule refuses what it is there for', async () => {
  const { request, verification } = plant
  const bytes = await seal({ ...request, payload })
  const verdict = (change: Partial<VerifyRequest>) => ruleOf(verifySealed(bytes, { ...verification, ...change }))
  assert.equal(ruleOf(verifySealed(payload, verification)), 'not-sealed')
  assert.equal(ruleOf(verifySealed(new Uint8Array(), verification)), 'not-sealed')
  assert.equal(verdict({ expectedDevice: 'pump-18' }), 'wrong-device')
  assert.equal(verdict({ lastCounter: 1 }), 'replayed')
  good(verifySealed(bytes, { ...verification, lastCounter: 0 }))
  const stranger = await makeRoot('Plant Root')
  assert.equal(verdict({ trust: { kind: 'authorities', anchors: new AnchorSet([stranger.certificate]) } }), 'untrusted')
  assert.equal(verdict({ now: NOW + 365 * DAY }), 'untrusted')
  const open = openSealed(bytes, { ...verification, recipientKey: consumer })
  assert.equal(ruleOf(open), 'not-encrypted')
  const secret = await seal({ ...request, payload, recipient })
  const other = openSealed(secret, { ...verification, recipientKey: generateConsumerKey() })
  assert.equal(ruleOf(other), 'wrong-recipient')
})

test('a device cannot speak in the name of another', async () => {
  const impostor = await makeDevice(plant.line, 'pump-18')
  const chain = [impostor.certificate, plant.line.certificate] as const
  const bytes = await seal({ ...plant.request, payload, chain, signer: keySigner(impostor.key) })
  assert.equal(ruleOf(verifySealed(bytes, plant.verification)), 'wrong-device')
})

test('months later, with the certificate expired, the time of signing counts where the verifier says so', async () => {
  const bytes = await seal({ ...plant.request, payload })
  const later = { ...plant.verification, now: NOW + 300 * DAY }
  const refused = verifySealed(bytes, later)
  assert.ok(isSealError(refused) && refused.trust?.rule === 'expired')
  good(verifySealed(bytes, { ...later, validity: 'at-signing' }))
  good(verifySealed(bytes, { ...later, now: NOW + 5000 }))
  const backdated = await seal({ ...plant.request, payload, time: NOW - 10 * DAY })
  assert.equal(ruleOf(verifySealed(backdated, { ...later, validity: 'at-signing' })), 'untrusted')
  const ahead = await seal({ ...plant.request, payload, time: NOW + DAY })
  assert.equal(ruleOf(verifySealed(ahead, { ...plant.verification, validity: 'at-signing' })), 'time-in-future')
  const { time: _, ...timeless } = plant.request
  const silent = await seal({ ...timeless, payload })
  assert.equal(ruleOf(verifySealed(silent, { ...later, validity: 'at-signing' })), 'time-missing')
})

test('a revoked signer is refused', async () => {
  const bytes = await seal({ ...plant.request, payload })
  const anchors = new AnchorSet([plant.root.certificate])
  const revoked = { kind: 'trust-error', rule: 'revoked', message: 'revoked', remedy: 'none' } as const
  const refused = verifySealed(bytes, {
    ...plant.verification,
    trust: { kind: 'authorities', anchors, checkRevocation: always(revoked) },
  })
  assert.ok(isSealError(refused) && refused.trust?.rule === 'revoked')
})

test('a pinned certificate needs no CA', async () => {
  const bytes = await seal({ ...plant.request, payload })
  const pin = (certificate = plant.device.certificate) => ({ kind: 'pinned', certificate }) as const
  good(verifySealed(bytes, { ...plant.verification, trust: pin() }))
  const other = await makeDevice(plant.line, 'pump-17')
  assert.equal(ruleOf(verifySealed(bytes, { ...plant.verification, trust: pin(other.certificate) })), 'untrusted')
  const late = { ...plant.verification, trust: pin(), now: NOW + 300 * DAY }
  assert.equal(ruleOf(verifySealed(bytes, late)), 'untrusted')
})

test('another device cannot pass a ciphertext off as its own', async () => {
  const { readSealed } = await import('@holdfast/seal')
  const original = readSealed(await seal({ ...plant.request, payload, recipient }))
  assert.ok(!isSealError(original))
  const thief = await makeDevice(plant.line, 'pump-18')
  const stolen = await sealAround(original.payload, thief)
  const seen = good(verifySealed(stolen, plant.verification))
  assert.equal(seen.claims.device, 'pump-18')
  assert.equal(ruleOf(seen.open(consumer)), 'decryption-failed')
})

/** Signs a ciphertext that somebody else made, as an honest sealer never would. */
async function sealAround(ciphertext: Uint8Array, thief: Awaited<ReturnType<typeof makeDevice>>): Promise<Uint8Array> {
  const { decodeCbor, encodeCbor, Tagged } = await import('../src/cbor.ts')
  const { coseSignature, algorithmOf } = await import('../src/algorithms.ts')
  const { signedBytes } = await import('../src/sealed-message.ts')
  const signer = keySigner(thief.key)
  const chain = [thief.certificate, plant.line.certificate] as const
  const template = decodeCbor(
    await seal({ ...plant.request, device: 'pump-18', chain, signer, payload: ciphertext, recipient }),
  )
  assert.ok(template instanceof Tagged && Array.isArray(template.value))
  const [headers, unprotected] = template.value
  const algorithm = algorithmOf(thief.certificate)
  assert.ok(algorithm)
  const signature = coseSignature(await signer.sign(signedBytes(headers, ciphertext)), algorithm)
  return encodeCbor(new Tagged(18, [headers, unprotected, ciphertext, signature]))
}

test('what cannot be sealed is said before anything is signed', async () => {
  const { request } = plant
  const other = await makeDevice(plant.line, 'pump-17')
  await assert.rejects(seal({ ...request, payload, signer: keySigner(other.key) }), /not the one of the certificate/)
  await assert.rejects(seal({ ...request, payload, counter: -1 }), /counter/)
  await assert.rejects(seal({ ...request, payload, counter: 2 ** 53 }), /counter/)
  await assert.rejects(seal({ ...request, payload, device: '' }), /device id/)
  const weak = await makeDevice(plant.line, 'pump-17', 'rsa2048')
  const chain = [weak.certificate] as const
  await assert.rejects(seal({ ...request, payload, chain, signer: keySigner(weak.key) }), /does not seal/)
  const p384 = (await makeDevice(plant.line, 'x', 'p384')).key
  await assert.rejects(seal({ ...request, payload, recipient: createPublicKey(p384) }), /P-256/)
})

function always<Value>(value: Value): () => Value {
  return () => value
}
