import { createHash } from 'node:crypto'
import type { AuthorityOptions, CertificateAuthorities } from '../../hub/authorities/certificate-authorities.ts'
import type { CertificateAuthority } from '../../model/certificate-authority.ts'
import { etagMatches } from '../../model/etag.ts'
import type { ExpectedEtag } from '../../model/etag.ts'
import type { HubName } from '../../model/ids.ts'
import type { Asker, SecondPerson } from '../second-person.ts'
import { cutOffBelow } from './cut-off.ts'
import type { CutOffParts } from './cut-off.ts'

/** An etag that no version has. */
const NO_VERSION: ExpectedEtag = { kind: 'exactly', etag: '' }

export interface AuthorityActParts extends CutOffParts {
  readonly authorities: CertificateAuthorities
  readonly secondPerson: SecondPerson
}

/** Changes of the register of CAs that take trust away, or give it without a proof. */
export class AuthorityActs {
  readonly #parts: AuthorityActParts

  constructor(parts: AuthorityActParts) {
    this.#parts = parts
  }

  /** As `CertificateAuthorities.put`; replacing and vouching ask first. */
  async put(
    asker: Asker,
    hub: HubName,
    name: string,
    der: Uint8Array,
    options: AuthorityOptions,
  ): Promise<CertificateAuthority> {
    const { authorities, secondPerson } = this.#parts
    const { expected, verifiedByOperator = false } = options
    const present = (await authorities.list(hub)).find((each) => each.name === name)
    const current = expected !== null && present && etagMatches(expected, present.etag) ? present : null
    // Nothing to ask about: it is refused in its own words.
    if (expected !== null && current === null)
      return authorities.put(hub, name, der, { ...options, expected: NO_VERSION })
    const replaced = current !== null && !Buffer.from(current.certificate).equals(der) ? current : null
    if (verifiedByOperator)
      await secondPerson.demand(asker, 'authority.vouch', async () => ({
        state: current?.etag ?? '',
        cutsOff:
          `Hub '${hub}' trusts every certificate below the CA of SHA-256 ${sha256Of(der)} without a proof of its key.` +
          (replaced === null ? '' : ` The one that is '${name}' now goes: ${(await this.#facts(replaced)).cutsOff}`),
      }))
    else if (replaced !== null) await secondPerson.demand(asker, 'authority.replace', () => this.#facts(replaced))
    return authorities.put(hub, name, der, { ...options, expected: current === null ? null : exactly(current) })
  }

  /** As `CertificateAuthorities.delete`. */
  async delete(asker: Asker, hub: HubName, name: string, expected: ExpectedEtag): Promise<void> {
    const { authorities, secondPerson } = this.#parts
    const current = await authorities.get(hub, name)
    if (!etagMatches(expected, current.etag)) return authorities.delete(hub, name, NO_VERSION)
    await secondPerson.demand(asker, 'authority.delete', () => this.#facts(current))
    await authorities.delete(hub, name, exactly(current))
  }

  async #facts({ hub, name, etag }: CertificateAuthority): Promise<{ state: string; cutsOff: string }> {
    return { state: etag, cutsOff: await cutOffBelow(this.#parts, hub, (use) => use.name === name) }
  }
}

/** What was approved is done to that version alone. */
function exactly({ etag }: CertificateAuthority): ExpectedEtag {
  return { kind: 'exactly', etag }
}

function sha256Of(der: Uint8Array): string {
  return createHash('sha256').update(der).digest('hex')
}
