import { EnvelopeSealer } from './envelope.ts'
import type { DataKey, SealPurpose, Sealer } from './envelope.ts'

/** The data keys to seal with, the present one last; `'unsealed'` stores in the clear and is for measurements alone. */
export type SealingKeys = readonly DataKey[] | 'unsealed'

export function sealerFor(purpose: SealPurpose, keys: SealingKeys): Sealer {
  return keys === 'unsealed' ? UNSEALED : new EnvelopeSealer(purpose, keys)
}

const UNSEALED: Sealer = {
  currentKey: 0,
  seal: (plain) => plain,
  open: (bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength),
  add: () => {},
  keyOf: () => 0,
}
