import { createHash, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { encodeCbor } from './cbor.ts'
import { CURVE_P256, Key, KEY_TYPE_EC2 } from './labels.ts'

/** A new key pair of a consumer: P-256, which chips do in hardware. The private half, from which the public one follows. */
export function generateConsumerKey(): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
}

/** Coordinates of a point on P-256, 32 bytes each. */
export interface Point {
  readonly x: Uint8Array
  readonly y: Uint8Array
}

/** The public point of a P-256 key, private or public. Throws RangeError for any other key. */
export function pointOf(key: KeyObject): Point {
  if (key.asymmetricKeyType !== 'ec' || key.asymmetricKeyDetails?.namedCurve !== 'prime256v1')
    throw new RangeError("a consumer's key is an elliptic-curve key on P-256")
  const spki = (key.type === 'private' ? createPublicKey(key) : key).export({ type: 'spki', format: 'der' })
  return { x: spki.subarray(-64, -32), y: spki.subarray(-32) }
}

/** SubjectPublicKeyInfo of a P-256 key up to its point (RFC 5480 §2). */
const SPKI_START = Buffer.from('3059301306072a8648ce3d020106082a8648ce3d03010703420004', 'hex')

/** Null when the point is not on the curve. */
export function keyAt({ x, y }: Point): KeyObject | null {
  if (x.length !== 32 || y.length !== 32) return null
  try {
    return createPublicKey({ key: Buffer.concat([SPKI_START, x, y]), format: 'der', type: 'spki' })
  } catch {
    // The crypto library's word for a point that is not on the curve.
    return null
  }
}

/** COSE_Key of a point (RFC 9053 §7.1.1). */
export function coseKey({ x, y }: Point): ReadonlyMap<number, number | Uint8Array> {
  return new Map<number, number | Uint8Array>([
    [Key.type, KEY_TYPE_EC2],
    [Key.curve, CURVE_P256],
    [Key.x, x],
    [Key.y, y],
  ])
}

/** How a message names its consumer: the first eight bytes of the key's COSE Key Thumbprint (RFC 9679), a hint alone. */
export function keyIdOf(point: Point): Uint8Array {
  return createHash('sha256')
    .update(encodeCbor(coseKey(point)))
    .digest()
    .subarray(0, 8)
}
