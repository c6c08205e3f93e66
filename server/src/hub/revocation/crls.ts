import { createHash } from 'node:crypto'
import { parseCertificate, parseCrl, ParseError, publicationName } from '@holdfast/pki'
import type { Certificate, Crl, PathVerifier } from '@holdfast/pki'
import { HubError } from '../../errors.ts'
import type { HubName } from '../../model/ids.ts'
import type { StoredCrl } from '../../model/revocation.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Registry } from '../../ports/registry.ts'
import type { Hubs } from '../hubs.ts'
import { keyDigest } from '../authorities/known-authorities.ts'
import type { Revocations } from './revocations.ts'

/** About 300,000 entries. */
export const MAX_CRL_BYTES = 16 * 1024 * 1024
/** Lists of one hub: one or two for each CA that publishes any. */
const MAX_CRLS = 2_000

export interface CrlsParts {
  readonly revocations: Revocations
  readonly registry: Pick<Registry, 'authorities'>
  readonly verifier: PathVerifier
  readonly hubs: Hubs
  readonly clock: Clock
}

/** Certificate revocation lists, from operators and from distribution points. Of each list the newest is kept. */
export class Crls {
  readonly #parts: CrlsParts

  constructor(parts: CrlsParts) {
    this.#parts = parts
  }

  /**
   * Takes in a list (DER). Its number must be greater than that of the one before (RFC 5280 §5.2.3); the very same list
   * changes nothing. Rejects with `certificate-refused` and the reason.
   */
  async import(hub: HubName, der: Uint8Array, url: string | null = null): Promise<StoredCrl> {
    const crl = read(der)
    const { number } = crl
    if (number === undefined) throw refused('it has no CRL number, by which a newer one is told from an older one')
    if (crl.unknownCritical.length > 0)
      throw refused(`it has critical extensions that are not understood: ${crl.unknownCritical.join(' ')}`)
    const signer = await this.#signerOf(hub, crl)
    const now = this.#parts.clock.now()
    if (crl.thisUpdate > now + CLOCK_SKEW_MS) throw refused('it is dated in the future: check the clocks')
    const id = `${keyDigest(signer)}/${scopeOf(crl)}/${crl.isDelta ? 'delta' : 'complete'}`
    const facts = this.#parts.revocations.facts(hub)
    if (facts.crls().length >= MAX_CRLS && !facts.crls().some((one) => one.id === id))
      throw new HubError('certificate-limit-exceeded', `Hub '${hub}' holds its most of ${MAX_CRLS} CRLs.`)
    await this.#parts.revocations.choose(hub, signer)
    const { record } = await this.#parts.revocations.store(hub, 'crl', id, (current) => {
      if (current !== null && Buffer.compare(current.certificate, crl.der) === 0) return current
      if (current !== null && number <= BigInt(current.number))
        throw refused(`its number ${number} is not greater than ${current.number}, that of the list at hand`)
      return {
        kind: 'crl',
        hub,
        id,
        file: fileOf(crl, signer),
        issuer: crl.issuer.toString(),
        number: String(number),
        baseNumber: crl.baseNumber === undefined ? null : String(crl.baseNumber),
        thisUpdate: crl.thisUpdate,
        nextUpdate: crl.nextUpdate ?? null,
        entries: crl.size,
        url,
        receivedAt: now,
        certificate: new Uint8Array(crl.der),
      }
    })
    return record
  }

  list(hub: HubName): readonly StoredCrl[] {
    return this.#parts.revocations.facts(hub).crls()
  }

  /** The list to serve under this file name: the newest one, whichever hub holds it. Null when there is none. */
  published(file: string): StoredCrl | null {
    const { hubs, revocations } = this.#parts
    const found = hubs.all().flatMap(({ name }) => revocations.facts(name).crlOfFile(file) ?? [])
    return found.toSorted((a, b) => (BigInt(a.number) < BigInt(b.number) ? 1 : -1))[0] ?? null
  }

  /** A CA of this hub, registered or seen on a verified path, whose key made the signature. */
  async #signerOf(hub: HubName, crl: Crl): Promise<Certificate> {
    const { registry, revocations, verifier } = this.#parts
    const registered = (await registry.authorities.list(hub))
      .filter(({ state }) => state.kind === 'verified')
      .map(({ certificate }) => parseCertificate(certificate))
    const candidates = [...registered, ...revocations.known.bySubject(crl.issuer)]
    const namesakes = candidates.filter(({ subject }) => subject.key === crl.issuer.key)
    if (namesakes.length === 0)
      throw refused(
        `its issuer "${crl.issuer.toString()}" is no CA that hub '${hub}' knows: register it, or let a device of it connect first`,
      )
    const signers = namesakes.filter(
      (signer) => crl.signatureAlgorithmsAgree && verifier.signatures.verify(crl, signer),
    )
    const [signer] = signers.filter((one) => one.allowsKeyUsage('cRLSign') !== false)
    if (signer !== undefined) return signer
    throw refused(
      signers.length > 0
        ? `the CA "${crl.issuer.toString()}" may not sign CRLs: its key usage lacks cRLSign`
        : `it was not signed with the key of the CA "${crl.issuer.toString()}"`,
    )
  }
}

const CLOCK_SKEW_MS = 5 * 60 * 1000

function read(der: Uint8Array): Crl {
  if (der.length > MAX_CRL_BYTES) throw refused(`it has ${der.length} bytes, more than ${MAX_CRL_BYTES}`)
  try {
    return parseCrl(der)
  } catch (error) {
    if (!(error instanceof ParseError)) throw error
    throw refused(`it cannot be read: ${error.message}`)
  }
}

function scopeOf({ scope }: Crl): string {
  return scope === undefined ? 'all' : createHash('sha256').update(scope.der).digest('hex').slice(0, 16)
}

/** Stable while the CA keeps its key, so that it can stand in certificates. */
function fileOf(crl: Crl, signer: Certificate): string {
  const scope = scopeOf(crl)
  const parts = [publicationName(signer), ...(scope === 'all' ? [] : [scope]), ...(crl.isDelta ? ['delta'] : [])]
  return `${parts.join('-')}.crl`
}

function refused(why: string): HubError {
  return new HubError('certificate-refused', `The CRL is refused: ${why}.`)
}
