import type { TrustRule } from '@holdfast/pki'

/**
 * What each rule of path validation means, in general. A refusal itself names the certificate and carries the remedy that
 * fits it; docs/errors.md shows these words.
 */
export const CHAIN_RULE_GUIDE = {
  'issuer-not-found': {
    meaning: 'A certificate of the chain was issued by a CA that the device did not send and that is not registered.',
    remedy:
      "Append the missing intermediate to the device's chain file; when the missing one is the CA to trust, register it and prove possession.",
  },
  'budget-exceeded': {
    meaning: 'The certificates sent lead into more possible paths than the server is willing to try.',
    remedy: 'Send the leaf and the intermediates up to the registered CA, each once, and nothing else.',
  },
  'anchor-as-leaf': {
    meaning: 'The device presented the certificate of a registered CA as its own.',
    remedy: 'Issue a device certificate from this CA and let the device present that one.',
  },
  'untrusted-root': {
    meaning: 'The chain ends in a self-signed certificate that is not a registered and verified CA.',
    remedy: 'Register that CA and prove possession; a self-signed device is enrolled by its certificate instead.',
  },
  'algorithm-mismatch': {
    meaning:
      'A certificate names one signature algorithm in its signed part and another one outside (RFC 5280 §4.1.1.2).',
    remedy: 'Issue it again; the file may have been tampered with.',
  },
  'signature-invalid': {
    meaning: 'A certificate carries a signature that was not made with the key of the issuer it names.',
    remedy:
      'Issue it again from the true CA. When that CA was made anew under the same name, replace its certificate in the chain.',
  },
  'anchor-key-mismatch': {
    meaning: 'The chain leads to a CA with the name of a registered one and another key.',
    remedy: 'Issue the device from the registered CA, or register the other CA too and prove possession.',
  },
  'malformed-certificate': {
    meaning: 'A certificate cannot be read as DER and RFC 5280 demand, or lacks a name it needs.',
    remedy: 'Issue it again; `holdfast pki inspect` shows what it holds.',
  },
  'weak-signature': {
    meaning: 'A certificate is signed with a broken digest such as MD5 or SHA-1.',
    remedy: 'Have it issued with SHA-256 or better.',
  },
  'weak-key': {
    meaning: 'A certificate holds a key that is too weak or malformed.',
    remedy: 'Use RSA with 2048 to 8192 bits, ECDSA on P-256, P-384 or P-521, Ed25519, Ed448 or ML-DSA.',
  },
  'unsupported-algorithm': {
    meaning: 'A certificate is signed with an algorithm that the server does not check.',
    remedy: 'Have it issued with SHA-256 or better by an RSA, ECDSA, Ed25519 or ML-DSA key.',
  },
  'duplicate-extension': {
    meaning: 'A certificate holds one extension twice (RFC 5280 §4.2).',
    remedy: 'Issue it again with each extension once.',
  },
  'unknown-critical-extension': {
    meaning: 'A certificate has a critical extension whose rules the server does not enforce (RFC 5280 §4.2).',
    remedy: 'Issue it again without the extension, or with the extension not marked critical.',
  },
  'profile-violation': {
    meaning: "A certificate breaks the profile of RFC 5280, and the hub's profile is `strict`.",
    remedy: 'Issue it again as RFC 5280 says, or set the hub to the `compatible` profile.',
  },
  'not-a-ca': {
    meaning: 'A certificate that is not a CA was used to issue another one (RFC 5280 §4.2.1.9).',
    remedy: 'Issue the device certificate from a CA, not from another device certificate.',
  },
  'path-length-exceeded': {
    meaning: 'More CAs follow below a CA than its path length allows (RFC 5280 §4.2.1.9).',
    remedy: 'Issue the device from a CA nearer to that one, or issue that CA with a larger path length.',
  },
  'key-usage': {
    meaning: 'The keyUsage of a certificate does not allow what its key was used for (RFC 5280 §4.2.1.3).',
    remedy: 'Issue a device certificate with digitalSignature, a CA certificate with keyCertSign.',
  },
  'extended-key-usage': {
    meaning: 'The extendedKeyUsage of a certificate does not allow TLS clients (RFC 5280 §4.2.1.12).',
    remedy: 'Issue it again with clientAuth.',
  },
  'name-constraints': {
    meaning: 'A certificate has a name that a CA above it may not issue for (RFC 5280 §4.2.1.10).',
    remedy: 'Issue the certificate with a name within the constraints.',
  },
  'certificate-policy': {
    meaning: 'A CA of the path demands a certificate policy that the path does not have (RFC 5280 §6.1).',
    remedy: 'Issue the chain under a certificate policy that its CAs accept.',
  },
  'not-yet-valid': {
    meaning: 'A certificate of the chain is not valid yet.',
    remedy: 'Compare the clock of the machine that issued it with the clock of the server, or wait.',
  },
  expired: {
    meaning: 'A certificate of the chain has expired.',
    remedy: 'Issue a new one; for a CA see the guide on rolling over.',
  },
  'revocation-unknown': {
    meaning: 'The revocation policy demands to know whether a certificate was revoked, and nothing current says so.',
    remedy: 'Import a current CRL of its issuer, or relax the revocation policy of that CA.',
  },
  revoked: {
    meaning: 'A certificate of the chain was revoked.',
    remedy: 'Give the device a new certificate with a new key, unless it was revoked for good cause.',
  },
} as const satisfies Record<TrustRule, { meaning: string; remedy: string }>
