import type { Certificate, SignatureAlgorithm } from '@holdfast/pki'
import { DerReader, Tag } from '@holdfast/pki'

/** How one kind of key signs in COSE. */
export interface CoseAlgorithm {
  readonly name: string
  /** The identifier that is written. */
  readonly id: number
  readonly scheme: Extract<SignatureAlgorithm, { kind: 'supported' }>
  /** Bytes of an ECDSA signature's half; absent for signatures that are written as they are. */
  readonly half?: number
}

const ES256: CoseAlgorithm = {
  name: 'ES256',
  id: -7,
  scheme: { kind: 'supported', scheme: { name: 'ES256', key: 'ec', digest: 'sha256' } },
  half: 32,
}
const ES384: CoseAlgorithm = {
  name: 'ES384',
  id: -35,
  scheme: { kind: 'supported', scheme: { name: 'ES384', key: 'ec', digest: 'sha384' } },
  half: 48,
}
const EDDSA: CoseAlgorithm = {
  name: 'EdDSA',
  id: -8,
  scheme: { kind: 'supported', scheme: { name: 'EdDSA', key: 'ed25519', digest: null } },
}
const ML_DSA_65: CoseAlgorithm = {
  name: 'ML-DSA-65',
  id: -49,
  scheme: { kind: 'supported', scheme: { name: 'ML-DSA-65', key: 'ml-dsa-65', digest: null } },
}

/**
 * RFC 9053 §2, RFC 9964 §3; and the fully-specified names of RFC 9864 for the same three, which are understood and not
 * written, since few libraries know them yet. The key of the certificate fixes the curve in either case.
 */
const BY_ID = new Map<number, CoseAlgorithm>([
  [-7, ES256],
  [-9, ES256],
  [-35, ES384],
  [-51, ES384],
  [-8, EDDSA],
  [-19, EDDSA],
  [-49, ML_DSA_65],
])

export function algorithmById(id: number): CoseAlgorithm | undefined {
  return BY_ID.get(id)
}

/** The one algorithm that goes with the certificate's key, or undefined when there is none. */
export function algorithmOf({ publicKeyAlgorithm: key }: Certificate): CoseAlgorithm | undefined {
  switch (key.kind) {
    case 'ec':
      return key.curve === 'P-256' ? ES256 : key.curve === 'P-384' ? ES384 : undefined
    case 'ed25519':
      return EDDSA
    case 'ml-dsa-65':
      return ML_DSA_65
    default:
      return undefined
  }
}

/** RFC 9053 §2.1: r and s as big-endian numbers of the curve's size, one after the other. */
export function coseSignature(signature: Uint8Array, { half }: CoseAlgorithm): Uint8Array {
  if (half === undefined) return signature
  const pair = DerReader.over(new Uint8Array(signature)).readSequence()
  return Buffer.concat([fixed(pair.read(Tag.integer).integer(), half), fixed(pair.read(Tag.integer).integer(), half)])
}

/** The same pair as certificates carry it; undefined when the length is not that of the algorithm. */
export function derSignature(signature: Uint8Array, { half }: CoseAlgorithm): Uint8Array | undefined {
  if (half === undefined) return signature
  if (signature.length !== 2 * half) return undefined
  const body = Buffer.concat([derInteger(signature.subarray(0, half)), derInteger(signature.subarray(half))])
  return Buffer.concat([Uint8Array.of(Tag.sequence, body.length), body])
}

function fixed(number: Uint8Array, length: number): Uint8Array {
  const digits = withoutZeros(number)
  const padded = Buffer.alloc(length)
  padded.set(digits, length - digits.length)
  return padded
}

/** A DER INTEGER is signed: a number with its top bit set gets a zero in front. Both halves are below 128 bytes. */
function derInteger(number: Uint8Array): Uint8Array {
  const digits = withoutZeros(number)
  const sign = (digits[0] ?? 0) >= 0x80 || digits.length === 0 ? [0] : []
  return Uint8Array.of(Tag.integer, digits.length + sign.length, ...sign, ...digits)
}

function withoutZeros(number: Uint8Array): Uint8Array {
  const start = number.findIndex((byte) => byte !== 0)
  return start === -1 ? new Uint8Array() : number.subarray(start)
}
