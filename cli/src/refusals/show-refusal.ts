import type pc from 'picocolors'
import { timeText } from '../durations.ts'

/** A refusal as the management API gives it. */
export interface ShownRefusal {
  readonly trackingId: string
  readonly time: number
  readonly area: string
  readonly hub: string | null
  readonly protocol: string
  readonly peer: { readonly address: string; readonly port: number }
  readonly identity: string
  readonly rule: string
  readonly message: string
  readonly remedy: string
  readonly chain: readonly {
    readonly subject: string
    readonly issuer: string
    readonly notAfter: number
    readonly sha256: string
  }[]
  readonly evidence: Readonly<Record<string, string>>
}

type Colors = typeof pc

/** One line: when, who, why. */
export function showRefusalLine(refusal: ShownRefusal, colors: Colors): string {
  const time = timeText(refusal.time)
  const who = refusal.identity === '' ? 'somebody' : refusal.identity
  return `${colors.dim(time)} ${colors.red('✗')} ${who} ${colors.dim(`(${refusal.protocol} from ${refusal.peer.address})`)} ${colors.yellow(refusal.rule)}: ${refusal.message} ${colors.dim(refusal.trackingId)}`
}

/** The whole account: what was shown, which rule failed, what to do. */
export function showRefusal(refusal: ShownRefusal): string {
  const rows: [string, string][] = [
    ['tracking id', refusal.trackingId],
    ['when', new Date(refusal.time).toISOString()],
    ['from', `${refusal.peer.address} port ${refusal.peer.port}, ${refusal.protocol}`],
    ['claimed', refusal.identity || 'nothing'],
    ...(refusal.hub === null ? [] : [['hub', refusal.hub] as [string, string]]),
    ['rule', refusal.rule],
    ['reason', refusal.message],
    ['what to do', refusal.remedy],
    ...Object.entries(refusal.evidence),
  ]
  const chain = refusal.chain.map(
    ({ subject, issuer, notAfter, sha256 }, index) =>
      `  ${index === 0 ? 'leaf' : `sent ${index + 1}`}: ${subject}\n      issued by ${issuer}, until ${new Date(notAfter).toISOString().slice(0, 10)}, SHA-256 ${sha256.slice(0, 16)}…`,
  )
  const facts = rows.map(([label, value]) => `${label.padEnd(12)} ${value}`)
  return [...facts, ...(chain.length > 0 ? ['chain as sent', ...chain] : ['chain as sent: none'])].join('\n')
}
