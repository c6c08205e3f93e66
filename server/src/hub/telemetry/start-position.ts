import { HubError } from '../../errors.ts'
import type { HubName } from '../../model/ids.ts'
import { printable } from '../../model/ids.ts'
import type { TelemetryLog } from '../../ports/telemetry-log.ts'

/** Where a reader begins. Offsets are the decimal sequence number; times are ms. */
export type StartPosition =
  | { readonly kind: 'earliest' }
  | { readonly kind: 'latest' }
  | { readonly kind: 'sequence'; readonly sequence: number; readonly inclusive: boolean }
  | { readonly kind: 'offset'; readonly offset: string; readonly inclusive: boolean }
  /** Enqueued later than this. */
  | { readonly kind: 'time'; readonly after: number }

/** The sequence number of the first event that a reader at this position wants. Rejects with `argument-invalid`. */
export async function firstSequence(
  log: TelemetryLog,
  hub: HubName,
  partition: number,
  start: StartPosition,
): Promise<number> {
  if (start.kind === 'earliest') return 0
  if (start.kind === 'time') return log.seek(hub, partition, start.after + 1)
  const { next } = await log.bounds(hub, partition)
  if (start.kind === 'latest') return next
  const named = start.kind === 'sequence' ? start.sequence : parseOffset(start.offset)
  return withinLog(start.inclusive ? named : named + 1, next, partition)
}

function parseOffset(offset: string): number {
  if (/^\d{1,15}$/.test(offset)) return Number(offset)
  throw new HubError('argument-invalid', `'${printable(offset)}' is no offset of this stream.`)
}

/** A checkpoint past the end is of another stream: waiting there would silently skip what comes. */
function withinLog(from: number, next: number, partition: number): number {
  if (Number.isSafeInteger(from) && from <= next) return Math.max(from, 0)
  throw new HubError(
    'argument-invalid',
    `Position ${from} is past the end of partition ${partition}, whose next sequence number is ${next}: the checkpoint is of another stream.`,
  )
}
