import { HubError } from '../errors.ts'
import type { HubName } from '../model/ids.ts'
import { printable } from '../model/ids.ts'
import type { TelemetryLog } from '../ports/telemetry-log.ts'

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
  switch (start.kind) {
    case 'earliest':
      return 0
    case 'latest':
      return (await log.bounds(hub, partition)).next
    case 'time':
      return log.seek(hub, partition, start.after + 1)
    case 'sequence':
      return withinLog(log, hub, partition, start.sequence + (start.inclusive ? 0 : 1))
    case 'offset':
      return withinLog(log, hub, partition, parseOffset(start.offset) + (start.inclusive ? 0 : 1))
  }
}

function parseOffset(offset: string): number {
  if (/^\d{1,15}$/.test(offset)) return Number(offset)
  throw new HubError('argument-invalid', `'${printable(offset)}' is no offset of this stream.`)
}

/** A checkpoint past the end is of another stream: waiting there would silently skip what comes. */
async function withinLog(log: TelemetryLog, hub: HubName, partition: number, from: number): Promise<number> {
  const { next } = await log.bounds(hub, partition)
  if (Number.isSafeInteger(from) && from <= next) return Math.max(from, 0)
  throw new HubError(
    'argument-invalid',
    `Position ${from} is past the end of partition ${partition}, whose next sequence number is ${next}: the checkpoint is of another stream.`,
  )
}
