import assert from 'node:assert/strict'
import { createPrivateKey, createPublicKey, diffieHellman, hkdfSync, randomBytes } from 'node:crypto'
import type { KeyObject, webcrypto } from 'node:crypto'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { Algorithms, Headers, ProtectedHeaders, Sign1, UnprotectedHeaders } from '@auth0/cose'
import { encodePem } from '@holdfast/pki'
import { generateConsumerKey, isSealError, openSealed, seal, verifySealed } from '@holdfast/seal'
import { decodeCbor, type Cbor, type Tagged } from '../src/cbor.ts'
import { decryptWith, encryptFor } from '../src/encryption.ts'
import { makePlant } from './workshop.ts'

/** What is used of cose-js, which has no types of its own. */
interface CoseJs {
  readonly sign: {
    verify(bytes: Uint8Array, verifier: { key: { x: Buffer; y: Buffer } }): Promise<Buffer>
  }
  readonly encrypt: {
    create(headers: object, payload: Uint8Array, recipients: object[], options: object): Promise<Buffer>
    read(bytes: Uint8Array, key: Uint8Array, options: object): Promise<Buffer>
  }
}
const here = createRequire(import.meta.url)
const coseJs = here('cose-js') as CoseJs

interface CborPackage {
  Encoder: new () => { pushAny(value: unknown): boolean; read(): Uint8Array | null }
  encode(...values: unknown[]): Buffer
}
// The CBOR package of cose-js takes the first chunk of its stream for all of it, which it is no more on this Node.
const cborPackage = createRequire(here.resolve('cose-js'))('cbor') as CborPackage
cborPackage.encode = (...values) => {
  const encoder = new cborPackage.Encoder()
  for (const value of values) encoder.pushAny(value)
  const chunks: Uint8Array[] = []
  for (let chunk = encoder.read(); chunk !== null; chunk = encoder.read()) chunks.push(chunk)
  return Buffer.concat(chunks)
}

const payload = Buffer.from('{"bar":4.2}')

function coordinates({ x, y, d }: webcrypto.JsonWebKey): { x: Buffer; y: Buffer; d: Buffer } {
  return { x: fromBase64(x), y: fromBase64(y), d: fromBase64(d) }
}

function fromBase64(text = ''): Buffer {
  return Buffer.from(text, 'base64url')
}

for (const type of ['p256', 'p384', 'ed25519'] as const) {
  test(`@auth0/cose verifies what a ${type} device signed`, async () => {
    const { device, root, request } = await makePlant('pump-17', type)
    const message = Sign1.decode(await seal({ ...request, payload }))
    await message.verify(createPublicKey(device.key))
    assert.deepEqual(Buffer.from(message.payload), payload)
    const headers = message.protectedHeaders
    assert.equal(headers.get(-65537), 1)
    assert.equal(headers.get(Headers.ContentType), 'application/json')
    assert.deepEqual(
      Buffer.from((headers.get(34) as [number, Uint8Array])[1]).toString('hex'),
      device.certificate.sha256,
    )
    const stranger = await makePlant()
    await assert.rejects(message.verify(createPublicKey(stranger.device.key)))
    if (type === 'p256') await message.verifyX509([encodePem('CERTIFICATE', root.certificate.der)])
  })
}

test('cose-js verifies what a device signed', async () => {
  const { device, request } = await makePlant()
  const bytes = await seal({ ...request, payload })
  const { x, y } = coordinates(createPublicKey(device.key).export({ format: 'jwk' }))
  assert.deepEqual(await coseJs.sign.verify(bytes, { key: { x, y } }), payload)
  const changed = Buffer.from(bytes)
  changed[changed.length - 1] = (changed.at(-1) ?? 0) ^ 1
  await assert.rejects(coseJs.sign.verify(changed, { key: { x, y } }))
})

test('a message that @auth0/cose signed is verified', async () => {
  const { device, line, request, verification } = await makePlant()
  const protectedHeaders = new ProtectedHeaders([
    [Headers.Algorithm, Algorithms.ES256],
    [Headers.ContentType, 'text/plain' as never],
  ]) as unknown as Map<number, unknown>
  protectedHeaders.set(15, new Map<number, unknown>([[2, request.device]]))
  protectedHeaders.set(34, [-16, Buffer.from(device.certificate.sha256, 'hex')])
  protectedHeaders.set(-65537, 42)
  const unprotected = new UnprotectedHeaders() as unknown as Map<number, unknown>
  unprotected.set(
    33,
    [device.certificate, line.certificate].map(({ der }) => Buffer.from(der)),
  )
  const message = await Sign1.sign(
    protectedHeaders as unknown as ProtectedHeaders,
    unprotected as unknown as UnprotectedHeaders,
    payload,
    createPrivateKey({ key: device.key.export({ format: 'der', type: 'pkcs8' }), format: 'der', type: 'pkcs8' }),
  )
  const verdict = verifySealed(message.encode(), verification)
  if (isSealError(verdict)) assert.fail(verdict.message)
  assert.equal(verdict.claims.counter, 42)
  assert.deepEqual(Buffer.from(verdict.payload), payload)
})

test('what cose-js encrypted by ECDH-ES + HKDF-256 and A256GCM opens here', async () => {
  const consumer = generateConsumerKey()
  const context = randomBytes(70)
  const bytes = await coseJs.encrypt.create(
    { p: { alg: 'A256GCM' } },
    payload,
    [{ p: { alg: 'ECDH-ES' }, u: {}, key: { crv: 'P-256', ...coordinates(consumer.export({ format: 'jwk' })) } }],
    { externalAAD: context },
  )
  // The library adds a parameter without a value, `partyUNonce: null`: unknown here and of no account.
  const opened = decryptWith(consumer, bytes, context)
  if (isSealError(opened)) assert.fail(opened.message)
  assert.deepEqual(opened.payload, payload)
  assert.equal(isSealError(decryptWith(consumer, bytes, randomBytes(70))), true)
  assert.equal(isSealError(decryptWith(generateConsumerKey(), bytes, context)), true)
})

test('what is encrypted here opens in cose-js, with the key that RFC 9053 derives', async () => {
  const consumer = generateConsumerKey()
  const context = randomBytes(70)
  const bytes = encryptFor(createPublicKey(consumer), { payload, contentType: 'application/json' }, context)
  const key = contentKey(consumer, bytes)
  assert.deepEqual(await coseJs.encrypt.read(bytes, key, { externalAAD: context }), payload)
  await assert.rejects(coseJs.encrypt.read(bytes, key, { externalAAD: Buffer.alloc(1) }))
})

test('cose-js opens the payload of a whole sealed message', async () => {
  const { request, verification } = await makePlant()
  const consumer = generateConsumerKey()
  const bytes = await seal({ ...request, payload, recipient: createPublicKey(consumer) })
  const opened = openSealed(bytes, { ...verification, recipientKey: consumer })
  if (isSealError(opened)) assert.fail(opened.message)
  const [signedHeaders] = (decodeCbor(bytes) as Tagged).value as [Uint8Array]
  const key = contentKey(consumer, opened.seal.payload)
  const externalAAD = Buffer.from(signedHeaders)
  assert.deepEqual(await coseJs.encrypt.read(opened.seal.payload, key, { externalAAD }), payload)
})

/** The content key, derived here by the words of RFC 9053 §5 and §6.3.1. */
function contentKey(consumer: KeyObject, encrypted: Uint8Array): Buffer {
  const [, , , recipients] = (decodeCbor(encrypted) as Tagged).value as Cbor[]
  const [headers, unprotected] = (recipients as Cbor[])[0] as [Uint8Array, ReadonlyMap<number, Cbor>]
  const point = unprotected.get(-1) as ReadonlyMap<number, Uint8Array>
  const coordinate = (label: number) => Buffer.from(point.get(label) ?? []).toString('base64url')
  const jwk = { kty: 'EC', crv: 'P-256', x: coordinate(-2), y: coordinate(-3) }
  const secret = diffieHellman({ privateKey: consumer, publicKey: createPublicKey({ key: jwk, format: 'jwk' }) })
  const info = cborPackage.encode([3, [null, null, null], [null, null, null], [256, Buffer.from(headers)]])
  return Buffer.from(hkdfSync('sha256', secret, '', info, 32))
}
