import type { AnchorSet, Certificate } from '@holdfast/pki'
import { PathVerifier } from '@holdfast/pki'
import { isSealError, readSealed, ReplayWindow, sealDigest } from '@holdfast/seal'
import type { SealedMessage, SealError, SealRule } from '@holdfast/seal'
import type { Device } from '../../model/device.ts'
import type { Position } from '../../model/message.ts'
import type { RefusalRule } from '../../model/refusal.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Registry } from '../../ports/registry.ts'
import type { AuthenticatedDevice } from '../door/authenticate.ts'
import { judgeThumbprint, parseChain, pathFinding } from '../findings/certificate-judgement.ts'
import { judgeCommonName } from '../findings/common-name.ts'
import type { Finding } from '../findings/finding.ts'
import { finding, isFinding } from '../findings/finding.ts'
import type { Hubs } from '../hubs.ts'
import { findPath } from '../door/path-finding.ts'
import type { PathTrust } from '../revocation/path-trust.ts'
import type { Refusals } from '../refusals/refusals.ts'
import { ofPeer } from '../refusals/refusals.ts'
import type { TrustAnchors } from '../authorities/trust-anchors.ts'

/** Devices that are remembered at once, at about 25 kB each; one more pushes out the one that was silent longest. */
const MAX_DEVICES = 5_000
/** Decoded keys of signers. */
const MAX_KEYS = 4_096

export interface SealedParts {
  readonly hubs: Hubs
  readonly registry: Pick<Registry, 'messageCounters'>
  readonly anchors: TrustAnchors
  readonly trust: PathTrust
  readonly refusals: Refusals
  readonly clock: Clock
}

/** What became of a message; the position once the event is durable. */
interface Admitted {
  readonly stored: Promise<Position>
  readonly position: Position | null
}

/** A signer that was judged: good until then, as long as the CAs are the same and nothing of its path is revoked. */
interface TrustedSigner {
  readonly sha256: string
  readonly path: readonly Certificate[]
  /** Null for a certificate that is known by its thumbprint. */
  readonly anchors: AnchorSet | null
  /** ms. */
  readonly expiresAt: number
}

/** What is remembered of one device. */
interface Sender {
  /** Messages are judged one after the other, in the order in which they came; storing them goes on meanwhile. */
  turn: Promise<unknown>
  window: ReplayWindow<Admitted> | null
  signer: TrustedSigner | null
  lastStored: number
}

/**
 * The second door, for devices whose every message must be sealed: it is stored only if the device signed it, with a
 * certificate that the first door would let in, and only once. What is stored is what came; nothing is opened.
 */
export class SealedMessages {
  readonly #parts: SealedParts
  readonly #verifier = new PathVerifier({ cacheSize: MAX_KEYS })
  readonly #senders = new Map<string, Sender>()

  constructor(parts: SealedParts) {
    this.#parts = parts
  }

  /** Stores the message if it is good and new; one that was stored already is not stored again. Rejects with RefusedError. */
  async admit(from: AuthenticatedDevice, body: Uint8Array, store: () => Promise<Position>): Promise<Position> {
    const sender = this.#senderOf(from)
    const turn = sender.turn.then(() => this.#judge(sender, from, body, store))
    sender.turn = turn.catch(() => {})
    const { stored } = await turn
    return stored
  }

  async #judge(
    sender: Sender,
    from: AuthenticatedDevice,
    body: Uint8Array,
    store: () => Promise<Position>,
  ): Promise<Admitted> {
    const { deviceId } = from.device
    const message = readSealed(body)
    if (isSealError(message)) throw this.#refused(from, ofSeal(message))
    const { device, counter } = message.claims
    if (device !== deviceId)
      throw this.#refused(
        from,
        finding('message-of-another-device', `Device '${deviceId}' sent a message of '${device}'.`),
      )
    const window = await this.#windowOf(sender, from)
    const digest = sealDigest(body)
    const verdict = window.judge(counter, digest)
    if (verdict.kind === 'repeated') return verdict.outcome
    if (verdict.kind === 'replayed')
      throw this.#refused(
        from,
        finding('message-replayed', `The counter is ${counter}; ${verdict.last} was accepted before.`),
      )
    const wrong = await this.#judgeSignature(sender, from, message)
    if (wrong !== null) throw this.#refused(from, wrong)
    return this.#keep({ sender, from, window }, { counter, digest }, store())
  }

  #keep(
    { sender, from, window }: { sender: Sender; from: AuthenticatedDevice; window: ReplayWindow<Admitted> },
    { counter, digest }: { counter: number; digest: string },
    stored: Promise<Position>,
  ): Admitted {
    const admitted = { stored, position: null as Position | null }
    window.accept(counter, digest, admitted)
    const settle = async (): Promise<void> => {
      try {
        admitted.position = await stored
      } catch {
        // The device is told by `stored` itself, and sends the message again.
        return window.giveBack(counter)
      }
      sender.lastStored = Math.max(sender.lastStored, counter)
      this.#note(sender, from, window)
    }
    void settle()
    return admitted
  }

  #note({ lastStored }: Sender, { device }: AuthenticatedDevice, window: ReplayWindow<Admitted>): void {
    const { hub, deviceId, generationId } = device
    const recent = window.recent.flatMap(({ counter, digest, outcome: { position } }) =>
      position === null ? [] : [{ counter, digest, position }],
    )
    this.#parts.registry.messageCounters.note({ hub, deviceId, generationId, last: lastStored, recent })
  }

  async #windowOf(sender: Sender, { device }: AuthenticatedDevice): Promise<ReplayWindow<Admitted>> {
    if (sender.window !== null) return sender.window
    const { hub, deviceId, generationId } = device
    const saved = await this.#parts.registry.messageCounters.get(hub, deviceId, generationId)
    const recent = (saved?.recent ?? []).map(({ counter, digest, position }) => {
      return { counter, digest, outcome: { stored: Promise.resolve(position), position } }
    })
    sender.window = new ReplayWindow({ last: saved?.last ?? -1, recent })
    sender.lastStored = saved?.last ?? -1
    return sender.window
  }

  async #judgeSignature(sender: Sender, from: AuthenticatedDevice, message: SealedMessage): Promise<Finding | null> {
    const shown = shownBy(from)
    const signer = message.signerAmong(shown)
    if (isSealError(signer)) return ofSeal(signer)
    const intermediates = message.chain.length > 0 ? message.chain.slice(1) : shown.slice(1)
    const untrusted = await this.#judgeSigner(sender, from, { leaf: signer, intermediates })
    if (untrusted !== null) return untrusted
    if (message.isSignedBy(signer, this.#verifier)) return null
    return finding(
      'message-signature-wrong',
      `The signature is not that of the certificate "${signer.subject.toString()}".`,
    )
  }

  /** By the rules by which the device connects: its registered thumbprint, or a CA of the hub and its name. */
  async #judgeSigner(
    sender: Sender,
    { hub: name, device }: AuthenticatedDevice,
    chain: { leaf: Certificate; intermediates: readonly Certificate[] },
  ): Promise<Finding | null> {
    const now = this.#parts.clock.now()
    if (await this.#isStillTrusted(sender.signer, chain.leaf, device, now)) return null
    const judged = await this.#trustedSigner(device, chain, now)
    if (isFinding(judged)) return judged
    const revoked = this.#parts.trust.judge(name, judged.path, now)
    if (revoked !== undefined) return pathFinding(revoked)
    sender.signer = judged
    return null
  }

  async #isStillTrusted(known: TrustedSigner | null, leaf: Certificate, device: Device, now: number): Promise<boolean> {
    if (known === null || known.sha256 !== leaf.sha256 || now > known.expiresAt) return false
    const isPinned = device.authentication.type === 'selfSigned'
    if ((known.anchors === null) !== isPinned) return false
    if (known.anchors !== null && known.anchors !== (await this.#parts.anchors.forHub(device.hub))) return false
    return this.#parts.trust.judge(device.hub, known.path, now) === undefined
  }

  async #trustedSigner(
    { hub: name, deviceId, authentication }: Device,
    chain: { leaf: Certificate; intermediates: readonly Certificate[] },
    now: number,
  ): Promise<TrustedSigner | Finding> {
    const { leaf } = chain
    if (authentication.type === 'selfSigned') {
      const proof = judgeThumbprint(authentication, leaf, now)
      if (isFinding(proof)) return proof
      return { sha256: leaf.sha256, path: [leaf], anchors: null, expiresAt: proof.expiresAt }
    }
    const hub = this.#parts.hubs.get(name)
    if (hub === null) return finding('hub-name-unknown', `This server holds no hub '${name}'.`)
    // Before the path is judged: should the CAs change meanwhile, the next message asks again.
    const anchors = await this.#parts.anchors.forHub(name)
    const path = await findPath({ kind: 'chain', ...chain }, hub, this.#parts)
    if (isFinding(path)) return path
    const misnamed = judgeCommonName(leaf, deviceId)
    if (misnamed !== null) return misnamed
    return { sha256: leaf.sha256, path: path.certificates, anchors, expiresAt: path.notAfter }
  }

  #senderOf({ device: { hub, deviceId, generationId } }: AuthenticatedDevice): Sender {
    const key = `${hub}/${deviceId}/${generationId}`
    const sender = this.#senders.get(key) ?? { turn: Promise.resolve(), window: null, signer: null, lastStored: -1 }
    this.#senders.delete(key)
    this.#senders.set(key, sender)
    if (this.#senders.size > MAX_DEVICES) this.#forgetSilent()
    return sender
  }

  /** What was noted of it stays in the registry. */
  #forgetSilent(): void {
    for (const key of this.#senders.keys()) {
      this.#senders.delete(key)
      return
    }
  }

  #refused({ hub, device, witness }: AuthenticatedDevice, found: Finding): Error {
    const { rule, message, remedy, evidence } = found
    const peer = witness === null ? { protocol: 'unknown', peer: { address: '', port: 0 } } : ofPeer(witness)
    const details = { ...(remedy !== undefined && { remedy }), ...(evidence !== undefined && { evidence }) }
    const identity = device.deviceId
    return this.#parts.refusals.refuse(
      { ...peer, area: 'telemetry', hub, identity, rule, message, ...details },
      'unauthorized',
    )
  }
}

/** The certificates that the device connected with. */
function shownBy({ witness }: AuthenticatedDevice): readonly Certificate[] {
  if (witness === null || witness.chain.length === 0) return []
  const chain = parseChain(witness.chain)
  return isFinding(chain) ? [] : [chain.leaf, ...chain.intermediates]
}

/** Rules that reading a message and finding its signer can break; the others are judged by the hub's own rules. */
const RULES: Partial<Record<SealRule, RefusalRule>> = {
  'not-sealed': 'message-not-sealed',
  'certificate-missing': 'message-signer-unknown',
  'certificate-mismatch': 'message-signer-unknown',
}

function ofSeal({ rule, message, remedy }: SealError): Finding {
  return finding(RULES[rule] ?? 'message-seal-malformed', message, { remedy })
}
