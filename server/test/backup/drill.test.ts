import { test } from 'node:test'
import { runDrill } from './drill.ts'

// `npm run drill` is the same with 100,000 devices and a million events.
test('restore drill: backed up under load, wiped, restored', { timeout: 120_000 }, (t) =>
  runDrill({ devices: 500, senders: 8, events: 5_000 }, (line) => t.diagnostic(line)),
)
