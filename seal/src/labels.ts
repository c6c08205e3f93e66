/** Numbers of the IANA registries "CBOR Tags", "COSE" and "CBOR Web Token (CWT) Claims" that a sealed message uses. */

export const CoseTag = { sign1: 18, encrypt: 96 } as const

/** Header parameters: RFC 9052 §3.1, RFC 9360 §2, RFC 9597 §2. */
export const Header = {
  algorithm: 1,
  critical: 2,
  contentType: 3,
  keyId: 4,
  iv: 5,
  cwtClaims: 15,
  x5chain: 33,
  x5t: 34,
  /**
   * The device's counter. Nothing registered means that: Partial IV (6) belongs to an encryption layer, which a message
   * in the clear has not, and the claim `cti` is a name without order. Integers below -65536 are for private use (RFC
   * 9052 §11.1); this is the first of them.
   */
  counter: -65537,
} as const

/** RFC 9053 §6.3.1: on the recipient. */
export const EPHEMERAL_KEY = -1

/** RFC 8392 §3.1. */
export const Claim = { subject: 2, issuedAt: 6 } as const

/** CoAP content format of `application/cose; cose-type="cose-encrypt"` (RFC 9052 §11.3). */
export const CONTENT_IS_ENCRYPTED = 96

/** RFC 9054 §2.1. */
export const SHA_256 = -16

export const A256GCM = 3
/** RFC 9053 §6.3.1: direct key agreement with an ephemeral key, HKDF with SHA-256. */
export const ECDH_ES_HKDF_256 = -25

/** RFC 9053 §7: COSE_Key of an elliptic curve with both coordinates. */
export const Key = { type: 1, curve: -1, x: -2, y: -3 } as const
export const KEY_TYPE_EC2 = 2
export const CURVE_P256 = 1
