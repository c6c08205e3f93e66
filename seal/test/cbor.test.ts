import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { decodeCbor, encodeCbor, Tagged, type Cbor } from '../src/cbor.ts'
import { CborError } from '../src/cbor-error.ts'

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex')

/** RFC 8949 appendix A, as far as it is of this subset. */
const EXAMPLES: readonly [string, Cbor][] = [
  ['00', 0],
  ['17', 23],
  ['1818', 24],
  ['1864', 100],
  ['1903e8', 1000],
  ['1a000f4240', 1_000_000],
  ['1b000000e8d4a51000', 1_000_000_000_000],
  ['20', -1],
  ['3863', -100],
  ['3903e7', -1000],
  ['f4', false],
  ['f5', true],
  ['f6', null],
  ['40', new Uint8Array()],
  ['4401020304', Uint8Array.of(1, 2, 3, 4)],
  ['60', ''],
  ['62c3bc', 'ü'],
  ['64f0908591', '𐅑'],
  ['80', []],
  ['8301820203820405', [1, [2, 3], [4, 5]]],
  ['a0', new Map()],
  [
    'a201020304',
    new Map([
      [1, 2],
      [3, 4],
    ]),
  ],
  [
    'a26161016162820203',
    new Map<string, Cbor>([
      ['a', 1],
      ['b', [2, 3]],
    ]),
  ],
  ['c11a514b67b0', new Tagged(1, 1_363_896_240)],
]

test('the examples of RFC 8949 are read and written', () => {
  for (const [text, value] of EXAMPLES) {
    const read = decodeCbor(hex(text))
    assert.deepEqual(read instanceof Uint8Array ? Uint8Array.from(read) : read, value, text)
    assert.equal(Buffer.from(encodeCbor(value)).toString('hex'), text)
  }
})

test('keys are written in the bytewise order of their encodings', () => {
  const map = new Map<number | string, Cbor>([
    ['z', 1],
    [-1, 2],
    [1000, 3],
    [10, 4],
    [-65537, 5],
    [100, 6],
  ])
  assert.equal(Buffer.from(encodeCbor(map)).toString('hex'), 'a60a041864061903e80320023a0001000005617a01')
})

const REFUSED: readonly [string, RegExp][] = [
  ['', /ends too early/],
  ['18', /ends within a number/],
  ['1817', /longer than needed/],
  ['190017', /longer than needed/],
  ['1900ff', /longer than needed/],
  ['1a0000ffff', /longer than needed/],
  ['1b00000000ffffffff', /longer than needed/],
  ['1b0020000000000000', /beyond 2\^53/],
  ['3b001fffffffffffff', /beyond 2\^53/],
  ['1c', /reserved length/],
  ['5f42010243030405ff', /not given/],
  ['7f', /not given/],
  ['9f018202039f0405ffff', /not given/],
  ['bf', /not given/],
  ['f97e00', /floating-point/],
  ['fb7ff0000000000000', /floating-point/],
  ['f7', /simple value/],
  ['f8ff', /simple value/],
  ['ff', /simple value/],
  ['43aabb', /ends within a string/],
  ['5bffffffffffffffff', /beyond 2\^53/],
  ['5a7fffffff00', /ends within a string/],
  ['9a7fffffff', /too many items/],
  ['98ff', /ends within an array/],
  ['a1', /ends within an array or a map/],
  ['62c328', /UTF-8/],
  ['63edA080', /UTF-8/],
  ['a201020103', /twice/],
  ['a1400a', /neither an integer nor a text/],
  ['0000', /bytes follow/],
  ['c0c0c0c0c0c0c0c0c0c000', /too deeply/],
]

test('what is not the shortest, definite and unambiguous form is refused', () => {
  for (const [text, reason] of REFUSED) {
    assert.throws(
      () => decodeCbor(hex(text)),
      (error) => error instanceof CborError && reason.test(error.message),
      text,
    )
  }
  assert.throws(() => decodeCbor(Buffer.concat([hex('9901 01'), Buffer.alloc(257)])), /too many items/)
  const wide = Buffer.concat([hex('98c8'), ...Array.from({ length: 200 }, () => hex('820000'))])
  assert.throws(() => decodeCbor(wide), /too many items/)
})

const cbor = fc.letrec<{ value: Cbor }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    fc.maxSafeInteger().filter((n) => n > -Number.MAX_SAFE_INTEGER),
    fc.string({ unit: 'grapheme', maxLength: 30 }),
    fc.uint8Array({ maxLength: 30 }),
    fc.constantFrom(true, false, null),
    fc.array(tie('value'), { maxLength: 3 }),
    fc
      .uniqueArray(fc.tuple(fc.oneof(fc.integer(), fc.string()), tie('value')), {
        maxLength: 3,
        selector: ([key]) => key,
      })
      .map((entries) => new Map(entries)),
    fc.tuple(fc.nat(), tie('value')).map(([tag, value]) => new Tagged(tag, value)),
  ),
})).value

test('what is written is read back, and what is read is written back the same', () => {
  fc.assert(
    fc.property(cbor, (value) => {
      const bytes = encodeCbor(value)
      assert.deepEqual(Buffer.from(encodeCbor(decodeCbor(bytes))), Buffer.from(bytes))
    }),
    { numRuns: 500 },
  )
})

test('no bytes make the reader fail in another way than by its own error', () => {
  const arbitrary = fc.oneof(
    fc.uint8Array({ maxLength: 64 }),
    fc.tuple(cbor, fc.nat(), fc.nat(255)).map(([value, at, byte]) => {
      const bytes = Uint8Array.from(encodeCbor(value))
      bytes[at % bytes.length] = byte
      return bytes
    }),
  )
  fc.assert(
    fc.property(arbitrary, (bytes) => {
      try {
        decodeCbor(bytes)
      } catch (error) {
        assert.ok(error instanceof CborError, String(error))
      }
    }),
    { numRuns: 5000 },
  )
})
