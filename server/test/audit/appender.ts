import { openLog, act } from './workbench.ts'

/** Appends until it is killed; tells on standard output what was acknowledged. */
const log = await openLog(process.argv[2] ?? '', { clock: { now: () => Date.now() } })
for (;;) {
  const entries = await Promise.all(Array.from({ length: 5 }, () => log.append(act('device.put'))))
  process.stdout.write(`${entries.at(-1)?.sequence}\n`)
}
