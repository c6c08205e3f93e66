import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as fc from 'fast-check'
import { sequence } from '../src/der-writer.ts'
import {
  AnchorSet,
  decodeOid,
  DerReader,
  encodeOid,
  ExtensionOid,
  Name,
  ParseError,
  parseCertificate,
  parseCrl,
  PathVerifier,
  VerifiedPath,
} from '../src/index.ts'
import { extendedKeyUsage, extension, forge, forgeCa, leafExtensions, NOW } from './forge.ts'

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex')
const read = (text: string): ReturnType<DerReader['readAny']> => {
  const reader = DerReader.over(hex(text))
  const value = reader.readAny()
  reader.finish()
  return value
}

describe('DER', () => {
  const malformed: readonly (readonly [string, () => unknown])[] = [
    ['nothing', () => read('')],
    ['a tag alone', () => read('30')],
    ['an indefinite length', () => read('30 80 00 00')],
    ['a length in more octets than needed', () => read('04 81 01 00')],
    ['a length with leading zeros', () => read(`04 82 00 80 ${'00'.repeat(128)}`)],
    ['a length of five octets', () => read('04 85 00 00 00 00 01 00')],
    ['a length cut off', () => read('04 82 01')],
    ['a length past the end', () => read('04 02 00')],
    ['a length of 4 GB', () => read('04 84 ff ff ff ff 00')],
    ['the tag 0', () => read('00 00')],
    ['a constructed string', () => read('2c 00')],
    ['a long-form tag', () => read('1f 81 01 00')],
    ['trailing data', () => read('05 00 00')],
    ['an empty INTEGER', () => read('02 00').integer()],
    ['a padded INTEGER', () => read('02 02 00 7f').integer()],
    ['a padded negative INTEGER', () => read('02 02 ff 80').integer()],
    ['a BOOLEAN of 01', () => read('01 01 01').boolean()],
    ['a BOOLEAN of two octets', () => read('01 02 ff ff').boolean()],
    ['an empty OID', () => read('06 00').oid()],
    ['an OID with a padded arc', () => read('06 03 55 80 01').oid()],
    ['an OID cut off', () => read('06 02 55 84').oid()],
    ['a BIT STRING without its first octet', () => read('03 00').octetsOfBitString()],
    ['a BIT STRING with unused bits where octets belong', () => read('03 02 01 fe').octetsOfBitString()],
    ['set padding bits', () => read('03 02 04 ff').namedBits()],
    ['eight unused bits', () => read('03 02 08 00').namedBits()],
    ['a primitive SEQUENCE', () => read('10 00')],
    ['the month 13', () => read(`17 0d ${ascii('251301000000Z')}`).time()],
    ['30 February', () => read(`17 0d ${ascii('240230000000Z')}`).time()],
    ['29 February 2025', () => read(`17 0d ${ascii('250229000000Z')}`).time()],
    ['second 60', () => read(`17 0d ${ascii('251231235960Z')}`).time()],
    ['a time with a zone', () => read(`17 11 ${ascii('251231235959+0100')}`).time()],
    ['a time without seconds', () => read(`17 0b ${ascii('2512312359Z')}`).time()],
    ['a time with fractions', () => read(`18 13 ${ascii('20251231235959.123Z')}`).time()],
    ['a time of letters', () => read(`17 0d ${ascii('2512312359:9Z')}`).time()],
    ['an INTEGER for a time', () => read('02 01 00').time()],
  ]
  for (const [what, attempt] of malformed) {
    test(`refuses ${what}`, () => assert.throws(attempt, ParseError))
  }

  test('nested deeper than anything real is refused before the stack is at risk', () => {
    let nested: Uint8Array = sequence()
    for (let i = 0; i < 40; i++) nested = sequence(nested)
    assert.throws(() => {
      let reader = DerReader.over(nested)
      for (;;) reader = reader.readSequence()
    }, /nested deeper/)
  })

  test('reads times to the day, leap years and far years included', () => {
    fc.assert(
      fc.property(
        fc.date({ min: new Date('0000-01-01T00:00:00Z'), max: new Date('9999-12-31T23:59:59Z'), noInvalidDate: true }),
        (date) => {
          const ms = Math.floor(date.getTime() / 1000) * 1000
          const digits = new Date(ms).toISOString().slice(0, 19).replace(/[-:T]/g, '')
          assert.equal(read(`18 0f ${ascii(`${digits}Z`)}`).time(), ms)
        },
      ),
    )
    assert.equal(read(`17 0d ${ascii('491231235959Z')}`).time(), Date.UTC(2049, 11, 31, 23, 59, 59))
    assert.equal(read(`17 0d ${ascii('500101000000Z')}`).time(), Date.UTC(1950, 0, 1))
  })

  test('object identifiers survive the round trip, UUID arcs included', () => {
    const arc = fc.bigInt({ min: 0n, max: 2n ** 128n })
    fc.assert(
      fc.property(fc.array(arc, { maxLength: 3 }), fc.nat(39), (arcs, second) => {
        const dotted = [1, second, ...arcs].join('.')
        const octets = encodeOid(dotted)
        assert.equal(decodeOid(octets, 0, octets.length), dotted)
      }),
    )
    assert.equal(decodeOid(hex('883703'), 0, 3), '2.999.3')
    assert.throws(() => encodeOid('1.40'), RangeError)
  })
})

function ascii(text: string): string {
  return Buffer.from(text, 'latin1').toString('hex')
}

describe('mutated certificates', () => {
  const root = forgeCa('Root')
  const names = extension(ExtensionOid.subjectAltName, sequence(hex('8203612e62'), hex('87047f000001')), true)
  const rich = forge({
    subject: 'device-1',
    issuer: root,
    extensions: [...leafExtensions(), extendedKeyUsage('1.3.6.1.5.5.7.3.2'), names],
  })
  const verifier = new PathVerifier({ cacheSize: 10 })
  const anchors = new AnchorSet([root.certificate])

  /** Whatever the bytes: a certificate, or a ParseError. Never another error, never a path. */
  function survives(bytes: Uint8Array): void {
    try {
      const leaf = parseCertificate(bytes)
      const request = { leaf, intermediates: [leaf], anchors, now: NOW, profile: 'compatible', purpose: 'any' } as const
      const result = verifier.verify(request)
      const unchanged = Buffer.compare(leaf.der, rich.certificate.der) === 0
      assert.equal(result instanceof VerifiedPath, unchanged, 'accepted changed bytes')
      assert.ok(leaf.subject.toString().length < 10_000)
    } catch (error) {
      assert.ok(error instanceof ParseError, String(error))
    }
  }

  test('every single byte changed, to each of eight values', () => {
    const { der } = rich.certificate
    for (const [at, octet] of der.entries()) {
      for (const value of [0x00, 0x01, 0x7f, 0x80, 0x84, 0xff, octet ^ 0x01, octet ^ 0x20]) {
        const copy = Uint8Array.from(der)
        copy[at] = value
        survives(copy)
      }
    }
  })

  test('cut off at every length', () => {
    const { der } = rich.certificate
    for (let length = 0; length < der.length; length++) {
      assert.throws(() => parseCertificate(der.subarray(0, length)), ParseError)
    }
  })

  test('bytes inserted, removed, repeated, and noise', () => {
    const { der } = rich.certificate
    const edit = fc.record({ at: fc.nat(der.length), remove: fc.nat(8), insert: fc.uint8Array({ maxLength: 8 }) })
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 4 }), (edits) => {
        let bytes: Uint8Array = der
        for (const { at, remove, insert } of edits) {
          bytes = Buffer.concat([bytes.subarray(0, at), insert, bytes.subarray(at + remove)])
        }
        survives(bytes)
      }),
      { numRuns: 3_000 },
    )
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), survives), { numRuns: 1_000 })
  })

  test('the same for CRLs and names', () => {
    const bytes = fc.uint8Array({ maxLength: 100 }).map((noise) => sequence(sequence(noise), noise))
    fc.assert(
      fc.property(bytes, (der) => {
        for (const parse of [parseCrl, (bytes: Uint8Array) => Name.parse(bytes)]) {
          try {
            parse(der)
          } catch (error) {
            assert.ok(error instanceof ParseError, String(error))
          }
        }
      }),
      { numRuns: 1_000 },
    )
  })

  test('versions and extensions that do not go together', () => {
    const v1WithExtensions = Buffer.from(rich.certificate.der)
    v1WithExtensions[v1WithExtensions.indexOf(hex('a003020102')) + 4] = 0
    assert.throws(() => parseCertificate(v1WithExtensions), ParseError)
    assert.throws(() => forge({ extensions: [] }), ParseError)
    const many = Array.from({ length: 101 }, (_, i) => extension(`1.2.${i}`, sequence()))
    assert.throws(() => forge({ extensions: many }), ParseError)
    assert.throws(() => forge({ extensions: [extension(ExtensionOid.keyUsage, hex('0500'))] }), ParseError)
  })
})
