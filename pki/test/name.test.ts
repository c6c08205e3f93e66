import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { oid, sequence } from '../src/der-writer.ts'
import { Name, ParseError, Tag } from '../src/index.ts'

const CN = '2.5.4.3'

const hex = (text: string): Buffer => Buffer.from(text, 'hex')

/** A TLV of fewer than 128 octets; the tag need not fit the content. */
function element(tag: number, ...content: readonly Uint8Array[]): Buffer {
  const bytes = Buffer.concat(content)
  return Buffer.concat([Uint8Array.of(tag, bytes.length), bytes])
}

function attribute(type: string, tag: number, value: Uint8Array): Buffer {
  return sequence(oid(type), element(tag, value))
}

function cn(text: string, tag: number = Tag.utf8String): Buffer {
  return attribute(CN, tag, Buffer.from(text, tag === Tag.utf8String ? 'utf8' : 'latin1'))
}

/** One argument for each RDN. */
function nameOf(...rdns: readonly (readonly Buffer[])[]): Name {
  return Name.parse(sequence(...rdns.map((attributes) => element(Tag.set, ...attributes))))
}

describe('names', () => {
  test('compare by RFC 5280 §7.1: case, blanks and string type do not matter, order does', () => {
    assert.equal(nameOf([cn('Line  7 ')]).key, nameOf([cn('line 7', Tag.printableString)]).key)
    assert.equal(nameOf([cn('É')]).key, nameOf([cn('e\u0301')]).key)
    assert.notEqual(nameOf([cn('a')], [cn('b')]).key, nameOf([cn('b')], [cn('a')]).key)
    assert.notEqual(nameOf([cn('a')], [cn('b')]).key, nameOf([cn('a'), cn('b')]).key)
    assert.equal(nameOf([cn('b'), cn('a')]).key, nameOf([cn('a'), cn('b')]).key)
    assert.notEqual(nameOf([cn('a\u0001b')]).key, nameOf([cn('a')], [cn('b')]).key)
    assert.notEqual(nameOf([cn('а')]).key, nameOf([cn('a')]).key)
  })

  test('keep the common names as they are, every one of them', () => {
    assert.deepEqual(nameOf([cn('a\u0000b')], [cn(' A ')]).commonNames, ['a\u0000b', ' A '])
    assert.deepEqual(nameOf([attribute(CN, Tag.bmpString, hex('0041d83ddc4d'))]).commonNames, ['A👍'])
    assert.deepEqual(nameOf([attribute(CN, Tag.universalString, hex('0001f44d'))]).commonNames, ['👍'])
    assert.deepEqual(nameOf([attribute(CN, Tag.bitString, hex('0041'))]).commonNames, [])
  })

  test('are displayed without surprises', () => {
    assert.equal(
      nameOf([attribute('2.5.4.10', Tag.utf8String, Buffer.from('O'))], [cn('x,CN=victim')]).toString(),
      'CN=x\\,CN=victim,O=O',
    )
    assert.equal(nameOf([cn('a\nb\u0000\u202ec')]).toString(), 'CN=a\\0ab\\00\\e2\\80\\aec')
    assert.equal(nameOf([cn(' #a ')]).toString(), 'CN=\\ #a\\ ')
    assert.equal(nameOf([cn('a'), cn('b')]).toString(), 'CN=a+CN=b')
    assert.equal(nameOf([attribute('1.2.3.4', Tag.bitString, hex('0041'))]).toString(), '1.2.3.4=#03020041')
  })

  test('of broken text or of other types are refused', () => {
    for (const [tag, bytes] of [
      [Tag.octetString, '41'],
      [Tag.bitString, '0741'],
      [0x80, '41'],
      [Tag.utf8String, 'c328'],
      [Tag.utf8String, 'eda080'],
      [Tag.printableString, 'e9'],
      [Tag.ia5String, '80'],
      [Tag.bmpString, '00'],
      [Tag.bmpString, 'd800'],
      [Tag.universalString, '00110000'],
      [Tag.universalString, '0000d800'],
    ] as const) {
      assert.throws(() => nameOf([attribute(CN, tag, hex(bytes))]), ParseError)
    }
    assert.throws(() => Name.parse(hex('30023100')), ParseError)
    assert.throws(() => nameOf(...Array.from({ length: 65 }, () => [cn('a')])), ParseError)
  })
})
