import { AnchorSet, parseCertificate, PathVerifier, VerifiedPath } from '@holdfast/pki'
import type { Certificate } from '@holdfast/pki'
import { printable } from '../../model/ids.ts'
import type { HubName } from '../../model/ids.ts'
import type { Bus } from '../../ports/bus.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Registry } from '../../ports/registry.ts'
import type { Finding } from '../findings/finding.ts'
import { finding } from '../findings/finding.ts'
import type { Hubs } from '../hubs.ts'
import type { KnownAuthorities } from './known-authorities.ts'

/** A lost hint is made up for after this time. */
const REVISION_CHECK_MS = 5_000
/** Explaining a refusal must not cost a flooded server more than judging the chain did. */
const EXPLAIN_BUDGET = { signatures: 4, steps: 200 }
const MAX_CONTINUATIONS = 6

interface Register {
  readonly revision: number
  readonly verified: AnchorSet
  /** SHA-256 of each verified CA: another CA can give a certificate the issuer and serial of one of them. */
  readonly digests: ReadonlySet<string>
  /** Registered and never proven: trusted for nothing, known for explanations. */
  readonly unproven: AnchorSet
  /** Name of each registered CA by the SHA-256 of its certificate. */
  readonly names: ReadonlyMap<string, string>
  checkedAt: number
}

type Chain = { readonly leaf: Certificate; readonly intermediates: readonly Certificate[] }

/**
 * The CAs that a hub trusts: registered there and proven. Held in memory by the registry's revision, one entry for
 * each hub of the server.
 */
export class TrustAnchors {
  readonly #registry: Pick<Registry, 'authorities'>
  readonly #hubs: Hubs
  readonly #clock: Clock
  readonly #registers = new Map<HubName, Promise<Register>>()
  /** For explaining alone: what it caches must not push out what the door needs. */
  readonly #verifier = new PathVerifier({ cacheSize: 64 })
  readonly #unsubscribe: () => void

  constructor(parts: { registry: Pick<Registry, 'authorities'>; hubs: Hubs; bus: Bus; clock: Clock }) {
    this.#registry = parts.registry
    this.#hubs = parts.hubs
    this.#clock = parts.clock
    this.#unsubscribe = parts.bus.subscribe((hint) => {
      if (hint.kind === 'authorities-changed') this.#registers.delete(hint.hub)
    })
  }

  /** The verified CAs of the hub. */
  async forHub(hub: HubName): Promise<AnchorSet> {
    return (await this.#register(hub)).verified
  }

  /** SHA-256 of each of them. */
  async digestsOf(hub: HubName): Promise<ReadonlySet<string>> {
    return (await this.#register(hub)).digests
  }

  /**
   * Why the path found no anchor, when the registers know more than the chain says: its CA is registered here and
   * unproven, or proven at another hub only, or an intermediate is missing that other devices have sent. Null when they
   * know nothing of it.
   */
  async explain(hub: HubName, chain: Chain, known: Pick<KnownAuthorities, 'bySubject'>): Promise<Finding | null> {
    const here = await this.#register(hub)
    const unproven = this.#anchorOf(chain, here.unproven)
    if (unproven !== null) return unverified(here.names.get(unproven.sha256) ?? unproven.sha256, unproven)
    for (const { name } of this.#hubs.all()) {
      if (name === hub) continue
      const anchor = this.#anchorOf(chain, await this.forHub(name))
      if (anchor !== null) return ofAnotherHub(hub, name, anchor)
    }
    return this.#missing(chain, here, known)
  }

  close(): void {
    this.#unsubscribe()
    this.#registers.clear()
  }

  #missing(chain: Chain, { verified, names }: Register, known: Pick<KnownAuthorities, 'bySubject'>): Finding | null {
    const added = continuations(chain, known)
    if (added.length === 0) return null
    const path = this.#pathOf({ ...chain, intermediates: [...chain.intermediates, ...added] }, verified)
    const missing = path?.certificates.slice(1, -1).filter((certificate) => added.includes(certificate)) ?? []
    return path === null || missing.length === 0 ? null : notSent(path, missing, names)
  }

  #anchorOf(chain: Chain, anchors: AnchorSet): Certificate | null {
    return this.#pathOf(chain, anchors)?.anchor ?? null
  }

  #pathOf({ leaf, intermediates }: Chain, anchors: AnchorSet): VerifiedPath | null {
    if (anchors.size === 0) return null
    const now = this.#clock.now()
    const rules = { now, profile: 'compatible', purpose: 'any', budget: EXPLAIN_BUDGET } as const
    const path = this.#verifier.verify({ leaf, intermediates, anchors, ...rules })
    return path instanceof VerifiedPath ? path : null
  }

  async #register(hub: HubName): Promise<Register> {
    const known = await this.#registers.get(hub)
    return known !== undefined && (await this.#isFresh(known)) ? known : this.#load(hub)
  }

  async #isFresh(register: Register): Promise<boolean> {
    const now = this.#clock.now()
    if (now - register.checkedAt < REVISION_CHECK_MS) return true
    register.checkedAt = now
    return (await this.#registry.authorities.revision()) === register.revision
  }

  /** Callers that come together share one read; a hint in the meantime takes the entry away, so that it is not kept. */
  #load(hub: HubName): Promise<Register> {
    const loading = this.#read(hub)
    this.#registers.set(hub, loading)
    loading.catch(() => {
      if (this.#registers.get(hub) === loading) this.#registers.delete(hub)
    })
    return loading
  }

  async #read(hub: HubName): Promise<Register> {
    const checkedAt = this.#clock.now()
    // Before the rows: a write in between makes the register look older than it is, never newer.
    const revision = await this.#registry.authorities.revision()
    const verified = new AnchorSet()
    const digests = new Set<string>()
    const unproven = new AnchorSet()
    const names = new Map<string, string>()
    for (const authority of await this.#registry.authorities.list(hub)) {
      const certificate = parseCertificate(authority.certificate)
      const isVerified = authority.state.kind === 'verified'
      const target = isVerified ? verified : unproven
      target.add(certificate)
      if (isVerified) digests.add(certificate.sha256)
      names.set(authority.sha256, authority.name)
    }
    return { revision, verified, digests, unproven, names, checkedAt }
  }
}

/** Intermediates that other devices have sent and that would go on where this chain ends; at most MAX_CONTINUATIONS. */
function continuations({ leaf, intermediates }: Chain, known: Pick<KnownAuthorities, 'bySubject'>): Certificate[] {
  const sent = new Set([leaf, ...intermediates].map(({ sha256 }) => sha256))
  const found: Certificate[] = []
  const open = [leaf, ...intermediates]
  for (let last = open.pop(); last !== undefined; last = open.pop()) {
    for (const issuer of known.bySubject(last.issuer)) {
      if (found.length === MAX_CONTINUATIONS) return found
      if (sent.has(issuer.sha256) || issuer.selfIssued || found.includes(issuer)) continue
      found.push(issuer)
      open.push(issuer)
    }
  }
  return found
}

function notSent(path: VerifiedPath, missing: readonly Certificate[], names: ReadonlyMap<string, string>): Finding {
  const list = missing.map(({ subject }) => `"${clipped(subject.toString())}"`).join(' and ')
  const noun = missing.length === 1 ? 'intermediate' : 'intermediates'
  const anchor = names.get(path.anchor.sha256) ?? clipped(path.anchor.subject.toString())
  return finding(
    'chain:issuer-not-found',
    `The ${noun} ${list} between "${clipped(path.leaf.subject.toString())}" and the registered CA '${anchor}' ${missing.length === 1 ? 'was' : 'were'} not sent.`,
    {
      remedy: `Append ${list} to the device's chain file, after the certificates that are in it.`,
      evidence: { missing: missing.map(({ sha256 }) => sha256).join(' '), registered: anchor },
    },
  )
}

function clipped(text: string): string {
  return printable(text, 128)
}

function unverified(name: string, anchor: Certificate): Finding {
  return finding(
    'authority-unverified',
    `The chain leads to the CA '${name}' ("${anchor.subject.toString()}"), whose possession was never proven.`,
    { evidence: { authority: name, sha256: anchor.sha256 } },
  )
}

function ofAnotherHub(hub: HubName, other: HubName, anchor: Certificate): Finding {
  return finding(
    'authority-of-another-hub',
    `The chain leads to the CA "${anchor.subject.toString()}", which is verified at hub '${other}' and not at '${hub}'.`,
    { evidence: { verifiedAt: other, sha256: anchor.sha256 } },
  )
}
