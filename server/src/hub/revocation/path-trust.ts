import { checkRevocation, VerifiedPath } from '@holdfast/pki'
import type { Certificate, PathRequest, PathVerifier, RevocationFacts, TrustError } from '@holdfast/pki'
import type { HubName } from '../../model/ids.ts'
import type { OcspClient } from './ocsp-client.ts'
import type { Revocations } from './revocations.ts'

type Request = Omit<PathRequest, 'checkRevocation'>
type PathListener = (hub: HubName, path: readonly Certificate[]) => void

/** Judges certificate paths, revocation included: what the hub's door and that of the provisioning service rely on. */
export class PathTrust {
  readonly revocations: Revocations
  readonly #verifier: PathVerifier
  readonly #ocsp: OcspClient
  readonly #listeners = new Set<PathListener>()
  readonly #leavesTraces: boolean

  constructor(parts: { verifier: PathVerifier; revocations: Revocations; ocsp: OcspClient }, leavesTraces = true) {
    this.#verifier = parts.verifier
    this.revocations = parts.revocations
    this.#ocsp = parts.ocsp
    this.#leavesTraces = leavesTraces
  }

  /** Judges the same by the same facts; no path is written down and no listener is told. */
  withoutTraces(): PathTrust {
    return new PathTrust({ verifier: this.#verifier, revocations: this.revocations, ocsp: this.#ocsp }, false)
  }

  /** By the hub's decisions, CRLs and, where it is switched on for the CA, its OCSP responder. */
  async verify(hub: HubName, request: Request): Promise<VerifiedPath | TrustError> {
    const verdict = await this.#verify(hub, request)
    if (!(verdict instanceof VerifiedPath) || !this.#leavesTraces) return verdict
    const written = this.#noted(hub, verdict)
    if (written !== null) await written
    return verdict
  }

  /** Calls back with each path that was verified, leaf first; returns the way to stop. */
  onVerified(listener: PathListener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Sessions and provenances name CAs by id: they are written down before anything can rest on them. */
  #noted(hub: HubName, { certificates }: VerifiedPath): Promise<unknown> | null {
    for (const listener of this.#listeners) listener(hub, certificates)
    return this.revocations.learn(hub, certificates.slice(1))
  }

  async #verify(hub: HubName, request: Request): Promise<VerifiedPath | TrustError> {
    const open: { leaf: Certificate; issuer: Certificate }[] = []
    const check = (path: readonly Certificate[]): TrustError | undefined => {
      const [leaf, issuer] = path
      if (leaf !== undefined && issuer !== undefined && this.#mustAsk(hub, leaf, issuer, request.now))
        open.push({ leaf, issuer })
      return this.judge(hub, path, request.now)
    }
    const verdict = this.#verifier.verify({ ...request, checkRevocation: check })
    if (open.length === 0) return verdict
    await Promise.all(
      open.map(({ leaf, issuer }) =>
        this.#ocsp.ask(leaf, issuer, this.revocations.facts(hub).ruleOf(issuer)?.ocsp?.url ?? null),
      ),
    )
    // Answers are at hand now, or it is known that there are none: the policy of the CA decides about that.
    return this.#verifier.verify({ ...request, checkRevocation: (path) => this.judge(hub, path, request.now) })
  }

  /**
   * The CAs of a path that was proven once and is known by the ids of its certificates, nearest first; undefined when one
   * of them is not known any more. `leaf` is the certificate they stand above.
   */
  authoritiesOf(leaf: Certificate, ids: readonly string[]): readonly Certificate[] | undefined {
    const path = [leaf]
    for (const id of ids) {
      const below = path.at(-1) ?? leaf
      // A CA can imitate issuer and serial of a certificate, also of one that is forgotten, and not the key that signed
      // what is below it.
      const authority = this.revocations.known.withId(id).find((one) => this.#isIssuer(below, one, below === leaf))
      if (authority === undefined) return undefined
      path.push(authority)
    }
    return path.slice(1)
  }

  /** Once for each pair, since every connect of a provisioned device asks. */
  #isIssuer(child: Certificate, issuer: Certificate, isLeaf: boolean): boolean {
    const { signatures } = this.#verifier
    if (isLeaf ? signatures.isKnownLeaf(child, issuer) : signatures.isKnown(child, issuer)) return true
    if (!signatures.verify(child, issuer)) return false
    if (isLeaf) signatures.rememberLeaf(child, issuer)
    else signatures.remember(child, issuer)
    return true
  }

  /** Is anything on this path, which is otherwise verified, revoked? Lookups alone. */
  judge(hub: HubName, path: readonly Certificate[], now: number): TrustError | undefined {
    const facts = this.#factsOf(hub, now)
    return checkRevocation({ path, facts, now, verifier: this.#verifier })
  }

  #mustAsk(hub: HubName, leaf: Certificate, issuer: Certificate, now: number): boolean {
    const rule = this.revocations.facts(hub).ruleOf(issuer)
    if (rule === undefined || rule.ocsp === null || rule.policy === 'off') return false
    return !this.#ocsp.isFresh(leaf, issuer, now)
  }

  #factsOf(hub: HubName, now: number): RevocationFacts {
    const facts = this.revocations.facts(hub)
    return {
      find: (certificate) => facts.find(certificate),
      hasCrls: facts.hasCrls,
      crlsBy: (issuer) => facts.crlsBy(issuer),
      policyOf: (issuer) => facts.policyOf(issuer),
      answerOf: (certificate, issuer) =>
        facts.ruleOf(issuer)?.ocsp ? this.#ocsp.answerOf(certificate, issuer, now) : undefined,
    }
  }
}
