import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { lstatSync, realpathSync } from 'node:fs'
import { dirname } from 'node:path'
import { environmentWith } from '../config.ts'
import type { Randomness } from '../ports/clock.ts'
import type { KeyProvider, KeyProviderParameters } from '../ports/key-provider.ts'
import { KeyError } from './key-error.ts'
import { KeyEncryptionKey } from './key-encryption-key.ts'

/** A secret key of AES-256 in a PKCS#11 token: sensitive, never extractable, allowed to encrypt. */
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
const MAX_OUTPUT_BYTES = 1024 * 1024
const SALT_BYTES = 16
/** Two blocks of AES. */
const ANSWER_BYTES = 32
const PIN_VARIABLE = 'HOLDFAST_TOKEN_PIN'

/**
 * A KEK in a PKCS#11 token, which never leaves it: the token is asked again for each wrapping and each unwrapping. It encrypts
 * the digest of a new salt, and what it answers seals this one data key (AES-256-GCM) and is forgotten. So the memory of the
 * server holds nothing that would open another data key.
 */
export async function tokenKey(asked: TokenPlace, { random }: { random: Randomness }): Promise<KeyProvider> {
  const place = trusted(asked)
  await requireSafeKey(place)
  return new TokenKey(place, (await onceFrom(place, 'id', random)).id, random)
}

class TokenKey implements KeyProvider {
  readonly kind = 'token'
  readonly id: string
  readonly parameters: KeyProviderParameters = {}
  readonly #place: TokenPlace
  readonly #random: Randomness

  constructor(place: TokenPlace, id: string, random: Randomness) {
    this.#place = place
    this.id = id
    this.#random = random
  }

  async wrap(dataKey: Uint8Array, context: string): Promise<Uint8Array> {
    const salt = Buffer.from(this.#random.bytes(SALT_BYTES))
    return Buffer.concat([salt, await (await this.#once(salt)).wrap(dataKey, context)])
  }

  async unwrap(wrapped: Uint8Array, context: string): Promise<Uint8Array> {
    const once = await this.#once(wrapped.subarray(0, SALT_BYTES))
    return once.unwrap(wrapped.subarray(SALT_BYTES), context)
  }

  async close(): Promise<void> {}

  #once(salt: Uint8Array): Promise<KeyEncryptionKey> {
    return onceFrom(this.#place, `data key ${Buffer.from(salt).toString('hex')}`, this.#random)
  }
}

/** What the token answers to one question, as a key. Another question never gives the same one. */
async function onceFrom(place: TokenPlace, question: string, random: Randomness): Promise<KeyEncryptionKey> {
  // CBC with this IV over a digest: a permutation that only the token knows, of an input that nobody chooses.
  const args = ['--encrypt', '--mechanism', 'AES-CBC', '--iv', '0'.repeat(32), '--id', place.key]
  const digest = createHash('sha256').update(`holdfast key-encryption key in a token: ${question}`).digest()
  const answer = await run(place, args, digest)
  if (answer.length !== ANSWER_BYTES)
    throw failed(place, `it answered with ${answer.length} bytes instead of ${ANSWER_BYTES}`)
  return new KeyEncryptionKey('token', answer, { random })
}

/**
 * A key that can be read or wrapped out of the token is no better than one in a file, and must not be taken for more. The
 * attributes are those of PKCS #11 §4.9; the token itself vouches for them.
 */
async function requireSafeKey(place: TokenPlace): Promise<void> {
  const listed = (await run(place, ['--list-objects', '--type', 'secrkey'])).toString('utf8')
  const found = listed
    .split(/^(?=\S)/m)
    .find((object) => /^ *ID: *(\S+)/m.exec(object)?.[1]?.toLowerCase() === place.key.toLowerCase())
  if (found === undefined) throw failed(place, 'there is no such secret key in it')
  if (!/AES length 32\b/.test(found)) throw failed(place, 'it is no key of AES-256')
  const access = /^ *Access: *(.*)$/m.exec(found)?.[1]?.split(/, */) ?? []
  for (const attribute of ['sensitive', 'never extractable'])
    if (!access.includes(attribute))
      throw failed(place, `it is not ${attribute}: make one in the token with --sensitive`)
}

/**
 * The library runs with the rights of the server, so nobody else may be able to exchange it, by the folders above it neither.
 * Links are followed once: what is judged here is what is loaded.
 */
function trusted(place: TokenPlace): TokenPlace {
  let module: string
  try {
    module = realpathSync(place.module)
  } catch (cause) {
    throw failed(place, `the PKCS#11 library ${place.module} cannot be found`, cause)
  }
  for (let path = module; ; path = dirname(path)) {
    const { uid, mode } = lstatSync(path)
    const isOwn = uid === 0 || uid === process.getuid?.()
    // In a sticky folder, such as the one for temporary files, everybody may exchange only what is his own.
    const isOpen = (mode & 0o022) !== 0 && !(path !== module && (mode & 0o1000) !== 0)
    if (!isOwn || isOpen)
      throw failed(place, `others may exchange the PKCS#11 library ${place.module}, so it is not loaded`)
    if (path === dirname(path)) return { ...place, module }
  }
}

function run(place: TokenPlace, task: readonly string[], input: Buffer = Buffer.alloc(0)): Promise<Buffer> {
  const { module, token, pin } = place
  const args = ['--module', module, '--token-label', token, '--login', '--pin', `env:${PIN_VARIABLE}`, ...task]
  // In the environment of the child alone: its arguments can be read by every user of the machine.
  const env = environmentWith({ [PIN_VARIABLE]: pin })
  const options = { encoding: 'buffer', timeout: TIMEOUT_MS, maxBuffer: MAX_OUTPUT_BYTES, env } as const
  return new Promise((resolve, reject) => {
    const child = execFile(TOOL, args, options, (error, stdout, stderr) => {
      if (error === null) return resolve(stdout)
      if (error.code === 'ENOENT') return reject(failed(place, `${TOOL} is not installed (Debian: opensc)`))
      reject(failed(place, reasonIn(stderr.toString('utf8')) ?? 'the tool ended without a word'))
    })
    // A tool that ends early closes its input; what it says about that counts, not the broken pipe.
    child.stdin?.on('error', () => {})
    child.stdin?.end(input)
  })
}

/** The tool's own words for what went wrong; the last line only says that it stops. */
function reasonIn(text: string): string | undefined {
  const lines = text.split('\n').map((line) => line.trim())
  return lines.find((line) => line.startsWith('error:')) ?? lines.find((line) => line !== '')
}

function failed({ token, key }: TokenPlace, why: string, cause?: unknown): KeyError {
  const message = `Key ${key} of token '${token}' cannot be used: ${why}. Nothing was touched.`
  return new KeyError(message, { cause })
}
