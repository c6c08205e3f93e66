import type pc from 'picocolors'
import { timeText } from '../durations.ts'

/** An alarm as the management API gives it. */
export interface ShownAlarm {
  readonly id: string
  readonly time: number
  readonly hub: string
  readonly kind: string
  readonly subject: string
  readonly message: string
  readonly remedy: string
  readonly evidence: readonly {
    readonly time: number
    readonly hub: string
    readonly deviceId: string
    readonly address: string
    readonly port: number
    readonly protocol: string
    readonly certificate: { readonly subject: string; readonly serial: string; readonly sha256: string } | null
  }[]
}

/** One line: when, about whom, what. */
export function showAlarmLine(alarm: ShownAlarm, colors: typeof pc): string {
  const time = timeText(alarm.time)
  return `${colors.dim(time)} ${colors.red('!')} ${alarm.subject} ${colors.yellow(alarm.kind)}: ${alarm.message} ${colors.dim(alarm.id)}`
}

/** The whole account: what was seen, when and from where, and what to do. */
export function showAlarm({ id, time, hub, kind, subject, message, remedy, evidence }: ShownAlarm): string {
  const facts = [
    ['alarm', id],
    ['when', new Date(time).toISOString()],
    ['hub', hub],
    ['kind', kind],
    ['about', subject],
    ['what', message],
    ['what to do', remedy],
  ].map(([label = '', value]) => `${label.padEnd(12)} ${value}`)
  const seen = evidence.map((each) => {
    const when = new Date(each.time).toISOString()
    const shown =
      each.certificate === null
        ? 'by a token'
        : `by ${each.certificate.subject}, serial ${each.certificate.serial}, SHA-256 ${each.certificate.sha256.slice(0, 16)}…`
    return `  ${when} '${each.deviceId}' at '${each.hub}' from ${each.address} port ${each.port} (${each.protocol})\n      ${shown}`
  })
  return [...facts, ...(seen.length > 0 ? ['evidence', ...seen] : [])].join('\n')
}
