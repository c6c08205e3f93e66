import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { DerReader, Tag } from '@holdfast/pki'
import * as der from '../../src/der-writer.ts'

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

test('lengths are minimal at each boundary of the long form', () => {
  const lengths = { 0: '0400', 127: '047f', 128: '048180', 255: '0481ff', 256: '04820100', 65_536: '0483010000' }
  for (const [length, header] of Object.entries(lengths)) {
    const written = der.octetString(Buffer.alloc(Number(length)))
    assert.equal(hex(written.subarray(0, header.length / 2)), header)
    assert.equal(written.length, header.length / 2 + Number(length))
  }
})

test('integers are minimal and positive, whatever their first bit', () => {
  assert.equal(hex(der.integer(0)), '020100')
  assert.equal(hex(der.integer(127)), '02017f')
  assert.equal(hex(der.integer(128)), '02020080')
  assert.equal(hex(der.integer(Uint8Array.of(0, 0, 0x80))), '02020080')
  assert.equal(hex(der.integer(Uint8Array.of(0, 0))), '020100')
  assert.equal(hex(der.integer(2n ** 64n)), '0209010000000000000000')
  assert.throws(() => der.integer(-1n), RangeError)
  assert.throws(() => der.integer(1.5), RangeError)
})

test('the strict reader reads back every integer', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 2n ** 160n }), (value) => {
      const content = DerReader.over(der.integer(value)).read(Tag.integer).integer()
      assert.equal(BigInt(`0x${hex(content)}`), value)
    }),
  )
})

test('the strict reader reads back nested elements of any size', () => {
  const leaf = fc.uint8Array({ maxLength: 300 }).map((bytes) => ({ bytes }))
  fc.assert(
    fc.property(fc.array(leaf, { maxLength: 20 }), (leaves) => {
      const reader = DerReader.over(der.sequence(...leaves.map(({ bytes }) => der.octetString(bytes)))).readSequence()
      for (const { bytes } of leaves) assert.deepEqual([...reader.read(Tag.octetString).content], [...bytes])
      reader.finish()
    }),
  )
})

test('named bits drop trailing zeros', () => {
  assert.equal(hex(der.namedBits(0)), '03020780')
  assert.equal(hex(der.namedBits(5, 6)), '03020106')
  assert.equal(hex(der.namedBits(8)), '0303070080')
  assert.equal(hex(der.namedBits()), '030100')
})

const content = (bytes: Uint8Array): string => Buffer.from(bytes.subarray(2)).toString('latin1')

test('times change their form at 2050 and lose their fraction', () => {
  const last = der.time(Date.UTC(2049, 11, 31, 23, 59, 59, 999))
  const first = der.time(Date.UTC(2050, 0, 1))
  assert.deepEqual([last[0], content(last)], [Tag.utcTime, '491231235959Z'])
  assert.deepEqual([first[0], content(first)], [Tag.generalizedTime, '20500101000000Z'])
  assert.equal(content(der.time(Date.UTC(9999, 11, 31, 23, 59, 59))), '99991231235959Z')
  for (const outside of [Date.UTC(1949, 11, 31), Date.UTC(10_000, 0, 1), Number.NaN]) {
    assert.throws(() => der.time(outside), RangeError)
  }
})

test('object identifiers', () => {
  assert.equal(hex(der.oid('2.5.4.3')), '0603550403')
  assert.equal(hex(der.oid('1.2.840.113549.1.1.11')), '06092a864886f70d01010b')
  for (const wrong of ['', '3.1', '1.40', '1', '1.02', '1.2.-3', 'a.b']) assert.throws(() => der.oid(wrong), RangeError)
})

test('SET OF is ordered by encoding', () => {
  assert.equal(hex(der.setOf(der.integer(2), der.integer(1))), '3106020101020102')
})

test('text that is not what its type allows is refused', () => {
  assert.throws(() => der.ascii('ä'), RangeError)
  assert.throws(() => der.ascii('a\n'), RangeError)
  assert.throws(() => der.utf8String('\ud800'), RangeError)
  assert.equal(hex(der.bmpString('aä')), '1e04006100e4')
})
