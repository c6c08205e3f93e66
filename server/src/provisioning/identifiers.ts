import type { Randomness } from '../ports/clock.ts'

/** 122 random bits or more, in the shape that clients of the service expect of tags and ids. */
export function uuid(random: Randomness): string {
  return hex(random, 16).replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
}

/** Names one registration attempt to its poller: `5.<16 hex digits>.<uuid>`. */
export function newOperationId(random: Randomness): string {
  return `5.${hex(random, 8)}.${uuid(random)}`
}

function hex(random: Randomness, bytes: number): string {
  return Buffer.from(random.bytes(bytes)).toString('hex')
}
