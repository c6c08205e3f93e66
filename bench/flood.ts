import { measureFlood } from '../server/test/attack/flood.ts'

export { measureFlood } from '../server/test/attack/flood.ts'
export type { FloodMark } from '../server/test/attack/flood.ts'

/** Share of the devices that is to be back within ten seconds. */
const MARK = 0.95

if (import.meta.main) {
  const mark = await measureFlood({ devices: 1_000, junkPerSecond: 1_000 })
  console.log(
    `${mark.junkPerSecond.toFixed(0)} junk connections/s; of 1,000 devices ${(mark.within10s * 100).toFixed(1)} % ` +
      `came back within 10 s (mark: ${MARK * 100} %), the last after ${mark.last.toFixed(1)} s; ${mark.failures} failed`,
  )
  if (mark.within10s < MARK) process.exitCode = 1
}
