import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { HubError } from '../../src/errors.ts'
import { headerPairs, messageFrom } from '../../src/http/device/message-headers.ts'
import { messagesOfBatch } from '../../src/http/device/message-batch.ts'
import { parseJsonBody } from '../../src/model/json-body.ts'
import { certificateFromText } from '../../src/http/resource-manager/certificate-text.ts'
import { makeRoot } from './certificates.ts'

const bytes = (text: string) => new TextEncoder().encode(text)

/** Whatever comes in, the parser returns or says in its own words why not. */
function refusesInWords<Input>(parse: (input: Input) => unknown) {
  return (input: Input): void => {
    try {
      parse(input)
    } catch (error) {
      assert.ok(error instanceof HubError, String(error))
    }
  }
}

test('JSON bodies mean what JSON.parse says they mean', () => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 8 }), (text) => {
      if (text.includes('__proto__')) return
      assert.deepEqual(parseJsonBody(bytes(text)), JSON.parse(text))
    }),
  )
  for (const empty of ['', ' \r\n\t']) assert.equal(parseJsonBody(bytes(empty)), undefined)
})

test('depth is counted outside strings, up to the limit and no further', () => {
  const nested = (depth: number) => bytes('['.repeat(depth) + ']'.repeat(depth))
  assert.ok(Array.isArray(parseJsonBody(nested(24))))
  assert.throws(() => parseJsonBody(nested(25)), { code: 'format-invalid' })
  assert.equal(parseJsonBody(bytes(JSON.stringify('['.repeat(100) + '\\"['))), '['.repeat(100) + '\\"[')
})

test('arbitrary bytes never break a parser', () => {
  const anything = fc.uint8Array({ maxLength: 200 })
  fc.assert(fc.property(anything, refusesInWords(parseJsonBody)))
  fc.assert(fc.property(anything, refusesInWords(messagesOfBatch)))
  fc.assert(fc.property(fc.string(), refusesInWords(certificateFromText)))
  fc.assert(fc.property(fc.base64String(), refusesInWords(certificateFromText)))
})

test('a damaged certificate is refused in words', async () => {
  const { der } = await makeRoot('Plant root')
  assert.deepEqual(Buffer.from(certificateFromText(der.toString('base64'))), der)
  fc.assert(
    fc.property(fc.nat(der.length - 1), (length) => {
      assert.throws(() => certificateFromText(der.subarray(0, length).toString('base64')), HubError)
    }),
  )
})

test('application properties cannot reach an object prototype', () => {
  const raw = ['iothub-app-__proto__', 'x', 'iothub-app-a', '1', 'IOTHUB-APP-a', '2', 'constructor', 'y']
  const { application, properties } = messageFrom(headerPairs(raw), new Uint8Array())
  assert.equal(Object.getPrototypeOf(application), Object.prototype)
  assert.deepEqual(Object.entries(application), [
    ['__proto__', 'x'],
    ['a', '2'],
  ])
  assert.deepEqual(properties, {})
})
