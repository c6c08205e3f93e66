import { createHash, createPublicKey, sign, verify } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import type { AuditEntry } from './entry.ts'

/** A signed statement: the entry of this sequence has this hash, and with it every entry before. */
export interface Checkpoint {
  readonly format: 'holdfast-audit-checkpoint-1'
  readonly sequence: number
  readonly hash: string
  /** ISO 8601. */
  readonly time: string
  /** Base64 of the DER of the Ed25519 public key. */
  readonly publicKey: string
  /** Base64; see `statement`. */
  readonly signature: string
}

type Signed = Pick<Checkpoint, 'sequence' | 'hash' | 'time'>

export function signCheckpoint(covered: Signed, privateKey: KeyObject): Checkpoint {
  const { sequence, hash, time } = covered
  return {
    format: 'holdfast-audit-checkpoint-1',
    sequence,
    hash,
    time,
    publicKey: publicKeyText(createPublicKey(privateKey)),
    signature: sign(null, statement('checkpoint', covered), privateKey).toString('base64'),
  }
}

export function isGenuine(checkpoint: Checkpoint): boolean {
  return isSigned('checkpoint', checkpoint, checkpoint.publicKey, checkpoint.signature)
}

/** What the old key and the new one sign when the one follows the other: the new key's digest is part of it. */
export function signSuccession(covered: Signed, next: string, privateKey: KeyObject): string {
  return sign(null, statement(`key ${keyIdOf(next)}`, covered), privateKey).toString('base64')
}

export function isSuccessionSigned(covered: Signed, next: string, publicKey: string, signature: string): boolean {
  return isSigned(`key ${keyIdOf(next)}`, covered, publicKey, signature)
}

/** The checkpoint of an entry of kind `checkpoint`, or null for anything else. */
export function checkpointOf(entry: AuditEntry): Checkpoint | null {
  return entry.kind === 'checkpoint' ? readCheckpoint(entry.detail) : null
}

/** null for what is no checkpoint; its signature is not judged here. */
export function readCheckpoint(value: unknown): Checkpoint | null {
  if (typeof value !== 'object' || value === null) return null
  const { format, sequence, hash, time, publicKey, signature } = value as Record<string, unknown>
  const isOne =
    format === 'holdfast-audit-checkpoint-1' &&
    Number.isSafeInteger(sequence) &&
    [hash, time, publicKey, signature].every((member) => typeof member === 'string')
  return isOne ? (value as Checkpoint) : null
}

export function publicKeyText(key: KeyObject): string {
  return key.export({ type: 'spki', format: 'der' }).toString('base64')
}

/** SHA-256 of the key's DER, hex. */
export function keyIdOf(publicKey: string): string {
  return createHash('sha256').update(Buffer.from(publicKey, 'base64')).digest('hex')
}

function isSigned(what: string, covered: Signed, publicKey: string, signature: string): boolean {
  try {
    const key = createPublicKey({ key: Buffer.from(publicKey, 'base64'), type: 'spki', format: 'der' })
    if (key.asymmetricKeyType !== 'ed25519') return false
    return verify(null, statement(what, covered), key, Buffer.from(signature, 'base64'))
  } catch {
    // A key or signature that is none proves nothing.
    return false
  }
}

/** Lines of text, so that anybody can check a signature with a tool of their own. */
function statement(what: string, { sequence, hash, time }: Signed): Buffer {
  return Buffer.from(`holdfast-audit-1\n${what}\n${sequence}\n${hash}\n${time}\n`, 'utf8')
}
