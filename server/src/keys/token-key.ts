import { execFile } from 'node:child_process'
import { environmentWith } from '../config.ts'
import { HubError } from '../errors.ts'
import type { Randomness } from '../ports/clock.ts'
import type { KeyProviderParameters } from '../ports/key-provider.ts'
import { KeyEncryptionKey } from './key-encryption-key.ts'

/** A secret key of AES-256 in a PKCS#11 token: not extractable, allowed to encrypt. */
export interface TokenPlace {
  /** Path of the token's PKCS#11 library. */
  readonly module: string
  /** Label of the token. */
  readonly token: string
  /** CKA_ID of the key in it, hex: the tool picks a secret key by its id alone and takes the first one for a label. */
  readonly key: string
  readonly pin: string
}

const TOOL = 'pkcs11-tool'
const TIMEOUT_MS = 30_000
/** Two blocks of AES. */
const SALT_BYTES = 32
const PIN_VARIABLE = 'HOLDFAST_TOKEN_PIN'

/**
 * A KEK that a PKCS#11 token computes: its key, which never leaves it, encrypts a random salt, and that is the secret. So
 * the data opens only where the token is. `known` are the parameters of the KEK to have again, else new ones.
 */
export async function tokenKey(
  place: TokenPlace,
  { random, known }: { random: Randomness; known?: KeyProviderParameters },
): Promise<KeyEncryptionKey> {
  const parameters = known ?? { salt: Buffer.from(random.bytes(SALT_BYTES)).toString('base64') }
  const salt = Buffer.from(String(parameters['salt']), 'base64')
  if (salt.length !== SALT_BYTES) throw new HubError('internal', 'The keyring is damaged: its salt has a wrong length.')
  const secret = await encrypt(place, salt)
  if (secret.length !== SALT_BYTES)
    throw failed(place, `it answered with ${secret.length} bytes instead of ${SALT_BYTES}`)
  return new KeyEncryptionKey('token', secret, { random, parameters })
}

function encrypt(place: TokenPlace, salt: Buffer): Promise<Buffer> {
  const { module, token, key, pin } = place
  const args = ['--module', module, '--token-label', token, '--login', '--pin', `env:${PIN_VARIABLE}`]
  // CBC with this IV over random input: each block is a permutation that only the token knows.
  args.push('--encrypt', '--mechanism', 'AES-CBC', '--iv', '0'.repeat(32), '--id', key)
  // In the environment of the child alone: its arguments can be read by every user of the machine.
  const options = { encoding: 'buffer', timeout: TIMEOUT_MS, env: environmentWith({ [PIN_VARIABLE]: pin }) } as const
  return new Promise((resolve, reject) => {
    const child = execFile(TOOL, args, options, (error, stdout, stderr) => {
      if (error === null) return resolve(stdout)
      if (error.code === 'ENOENT') return reject(failed(place, `${TOOL} is not installed (Debian: opensc)`))
      reject(failed(place, reasonIn(stderr.toString('utf8')) ?? error.message))
    })
    // A tool that ends early closes its input; what it says about that counts, not the broken pipe.
    child.stdin?.on('error', () => {})
    child.stdin?.end(salt)
  })
}

/** The tool's own words for what went wrong; the last line only says that it stops. */
function reasonIn(text: string): string | undefined {
  const lines = text.split('\n').map((line) => line.trim())
  return lines.find((line) => line.startsWith('error:')) ?? lines.find((line) => line !== '')
}

function failed({ token, key }: TokenPlace, why: string): HubError {
  return new HubError('internal', `Key ${key} of token '${token}' cannot be used: ${why}. Nothing was touched.`)
}
