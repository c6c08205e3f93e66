import { jsonText } from '../output.ts'

/** An entry of the audit log as the command line reads it; what is written stays as it is. */
export interface ShownEntry {
  readonly sequence: number
  readonly time: string
  readonly kind: string
  readonly act: string
  readonly who: { readonly name: string; readonly role: string | null; readonly method: string }
  readonly from: { readonly address: string; readonly protocol: string } | null
  readonly target?: unknown
  readonly detail?: unknown
  readonly result?: string
  readonly of?: number
}

/** Of what belongs to an event, as much as a line has room for. */
const SHOWN_DETAIL = 200

/** One line for a person. */
export function showEntry(entry: ShownEntry): string {
  const { sequence, time, kind, act, who, from, target, detail, result, of } = entry
  const state = kind === 'outcome' ? `${result} (${of})` : kind
  const place = from === null ? '' : ` from ${from.address}`
  const about = target === undefined || target === null ? '' : `  ${jsonText(target)}`
  const more = kind === 'event' && detail !== undefined && detail !== null ? `  ${shortened(jsonText(detail))}` : ''
  return `${String(sequence).padStart(6)}  ${time}  ${act.padEnd(24)} ${state.padEnd(14)} ${who.name}${place}${about}${more}`
}

function shortened(text: string): string {
  return text.length > SHOWN_DETAIL ? `${text.slice(0, SHOWN_DETAIL)}…` : text
}
