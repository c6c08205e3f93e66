import assert from 'node:assert/strict'
import { test } from 'node:test'
import { measureFlood } from './flood.ts'

/** `npm run bench` shows the same with a thousand devices and a thousand connections a second. */
test('enrolled devices come back while strangers flood the port', async () => {
  const mark = await measureFlood({ devices: 100, junkPerSecond: 200 })
  assert.ok(mark.junkPerSecond >= 100, `the attacker made only ${mark.junkPerSecond} connections a second`)
  assert.ok(mark.within10s >= 0.95, JSON.stringify(mark))
})
