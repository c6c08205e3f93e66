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
  readonly result?: string
  readonly of?: number
}

/** One line for a person. */
export function showEntry({ sequence, time, kind, act, who, from, target, result, of }: ShownEntry): string {
  const state = kind === 'outcome' ? `${result} (${of})` : kind
  const place = from === null ? '' : ` from ${from.address}`
  const about = target === undefined || target === null ? '' : `  ${jsonText(target)}`
  return `${String(sequence).padStart(6)}  ${time}  ${act.padEnd(24)} ${state.padEnd(14)} ${who.name}${place}${about}`
}
