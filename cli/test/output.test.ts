import assert from 'node:assert/strict'
import { test } from 'node:test'
import { showEntry } from '../src/audit/show-entry.ts'
import { jsonText } from '../src/output.ts'

/** What xterm takes for CSI, a turned text, and a character of no width. */
const HOSTILE = 'a\u009b2J\u202eb\u200bc\ufeff'

test('JSON on a terminal says what it says, and nothing that the terminal obeys', () => {
  const text = jsonText({ id: HOSTILE })
  assert.match(text, /^[ -~]+$/)
  assert.deepEqual(JSON.parse(text), { id: HOSTILE })
  assert.equal(jsonText({ id: 'Straße "7"' }), '{"id":"Straße \\"7\\""}')
})

test('an audited id cannot steer the terminal of whoever reads the log', () => {
  const who = { name: 'ada', role: 'operator', method: 'token' }
  const line = showEntry({
    sequence: 1,
    time: '2026-01-01T00:00:00.000Z',
    kind: 'intent',
    act: 'device.put',
    who,
    from: null,
    target: { hub: 'plant', deviceId: HOSTILE },
  })
  assert.match(line, /^[ -~]+$/)
})
