import { measureFlood } from '../server/test/attack/flood.ts'

export { measureFlood } from '../server/test/attack/flood.ts'
export type { FloodMark } from '../server/test/attack/flood.ts'

if (import.meta.main) {
  const mark = await measureFlood({ devices: 1_000, junkPerSecond: 1_000 })
  console.log(
    `${mark.junkPerSecond.toFixed(0)} junk connections/s; of 1,000 devices ${(mark.within10s * 100).toFixed(1)} % ` +
      `came back within 10 s, the last after ${mark.last.toFixed(1)} s; ${mark.failures} failed`,
  )
}
