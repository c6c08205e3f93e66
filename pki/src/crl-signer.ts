import type { AnchorSet } from './anchor-set.ts'
import type { Certificate } from './certificate.ts'
import type { Crl } from './crl.ts'
import { VerifiedPath } from './path.ts'
import type { PathVerifier } from './path.ts'
import { keyIdentifierMatch } from './path-candidates.ts'
import type { TrustError } from './trust-error.ts'

/** Who may sign a CRL (RFC 5280 §6.3.3 (f) and (g)): an entity of the CRL issuer's name, below the same anchor. */
export class CrlSigners {
  readonly #options: CrlSignerOptions

  constructor(options: CrlSignerOptions) {
    this.#options = options
  }

  /**
   * The certificate whose key signed the CRL, when it may. `path`: the certificate in question and the CAs above it, which
   * are verified already.
   */
  of(crl: Crl, path: readonly Certificate[]): Certificate | undefined {
    const authorities = path.slice(1)
    const named = this.#options.candidates
      .filter((c) => c.subject.key === crl.issuer.key)
      .toSorted((a, b) => rank(crl, b) - rank(crl, a))
    return named.find((signer) => {
      if (signer.allowsKeyUsage('cRLSign') === false || !this.isSignedBy(crl, signer)) return false
      return authorities.includes(signer) || this.#isVerified(signer)
    })
  }

  isSignedBy(crl: Crl, signer: Certificate): boolean {
    if (!crl.signatureAlgorithmsAgree) return false
    const { signatures } = this.#options.verifier
    if (signatures.isKnown(crl, signer)) return true
    const good = signatures.verify(crl, signer)
    if (good) signatures.remember(crl, signer)
    return good
  }

  #isVerified(signer: Certificate): boolean {
    const { verifier, now, anchors, candidates, checkSigner } = this.#options
    const verdict = verifier.verify({
      leaf: signer,
      intermediates: candidates,
      anchors,
      now,
      profile: 'compatible',
      purpose: 'crlSign',
      checkRevocation: checkSigner,
      budget: { certificates: candidates.length + 1 },
    })
    return verdict instanceof VerifiedPath
  }
}

interface CrlSignerOptions {
  readonly verifier: PathVerifier
  readonly now: number
  readonly anchors: AnchorSet
  readonly candidates: readonly Certificate[]
  readonly checkSigner: (path: readonly Certificate[]) => TrustError | undefined
}

/** The likeliest key first: a name may have had several. */
function rank({ authorityKeyIdentifier }: Crl, signer: Certificate): number {
  return keyIdentifierMatch(authorityKeyIdentifier, signer)
}
