import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { openSite, report, returnCode } from './site.ts'

const UNAVAILABLE = 3
/** An address of the loopback that nothing else uses: the network that gets lost. */
const LOST = '127.66.66.66'
const RETRY_MS = 300
/** Eight probes, a second apart, and some room for a busy machine. */
const LIMIT_MS = 20_000

function route(change: 'add' | 'del'): void {
  execFileSync('ip', ['route', change, 'blackhole', `${LOST}/32`, 'table', 'local'], { stdio: 'pipe' })
}

/** Why packets cannot be made to vanish here, or false. */
function cannotLoseNetwork(): string | false {
  try {
    route('add')
    route('del')
    return false
  } catch (error) {
    return `a route cannot be changed here, which takes root: ${String(error)}`
  }
}

test(
  'a session whose network is gone holds the identity for seconds only, and nobody is accused',
  { skip: cannotLoseNetwork() },
  async (t) => {
    const site = await openSite(t, { duplicates: 'quarantine' })
    const identity = await site.device('press-1')
    await site.live('press-1', identity, { from: LOST })
    route('add')
    t.after(() => route('del'))
    const began = Date.now()
    // The device comes back through another network, and retries as SDKs do when they are told "unavailable".
    let refused = 0
    for (;;) {
      const client = await site.dial('press-1', identity)
      const code = await returnCode(client)
      if (code === 0) {
        await report(client, 'press-1')
        break
      }
      assert.equal(code, UNAVAILABLE)
      refused++
      assert.ok(Date.now() - began < LIMIT_MS, 'the dead session still holds the identity')
      await delay(RETRY_MS)
    }
    assert.ok(refused > 0, 'the dead session was there when the device came back')
    assert.deepEqual(await site.alarms(), [])
  },
)
