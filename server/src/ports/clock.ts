/** The time and the dice, handed in by `app.ts` so that expiry, codes and ids can be tested. */
export interface Clock {
  /** ms since the epoch. */
  now(): number
}

export interface Randomness {
  bytes(count: number): Uint8Array
}
