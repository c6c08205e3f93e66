import { argon2 } from 'node:crypto'
import { promisify } from 'node:util'
import { HubError } from '../errors.ts'
import type { Randomness } from '../ports/clock.ts'
import type { KeyProviderParameters } from '../ports/key-provider.ts'
import { KeyEncryptionKey } from './key-encryption-key.ts'

/** RFC 9106 §4, the second recommended option: 64 MiB, 3 passes, 4 lanes. */
const COST = { memory: 65_536, passes: 3, parallelism: 4 } as const
/** What a keyring may ask for, so that a changed one cannot exhaust the machine. */
const MAX_MEMORY = 1_048_576
const MAX_PASSES = 32
const MAX_PARALLELISM = 64
const SALT_BYTES = 16
/** A shorter passphrase is guessed in less time than a key of 256 bits is worth. */
const MIN_PASSPHRASE = 12

/** Derives a KEK from a passphrase by Argon2id; `known` are the parameters of the one to have again, else new ones. */
export async function passphraseKey(
  passphrase: string,
  { random, known }: { random: Randomness; known?: KeyProviderParameters },
): Promise<KeyEncryptionKey> {
  if (known === undefined && passphrase.length < MIN_PASSPHRASE) {
    throw new HubError('argument-invalid', `The passphrase needs at least ${MIN_PASSPHRASE} characters.`)
  }
  const parameters = known ?? { salt: Buffer.from(random.bytes(SALT_BYTES)).toString('base64'), ...COST }
  const secret = await promisify(argon2)('argon2id', {
    message: Buffer.from(passphrase.normalize('NFC')),
    nonce: Buffer.from(String(parameters['salt']), 'base64'),
    memory: within(parameters, 'memory', MAX_MEMORY),
    passes: within(parameters, 'passes', MAX_PASSES),
    parallelism: within(parameters, 'parallelism', MAX_PARALLELISM),
    tagLength: 32,
  })
  return new KeyEncryptionKey('passphrase', secret, { random, parameters })
}

function within(parameters: KeyProviderParameters, name: string, most: number): number {
  const value = parameters[name]
  if (typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= most) return value
  throw new HubError('internal', `The keyring is damaged: its parameter ${name} is out of range.`)
}
