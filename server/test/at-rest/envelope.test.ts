import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EnvelopeSealer, SEAL_OVERHEAD, SealError } from '../../src/keys/envelope.ts'
import { dataKey } from './data-keys.ts'

const PLAIN = Buffer.from('a secret that is sealed')

test('sealed bytes open at their place, and any changed byte is noticed', () => {
  const sealer = new EnvelopeSealer('registry', [dataKey(1)])
  const sealed = sealer.seal(PLAIN, 'place')
  assert.equal(sealed.length, PLAIN.length + SEAL_OVERHEAD)
  assert.deepEqual(sealer.open(sealed, 'place'), PLAIN)
  assert.throws(() => sealer.open(sealed, 'another place'), SealError)
  for (let index = 0; index < sealed.length; index++) {
    const changed = Uint8Array.from(sealed)
    changed[index] = (changed[index] ?? 0) ^ 0x80
    assert.throws(() => sealer.open(changed, 'place'), SealError, `byte ${index}`)
    assert.throws(() => sealer.open(sealed.subarray(0, index), 'place'), SealError, `cut at ${index}`)
  }
})

test('a key and a nonce never meet twice: neither in one sealer nor in two with one data key', () => {
  const seen = new Set<string>()
  for (let start = 0; start < 50; start++) {
    const sealer = new EnvelopeSealer('registry', [dataKey(1)])
    for (let count = 0; count < 20; count++) {
      const header = sealer.seal(PLAIN, 'place').subarray(0, SEAL_OVERHEAD - 16)
      seen.add(header.toString('hex'))
    }
  }
  assert.equal(seen.size, 1_000)
})

test('a later key seals, earlier ones still open, and purposes do not open for one another', () => {
  const early = new EnvelopeSealer('registry', [dataKey(1)])
  const sealed = early.seal(PLAIN, 'place')
  const late = new EnvelopeSealer('registry', [dataKey(1), dataKey(2)])
  assert.deepEqual(late.open(sealed, 'place'), PLAIN)
  assert.equal(late.keyOf(sealed), 1)
  assert.equal(late.keyOf(late.seal(PLAIN, 'place')), 2)
  assert.throws(() => early.open(late.seal(PLAIN, 'place'), 'place'), /data key 2, which the keyring does not hold/)
  early.add(dataKey(2))
  assert.deepEqual(early.open(late.seal(PLAIN, 'place'), 'place'), PLAIN)
  assert.throws(() => new EnvelopeSealer('telemetry', [dataKey(1)]).open(sealed, 'place'), SealError)
})
