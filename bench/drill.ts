import { parseArgs } from 'node:util'
import { runDrill } from '../server/test/backup/drill.ts'

/** The restore drill at its full size; `--devices`, `--senders` and `--events` say another one. */
const { values } = parseArgs({
  options: {
    devices: { type: 'string', default: '100000' },
    senders: { type: 'string', default: '100' },
    events: { type: 'string', default: '1000000' },
  },
})
const { devices, senders, events } = values
await runDrill({ devices: Number(devices), senders: Number(senders), events: Number(events) }, (line) =>
  process.stdout.write(`${line}\n`),
)
