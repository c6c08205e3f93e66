import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assert as check, property, uint8Array } from 'fast-check'
import rhea from 'rhea'
import { scanValue } from '../../src/amqp/value-scan.ts'
import { AmqpViolation } from '../../src/amqp/violation.ts'

// rhea's typings leave its reader out.
const { Reader } = rhea.types as unknown as { Reader: new (value: Buffer) => { read(): unknown; position: number } }
const bytes = (...values: number[]): Buffer => Buffer.from(values)
const refused = (value: Buffer): void => assert.throws(() => scanValue(value, 0, value.length), AmqpViolation)

test('accepts each primitive encoding and stops right behind it', () => {
  const values: [Buffer, number][] = [
    [bytes(0x40), 1],
    [bytes(0x56, 1), 2],
    [bytes(0x70, 0, 0, 0, 1), 5],
    [bytes(0x80, 0, 0, 0, 0, 0, 0, 0, 1), 9],
    [Buffer.concat([bytes(0x98), Buffer.alloc(16)]), 17],
    [bytes(0xa1, 2, 0x61, 0x62), 4],
    [bytes(0xb0, 0, 0, 0, 1, 9), 6],
    [bytes(0x45), 1],
    [bytes(0xc0, 3, 2, 0x40, 0x41), 5],
    [bytes(0xc1, 3, 2, 0x40, 0x41), 5],
    [bytes(0xe0, 4, 2, 0x50, 7, 8), 6],
    [bytes(0x00, 0x53, 0x77, 0x40), 4],
  ]
  for (const [value, length] of values)
    assert.equal(scanValue(Buffer.concat([value, bytes(0xff)]), 0, value.length), length, value.toString('hex'))
})

test('refuses values that run past their end, at every length', () => {
  const value = bytes(0x00, 0x53, 0x74, 0xc1, 8, 2, 0xa1, 1, 0x61, 0xa1, 2, 0x62, 0x63)
  assert.equal(scanValue(value, 0, value.length), value.length)
  for (let length = 0; length < value.length; length++) refused(value.subarray(0, length))
})

test('refuses sizes and counts that do not match', () => {
  refused(bytes(0xc0, 4, 2, 0x40, 0x41, 0x40))
  refused(bytes(0xc0, 2, 2, 0x40))
  refused(bytes(0xd0, 0, 0, 0, 4, 0xff, 0xff, 0xff, 0xff))
  refused(bytes(0xc1, 2, 1, 0x40))
  refused(bytes(0xe0, 4, 3, 0x50, 7, 8))
  refused(bytes(0xff, 1))
  refused(bytes(0x57))
})

test('refuses four billion elements that cost no byte', () => {
  refused(bytes(0xf0, 0, 0, 0, 5, 0xff, 0xff, 0xff, 0xff, 0x40))
})

test('refuses nesting that would exhaust the stack', () => {
  refused(Buffer.alloc(60_000, 0x00))
  let nested = bytes(0x45)
  for (let level = 0; level < 20; level++) {
    const head = Buffer.alloc(9)
    head[0] = 0xd0
    head.writeUInt32BE(nested.length + 4, 1)
    head.writeUInt32BE(1, 5)
    nested = Buffer.concat([head, nested])
  }
  refused(nested)
})

test('agrees with the engine on whatever it lets through', () => {
  check(
    property(uint8Array({ maxLength: 64 }), (input) => {
      const value = Buffer.from(input)
      let end: number
      try {
        end = scanValue(value, 0, value.length)
      } catch (error) {
        assert.ok(error instanceof AmqpViolation)
        return
      }
      const reader = new Reader(value)
      reader.read()
      assert.equal(reader.position, end)
    }),
    { numRuns: 5_000 },
  )
})
