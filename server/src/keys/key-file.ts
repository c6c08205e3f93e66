import {
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { HubError } from '../errors.ts'
import type { Randomness } from '../ports/clock.ts'
import { KeyEncryptionKey } from './key-encryption-key.ts'

/** Lets secret scanners recognise the file. */
const PREFIX = 'holdfast-kek-1:'
const KEY_BYTES = 32

/** Reads a KEK from its file; null when there is none. Rejects a file that others may read or that holds something else. */
export function readKeyFile(path: string, random: Randomness): KeyEncryptionKey | null {
  if (!existsSync(path)) return null
  const mode = statSync(path).mode & 0o777
  if ((mode & 0o077) !== 0) {
    throw new HubError(
      'internal',
      `The key file ${path} can be read by others than its owner (mode ${mode.toString(8)}). ` +
        `Decide whether it has leaked, then chmod 600 ${path}.`,
    )
  }
  const text = readFileSync(path, 'utf8').trim()
  const secret = text.startsWith(PREFIX) ? Buffer.from(text.slice(PREFIX.length), 'base64') : Buffer.alloc(0)
  if (secret.length !== KEY_BYTES) {
    throw new HubError('internal', `The key file ${path} does not hold a key-encryption key of Holdfast.`)
  }
  return new KeyEncryptionKey('file', secret, { random })
}

/** Makes a new KEK in a file of mode 0600 that must not exist yet; it is on the disk, whole, when this returns. */
export function makeKeyFile(path: string, random: Randomness): KeyEncryptionKey {
  const secret = Buffer.from(random.bytes(KEY_BYTES))
  createWhole(path, `${PREFIX}${secret.toString('base64')}\n`)
  return new KeyEncryptionKey('file', secret, { random })
}

/** Where a KEK waits that is to replace the one in `path`. */
export function successorOf(path: string): string {
  return `${path}.next`
}

/** Puts the KEK that waited into its place; the one before is gone. */
export function promoteSuccessor(path: string): void {
  renameSync(successorOf(path), path)
  syncFolder(dirname(path))
}

/** Throws EEXIST when the file is there already; a crash leaves all of it or nothing. */
export function createWhole(path: string, text: string): void {
  const draft = writeDraft(path, text)
  try {
    linkSync(draft, path)
  } finally {
    rmSync(draft)
  }
  syncFolder(dirname(path))
}

/** A crash leaves the old file or the new one. */
export function replaceWhole(path: string, text: string): void {
  renameSync(writeDraft(path, text), path)
  syncFolder(dirname(path))
}

/**
 * Always a file of our own: one that lies there may be left over from a crash, or be somebody else's, who reads along or has
 * made a link of it.
 */
function writeDraft(path: string, text: string): string {
  const draft = `${path}.draft`
  rmSync(draft, { force: true })
  writeFileSync(draft, text, { flag: 'wx', mode: 0o600, flush: true })
  return draft
}

function syncFolder(path: string): void {
  const folder = openSync(path, 'r')
  try {
    fsyncSync(folder)
  } finally {
    closeSync(folder)
  }
}
