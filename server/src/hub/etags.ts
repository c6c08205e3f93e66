import type { Randomness } from '../ports/clock.ts'

/**
 * Entity tags of the registry: base64 of a decimal counter, as the service makes them. The counter starts anywhere, so
 * that the tag of a deleted row does not match its successor of the same name.
 */
export function firstEtag(random: Randomness): string {
  return encode(100_000_000 + (Buffer.from(random.bytes(4)).readUInt32BE() % 900_000_000))
}

export function nextEtag(etag: string): string {
  const counter = Number(Buffer.from(etag, 'base64').toString('latin1'))
  if (!Number.isSafeInteger(counter)) throw new Error(`'${etag}' is no entity tag of the registry`)
  return encode(counter + 1)
}

function encode(counter: number): string {
  return Buffer.from(String(counter), 'latin1').toString('base64')
}
