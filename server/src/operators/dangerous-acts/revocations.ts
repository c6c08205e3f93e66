import { certificateId } from '@holdfast/pki'
import type { Certificate } from '@holdfast/pki'
import { DEFAULT_RULE } from '../../hub/revocation/revocation-facts.ts'
import type { RevocationOrder } from '../../hub/revocation/revocations.ts'
import { alone, authoritiesOf, isMeant, revokeDevice } from '../../hub/revoke.ts'
import type { Revoked, RevokeParts } from '../../hub/revoke.ts'
import type { Device } from '../../model/device.ts'
import type { HubName } from '../../model/ids.ts'
import { describeTarget } from '../../model/revocation.ts'
import type { Revocation, RevocationRule, RevocationTarget } from '../../model/revocation.ts'
import type { Asker, SecondPerson } from '../second-person.ts'
import { cutOffBelow } from './cut-off.ts'
import type { CutOffParts } from './cut-off.ts'

export interface RevocationActParts extends CutOffParts {
  readonly revoking: RevokeParts
  readonly secondPerson: SecondPerson
}

type RuleChanges = Partial<Pick<RevocationRule, 'policy' | 'crlUrls' | 'fetch' | 'ocsp'>>

/** Decisions about revocation. One device or certificate goes at once; what takes a CA, or weakens a check, asks first. */
export class RevocationActs {
  readonly #parts: RevocationActParts

  constructor(parts: RevocationActParts) {
    this.#parts = parts
  }

  revokeDevice(hub: HubName, device: Device, order: RevocationOrder): Promise<Revoked> {
    return revokeDevice(hub, device, order, this.#parts.revoking)
  }

  /** As `Revocations.revoke`. `certificate`: what the target was made from, when it is at hand. */
  async revoke(
    asker: Asker,
    hub: HubName,
    named: RevocationTarget,
    order: RevocationOrder,
    certificate: Certificate | null,
  ): Promise<Revoked> {
    const { revoking, secondPerson } = this.#parts
    const target = certificate === null ? named : alone(certificate, await authoritiesOf(hub, revoking))
    const taken = await this.#authoritiesMeant(hub, target)
    if (target.kind === 'authority' || certificate?.isCa === true || taken.length > 0)
      await secondPerson.demand(asker, 'authority.revoke', async () => ({
        state: '',
        cutsOff: `The ${describeTarget(target)}: ${await this.#below(hub, taken)}`,
      }))
    const { revocation, closed } = await revoking.revocations.revoke(hub, target, order)
    return { revocations: [revocation], closed }
  }

  /** As `Revocations.lift`. */
  async lift(asker: Asker, hub: HubName, id: string): Promise<Revocation> {
    const { revoking, secondPerson } = this.#parts
    const held = revoking.revocations
      .facts(hub)
      .rows()
      .find((row) => row.id === id)
    const taken = held === undefined ? [] : await this.#authoritiesMeant(hub, held.target)
    if (held !== undefined && (held.target.kind === 'authority' || taken.length > 0))
      await secondPerson.demand(asker, 'authority.lift', async () => ({
        state: held.etag,
        cutsOff: `The ${describeTarget(held.target)} is trusted again: ${await this.#below(hub, taken)}`,
      }))
    return revoking.revocations.lift(hub, id)
  }

  /** As `Revocations.setRule`. */
  async setRule(asker: Asker, hub: HubName, authority: Certificate, changes: RuleChanges): Promise<RevocationRule> {
    const { revoking, secondPerson } = this.#parts
    const present = revoking.revocations.facts(hub).ruleOf(authority)
    if (weakens(present ?? DEFAULT_RULE, changes))
      await secondPerson.demand(asker, 'revocation-rule.weaken', async () => ({
        state: present?.etag ?? '',
        cutsOff: `Certificates that "${authority.subject.toString()}" issued are looked up less: ${await this.#below(hub, [authority])}`,
      }))
    return revoking.revocations.setRule(hub, authority, changes)
  }

  /** A CA takes everything below it along, also when it is named by a digest or number of its certificate. */
  async #authoritiesMeant(hub: HubName, target: RevocationTarget): Promise<readonly Certificate[]> {
    if (target.kind === 'device') return []
    return (await authoritiesOf(hub, this.#parts.revoking)).filter((each) => isMeant(target, each))
  }

  #below(hub: HubName, authorities: readonly Certificate[]): Promise<string> {
    const ids = new Set(authorities.map(certificateId))
    return cutOffBelow(this.#parts, hub, (use) => use.ids.some((id) => ids.has(id)))
  }
}

const STRICTNESS = { off: 0, prefer: 1, require: 2 } as const satisfies Record<RevocationRule['policy'], number>

/** Whether less is looked up than before, or less is made of what is not found. */
function weakens(present: Required<RuleChanges>, changes: RuleChanges): boolean {
  const { policy = present.policy, fetch = present.fetch, crlUrls = present.crlUrls, ocsp = present.ocsp } = changes
  return (
    STRICTNESS[policy] < STRICTNESS[present.policy] ||
    (present.fetch && !fetch) ||
    present.crlUrls.some((url) => !crlUrls.includes(url)) ||
    (present.ocsp !== null && ocsp?.url !== present.ocsp.url)
  )
}
