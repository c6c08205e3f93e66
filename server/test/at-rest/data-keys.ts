import { createSecretKey, randomBytes } from 'node:crypto'
import type { DataKey } from '../../src/keys/envelope.ts'
import { Keyring, defaultKeyFile } from '../../src/keys/keyring.ts'

/** Data keys for stores that a test opens without a keyring: always the same, so that it can open them again. */
export const DATA_KEYS: readonly DataKey[] = [dataKey(1)]

/** The keys of a data folder whose server has stopped, by its key file. */
export async function keysOf(folder: string, keyFile = defaultKeyFile(folder)): Promise<readonly DataKey[]> {
  const keyring = await Keyring.open({
    folder,
    source: { kind: 'file', path: keyFile },
    holdsSealedData: true,
    clock: { now: () => Date.now() },
    random: { bytes: (count) => randomBytes(count) },
  })
  return keyring.dataKeys
}

export function dataKey(id: number): DataKey {
  return { id, key: createSecretKey(Buffer.alloc(32, id)) }
}
