import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as fc from 'fast-check'
import { decodePem, encodePem, ParseError, parseCertificates } from '../src/index.ts'

describe('PEM', () => {
  const der = Buffer.from([1, 2, 3, 250])
  const pem = encodePem('CERTIFICATE', der)
  const malformed: Record<string, string> = {
    'no END line': pem.slice(0, -20),
    'another END label': pem.replace('END CERTIFICATE', 'END KEY'),
    'a block inside of a block': pem.replace('AQID', `-----BEGIN X-----\nAQID`),
    'letters outside of the alphabet': pem.replace('AQID', 'AQ*D'),
    'missing padding': pem.replace('==', ''),
    'bits under the padding': pem.replace('+g==', '+h=='),
    'an empty body': '-----BEGIN X-----\n-----END X-----',
    headers: pem.replace('\n', '\nProc-Type: 4,ENCRYPTED\n'),
    'a lower-case label': pem.replaceAll('CERTIFICATE', 'certificate'),
  }
  for (const [what, text] of Object.entries(malformed)) {
    test(`refuses ${what}`, () => assert.throws(() => decodePem(text), ParseError))
  }

  test('skips what stands around the blocks, and takes each line end', () => {
    const text = `Bag Attributes\r\n  name\r\n${pem.replaceAll('\n', '\r\n')}more\n${pem}`
    assert.deepEqual(
      decodePem(text).map((block) => Buffer.from(block.der)),
      [der, der],
    )
  })

  test('bounds the text and the blocks', () => {
    assert.throws(() => decodePem(pem.repeat(1001)), /more than 1000/)
    assert.throws(() => decodePem('x'.repeat(11), { maxLength: 10 }), /longer than 10/)
    assert.throws(() => parseCertificates('no PEM here'), /no certificate/)
  })

  test('round trip', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 300 }), (bytes) => {
        assert.deepEqual(decodePem(encodePem('X', bytes)), [{ label: 'X', der: Buffer.from(bytes) }])
      }),
    )
  })
})
