import {
  AnchorSet,
  certificateFinding,
  chainRemarks,
  parseCertificates,
  PathVerifier,
  VerifiedPath,
} from '@holdfast/pki'
import type { Certificate, Profile } from '@holdfast/pki'
import type { RefusalRule } from '../../model/refusal.ts'
import { instant, parseChain, pathFinding, sentence } from '../findings/certificate-judgement.ts'
import type { ParsedChain } from '../findings/certificate-judgement.ts'
import { judgeCommonName } from '../findings/common-name.ts'
import type { Finding } from '../findings/finding.ts'
import { isFinding } from '../findings/finding.ts'
import { adviceFor } from './refusal-guide.ts'

/** One step of a dry run, for a person. */
export interface Step {
  readonly area: 'chain' | 'hub' | 'provisioning'
  /** `noted`: no reason to refuse, and worth knowing. */
  readonly verdict: 'passed' | 'failed' | 'noted'
  readonly message: string
  readonly rule?: RefusalRule
  readonly remedy?: string
  readonly evidence?: Readonly<Record<string, string>>
}

export interface Diagnosis {
  /** Would the device get in? */
  readonly ok: boolean
  /** One sentence. */
  readonly summary: string
  readonly steps: readonly Step[]
}

const DAY_MS = 24 * 60 * 60 * 1000
const SOON_MS = 30 * DAY_MS

export function passed(area: Step['area'], message: string): Step {
  return { area, verdict: 'passed', message }
}

export function noted(area: Step['area'], message: string, remedy?: string): Step {
  return { area, verdict: 'noted', message, ...(remedy !== undefined && { remedy }) }
}

export function failed(area: Step['area'], found: Finding): Step {
  const { rule, message, remedy = adviceFor(rule).remedy, evidence } = found
  return { area, verdict: 'failed', rule, message, remedy, ...(evidence && { evidence }) }
}

/** Reads the chain as the doors do, and says what is untidy about it. The chain is null when it cannot be read. */
export function chainSteps(ders: readonly Uint8Array[]): {
  readonly chain: ParsedChain | null
  readonly steps: Step[]
} {
  const chain = parseChain(ders)
  if (isFinding(chain)) return { chain: null, steps: [failed('chain', chain)] }
  const certificates = [chain.leaf, ...chain.intermediates]
  const names = certificates.map(quoted).join(', then ')
  const number = certificates.length === 1 ? '1 certificate' : `${certificates.length} certificates`
  const remarks = chainRemarks(certificates).map(({ message, remedy }) => noted('chain', message, remedy))
  return { chain, steps: [passed('chain', `read ${number}: ${names}`), ...remarks] }
}

/**
 * What a search for a path came to, rule by rule. `registered` gives the name under which an anchor is trusted. Where
 * the search failed, whatever else is wrong with the certificates is told too, so that one visit mends it all.
 */
export function pathSteps(
  area: Step['area'],
  verdict: VerifiedPath | Finding,
  chain: ParsedChain,
  context: { readonly now: number; readonly profile: Profile; readonly registered: (anchor: Certificate) => string },
): Step[] {
  if (!isFinding(verdict)) return verifiedSteps(area, verdict, context)
  return [failed(area, verdict), ...otherFindings(area, verdict, chain, context)]
}

function verifiedSteps(
  area: Step['area'],
  { certificates, anchor, notAfter }: VerifiedPath,
  { now: at, registered }: { readonly now: number; readonly registered: (anchor: Certificate) => string },
): Step[] {
  const now = Math.floor(at / 1000) * 1000
  const first = certificates.find((certificate) => certificate.notAfter === notAfter)
  const end = `${first === undefined ? 'one' : quoted(first)} ends first, at ${instant(notAfter)}`
  const remedy = 'Renew it in time: `holdfast expiry` lists what ends when.'
  return [
    passed(area, `a path leads to ${registered(anchor)}: ${certificates.map(quoted).join(' ← ')}`),
    passed(area, 'each certificate of it was signed by the next one'),
    notAfter - now < SOON_MS
      ? noted(area, `all of them are valid at ${instant(now)}, but ${end}`, remedy)
      : passed(area, `all of them are valid at ${instant(now)}; ${end}`),
    passed(area, 'CA flags, path length, key usage, purpose, name constraints and policies hold'),
    area === 'chain'
      ? noted(area, 'whether anything on it is revoked only the server knows')
      : passed(area, 'nothing on it is revoked'),
  ]
}

function otherFindings(
  area: Step['area'],
  { rule: told }: Finding,
  { leaf, intermediates }: ParsedChain,
  { now, profile }: { readonly now: number; readonly profile: Profile },
): Step[] {
  const expectation = { now, profile, purpose: 'clientAuth' } as const
  return [leaf, ...intermediates].flatMap((certificate, position) => {
    const role = position === 0 ? 'leaf' : 'intermediate'
    const found = certificateFinding(certificate, { ...expectation, role })
    if (found === undefined || told === `chain:${found.rule}`) return []
    const { rule, problem, remedy, evidence } = found
    const message = `Also: ${quoted(certificate)} ${problem}.`
    return [
      {
        area,
        verdict: 'failed',
        rule: `chain:${rule}`,
        message,
        remedy: sentence(remedy),
        ...(evidence && { evidence }),
      } as const,
    ]
  })
}

/** A chain against CAs that are at hand as files: all that can be said of it without a server. */
export function diagnoseOffline(request: {
  readonly chain: readonly Uint8Array[]
  /** PEM or DER of each file. */
  readonly authorities: readonly Uint8Array[]
  readonly deviceId: string | null
  readonly now: number
  readonly profile: Profile
}): Diagnosis {
  const { now, profile, deviceId } = request
  const { chain, steps } = chainSteps(request.chain)
  if (chain === null) return concluded(steps)
  const anchors = new AnchorSet(request.authorities.flatMap((file) => parseCertificates(file)))
  const { leaf, intermediates } = chain
  const rules = { anchors, now, profile, purpose: 'clientAuth' } as const
  const verdict = new PathVerifier({ cacheSize: 16 }).verify({ leaf, intermediates, ...rules })
  const found = verdict instanceof VerifiedPath ? verdict : pathFinding(verdict)
  steps.push(...pathSteps('chain', found, chain, { now, profile, registered: given }))
  if (deviceId !== null) steps.push(nameStep('chain', leaf, deviceId))
  return concluded(steps)
}

export function nameStep(area: Step['area'], leaf: Certificate, deviceId: string): Step {
  const misnamed = judgeCommonName(leaf, deviceId)
  if (misnamed !== null) return failed(area, misnamed)
  return passed(area, `the common name of the certificate is the device id, '${deviceId}'`)
}

function concluded(steps: readonly Step[]): Diagnosis {
  const broken = steps.filter(({ verdict }) => verdict === 'failed').length
  const count = broken === 1 ? '1 rule is broken' : `${broken} rules are broken`
  return { ok: broken === 0, summary: broken === 0 ? 'The chain is good.' : `The chain is refused: ${count}.`, steps }
}

function given(anchor: Certificate): string {
  return `the given CA ${quoted(anchor)}`
}

function quoted(certificate: Certificate): string {
  return `"${certificate.subject.toString().slice(0, 200)}"`
}
