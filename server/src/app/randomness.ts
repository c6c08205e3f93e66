import { randomBytes } from 'node:crypto'
import type { Randomness } from '../ports/clock.ts'

/** Bytes drawn at a time: a connect needs a few small random values, and each draw costs more than its bytes. */
const POOL_BYTES = 4_096

/** The operating system's randomness, drawn in pools. */
export function systemRandomness(): Randomness {
  let pool = randomBytes(POOL_BYTES)
  let used = 0
  return {
    bytes(count) {
      if (count > POOL_BYTES / 4) return randomBytes(count)
      if (used + count > POOL_BYTES) {
        pool = randomBytes(POOL_BYTES)
        used = 0
      }
      const bytes = Buffer.from(pool.subarray(used, used + count))
      pool.fill(0, used, used + count)
      used += count
      return bytes
    },
  }
}
