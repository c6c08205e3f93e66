import assert from 'node:assert/strict'
import { createPublicKey } from 'node:crypto'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { keySigner, type Certificate } from '@holdfast/pki'
import { generateConsumerKey, isSealError, openSealed, seal, verifySealed } from '@holdfast/seal'
import { algorithmOf, coseSignature } from '../src/algorithms.ts'
import { decodeCbor, encodeCbor, Tagged, type Cbor } from '../src/cbor.ts'
import { encryptFor } from '../src/encryption.ts'
import { signedBytes } from '../src/sealed-message.ts'
import { makePlant } from './workshop.ts'

const plant = await makePlant()
const consumer = generateConsumerKey()
const recipient = createPublicKey(consumer)
const payload = Buffer.from('21.5')

interface Shape {
  readonly headers: Map<number | string, Cbor>
  readonly unprotected: Map<number | string, Cbor>
  payload: Cbor
  signature: Cbor | undefined
  tag: number
  more: Cbor[]
}

async function taken(message: Promise<Uint8Array>): Promise<Shape> {
  const { value } = decodeCbor(await message) as Tagged
  const [headers, unprotected, content] = value as Cbor[]
  return {
    headers: new Map(decodeCbor(headers as Uint8Array) as Map<number, Cbor>),
    unprotected: new Map(unprotected as Map<number, Cbor>),
    payload: content as Uint8Array,
    signature: undefined,
    tag: 18,
    more: [],
  }
}

/** Signs whatever it is given, with the device's own key: what is refused then is refused for its shape. */
async function signed(change: (shape: Shape) => void, message = seal({ ...plant.request, payload })) {
  const shape = await taken(message)
  change(shape)
  const headers = encodeCbor(shape.headers)
  const algorithm = algorithmOf(plant.device.certificate)!
  const content = shape.payload instanceof Uint8Array ? shape.payload : new Uint8Array()
  const signature = coseSignature(await plant.request.signer.sign(signedBytes(headers, content)), algorithm)
  return encodeCbor(
    new Tagged(shape.tag, [headers, shape.unprotected, shape.payload, shape.signature ?? signature, ...shape.more]),
  )
}

async function refusal(change: (shape: Shape) => void): Promise<string> {
  const verdict = verifySealed(await signed(change), plant.verification)
  assert.ok(isSealError(verdict), 'it was accepted')
  return verdict.rule
}

test('signed again without a change, a message is good: the refusals below are of the change', async () => {
  assert.equal(isSealError(verifySealed(await signed(() => undefined), plant.verification)), false)
})

test('a message of another shape is refused, however well it is signed', async () => {
  const x5t = plant.device.certificate.sha256
  const malformed: Record<string, (shape: Shape) => void> = {
    'five parts': (shape) => void (shape.more = [1]),
    'no payload': (shape) => void (shape.payload = null),
    'a text as payload': (shape) => void (shape.payload = 'text'),
    'no x5t': ({ headers }) => void headers.delete(34),
    'x5t by SHA-1': ({ headers }) => void headers.set(34, [-14, Buffer.alloc(20)]),
    'x5t cut off': ({ headers }) => void headers.set(34, [-16, Buffer.from(x5t, 'hex').subarray(0, 16)]),
    'x5t outside': ({ headers, unprotected }) => {
      unprotected.set(34, headers.get(34)!)
      headers.delete(34)
    },
    'algorithm twice': ({ unprotected }) => void unprotected.set(1, -7),
    'no counter': ({ headers }) => void headers.delete(-65537),
    'a negative counter': ({ headers }) => void headers.set(-65537, -1),
    'a text as counter': ({ headers }) => void headers.set(-65537, '7'),
    'counter outside': ({ unprotected }) => void unprotected.set(-65537, 99),
    'no claims': ({ headers }) => void headers.delete(15),
    'no device': ({ headers }) => void headers.set(15, new Map()),
    'a device id too long': ({ headers }) => void headers.set(15, new Map([[2, 'x'.repeat(129)]])),
    'a time that is no integer': ({ headers }) =>
      void headers.set(
        15,
        new Map([
          [2, 'pump-17'],
          [6, 'now'],
        ]),
      ),
    'a time beyond the calendar': ({ headers }) =>
      void headers.set(
        15,
        new Map<number, Cbor>([
          [2, 'pump-17'],
          [6, 2 ** 50],
        ]),
      ),
    'critical headers': ({ headers }) => void headers.set(2, [-65537]),
    'critical headers outside': ({ unprotected }) => void unprotected.set(2, [33]),
    'a number as content type': ({ headers }) => void headers.set(3, 50),
    'a chain of none': ({ unprotected }) => void unprotected.set(33, []),
    'a chain of one in an array': ({ unprotected }) => void unprotected.set(33, [plant.device.certificate.der]),
    'a chain of eleven': ({ unprotected }) =>
      void unprotected.set(33, Array<Cbor>(11).fill(plant.device.certificate.der)),
    'a chain of 17 kB': ({ unprotected }) => void unprotected.set(33, [Buffer.alloc(9000), Buffer.alloc(8000)]),
    'a chain that is none': ({ unprotected }) => void unprotected.set(33, Buffer.from('3003020101', 'hex')),
    'a text as chain': ({ unprotected }) => void unprotected.set(33, 'chain'),
  }
  for (const [name, change] of Object.entries(malformed)) assert.equal(await refusal(change), 'malformed', name)
  assert.equal(await refusal((shape) => void (shape.tag = 17)), 'not-sealed')
  assert.equal(await refusal((shape) => void (shape.tag = 98)), 'not-sealed')
  for (const id of [-47, -8, -257, 5, 'ES256'])
    assert.match(await refusal(({ headers }) => void headers.set(1, id)), /unsupported-algorithm|signature-wrong/)
})

const chain =
  (...certificates: Certificate[]) =>
  ({ unprotected }: Shape) =>
    void unprotected.set(
      33,
      certificates.map(({ der }) => der),
    )

test('the certificate is the one that x5t names, and comes first', async () => {
  const { device, line, root } = plant
  assert.equal(await refusal(chain(line.certificate, device.certificate)), 'certificate-mismatch')
  assert.equal(
    await refusal(({ headers }) => void headers.set(34, [-16, Buffer.from(root.certificate.sha256, 'hex')])),
    'certificate-mismatch',
  )
  assert.equal(await refusal(chain(device.certificate, root.certificate)), 'untrusted')
})

test('a signature of another length or of zeros is refused', async () => {
  for (const bytes of [0, 63, 64, 65, 72, 132])
    assert.equal(await refusal((shape) => void (shape.signature = Buffer.alloc(bytes))), 'signature-wrong', `${bytes}`)
  const { certificate, key } = plant.device
  const der = await keySigner(key).sign(Buffer.from('x'))
  assert.equal(await refusal((shape) => void (shape.signature = der)), 'signature-wrong')
  assert.ok(algorithmOf(certificate))
})

test('a CA is no device', async () => {
  const { line, request, verification } = plant
  const bytes = await seal({
    ...request,
    payload,
    device: 'Line 7',
    chain: [line.certificate],
    signer: keySigner(line.key),
  })
  const verdict = verifySealed(bytes, verification)
  assert.ok(isSealError(verdict))
  assert.equal(verdict.rule, 'untrusted')
})

type Envelope = [headers: Map<number, Cbor>, unprotected: Map<number, Cbor>, ciphertext: Cbor, recipients: Cbor]

async function opening(change: (envelope: Envelope) => void): Promise<string> {
  const bytes = await signed(
    (shape) => {
      const { value } = decodeCbor(
        encryptFor(recipient, { payload, contentType: null }, encodeCbor(shape.headers)),
      ) as Tagged
      const [headers, unprotected, ciphertext, recipients] = value as Cbor[]
      const envelope: Envelope = [
        new Map(decodeCbor(headers as Uint8Array) as Map<number, Cbor>),
        new Map(unprotected as Map<number, Cbor>),
        ciphertext ?? null,
        recipients ?? null,
      ]
      change(envelope)
      shape.payload = encodeCbor(new Tagged(96, [encodeCbor(envelope[0]), ...envelope.slice(1)] as Cbor[]))
    },
    seal({ ...plant.request, payload, recipient }),
  )
  const opened = openSealed(bytes, { ...plant.verification, recipientKey: consumer })
  return isSealError(opened) ? opened.rule : 'opened'
}

const one = (recipients: Cbor, change: (parts: Cbor[], headers: Map<number, Cbor>) => void): Cbor => {
  const parts = [...((recipients as Cbor[])[0] as Cbor[])]
  const headers = new Map(parts[1] as Map<number, Cbor>)
  parts[1] = headers
  change(parts, headers)
  return [parts]
}

const point = (change: (key: Map<number, Cbor>) => void) => (envelope: Envelope) =>
  void (envelope[3] = one(envelope[3], (_, headers) => {
    const key = new Map(headers.get(-1) as Map<number, Cbor>)
    change(key)
    headers.set(-1, key)
  }))

test('an encrypted payload of another shape is refused, however well it is signed', async () => {
  assert.equal(await opening(() => undefined), 'opened')
  const malformed: Record<string, (envelope: Envelope) => void> = {
    'another algorithm': ([headers]) => void headers.set(1, 1),
    'critical headers': ([headers]) => void headers.set(2, [5]),
    'a header twice': ([, unprotected]) => void unprotected.set(1, 3),
    'a short IV': ([, unprotected]) => void unprotected.set(5, Buffer.alloc(11)),
    'no IV': ([, unprotected]) => void unprotected.delete(5),
    'no room for a tag': (envelope) => void (envelope[2] = Buffer.alloc(15)),
    'no recipient': (envelope) => void (envelope[3] = []),
    'two recipients': (envelope) => void (envelope[3] = [...(envelope[3] as Cbor[]), ...(envelope[3] as Cbor[])]),
    'a carried key': (envelope) => void (envelope[3] = one(envelope[3], (parts) => void (parts[2] = Buffer.alloc(40)))),
    'another agreement': (envelope) =>
      void (envelope[3] = one(envelope[3], (parts) => void (parts[0] = encodeCbor(new Map([[1, -26]]))))),
    'a point off the curve': point((key) => void key.set(-3, Buffer.alloc(32, 1))),
    'the point at zero': point((key) => {
      key.set(-2, Buffer.alloc(32))
      key.set(-3, Buffer.alloc(32))
    }),
    'a compressed point': point((key) => void key.set(-3, true)),
    'another curve': point((key) => void key.set(-1, 2)),
  }
  for (const [name, change] of Object.entries(malformed)) assert.equal(await opening(change), 'malformed', name)
  const changed = await opening((envelope) => void (envelope[2] = Buffer.alloc(64)))
  assert.equal(changed, 'decryption-failed')
  const elsewhere = await opening(
    (envelope) => void (envelope[3] = one(envelope[3], (_, headers) => void headers.set(4, Buffer.alloc(8)))),
  )
  assert.equal(elsewhere, 'wrong-recipient')
  const iv = await opening(([, unprotected]) => void unprotected.set(5, Buffer.alloc(12)))
  assert.equal(iv, 'decryption-failed')
  const unnamed = await opening(
    (envelope) => void (envelope[3] = one(envelope[3], (_, headers) => void headers.delete(4))),
  )
  assert.equal(unnamed, 'opened')
})

test('no bytes make a verifier fail in another way than by a refusal, and none but the message itself are good', async () => {
  const message = await seal({ ...plant.request, payload, recipient })
  const mutation = fc.record({
    at: fc.nat(message.length - 1),
    drop: fc.nat(3),
    insert: fc.uint8Array({ maxLength: 9 }),
  })
  const changed = fc.array(mutation, { minLength: 1, maxLength: 3 }).map((mutations) => {
    let bytes = Buffer.from(message)
    for (const { at, drop, insert } of mutations)
      bytes = Buffer.concat([bytes.subarray(0, at), insert, bytes.subarray(at + drop)])
    return bytes
  })
  const random = fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.concat([Buffer.of(0xd2), bytes]))
  fc.assert(
    fc.property(fc.oneof(changed, random), (bytes) => {
      const verdict = openSealed(bytes, { ...plant.verification, recipientKey: consumer })
      assert.equal(isSealError(verdict), !bytes.equals(message))
    }),
    { numRuns: 3000 },
  )
})
