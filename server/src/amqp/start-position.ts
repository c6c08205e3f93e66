import { HubError } from '../errors.ts'
import { printable } from '../model/ids.ts'
import type { StartPosition } from '../hub/telemetry/consumers.ts'

/** `amqp.annotation.<name> > '<value>'` or `>=`: the one form of selector that Event Hubs clients send. */
const SELECTOR = /^amqp\.annotation\.(x-opt-[a-z-]{1,40}) (>=?) '(-?[0-9]{1,19}|@latest)'$/

/**
 * Where a reader starts, from its selector filter; without a filter it starts at the earliest event.
 * Throws HubError `argument-invalid` for any other expression: a filter that is not understood must not be ignored.
 */
export function parseStartPosition(selector: string | null): StartPosition {
  if (selector === null) return { kind: 'earliest' }
  const [, annotation, operator, value] = SELECTOR.exec(selector.trim()) ?? []
  if (annotation === undefined || operator === undefined || value === undefined) throw unknownSelector(selector)
  const inclusive = operator === '>='
  switch (annotation) {
    case 'x-opt-offset':
      return fromOffset(value, inclusive, selector)
    case 'x-opt-sequence-number':
      return { kind: 'sequence', sequence: wholeNumber(value, selector), inclusive }
    case 'x-opt-enqueued-time':
      return { kind: 'time', after: wholeNumber(value, selector) }
    default:
      throw unknownSelector(selector)
  }
}

function fromOffset(value: string, inclusive: boolean, selector: string): StartPosition {
  if (value === '@latest') return { kind: 'latest' }
  const offset = wholeNumber(value, selector)
  return offset < 0 ? { kind: 'earliest' } : { kind: 'offset', offset: String(offset), inclusive }
}

function wholeNumber(value: string, selector: string): number {
  const number = Number(value)
  if (!Number.isSafeInteger(number)) throw unknownSelector(selector)
  return number
}

function unknownSelector(selector: string): HubError {
  return new HubError(
    'argument-invalid',
    `The filter '${printable(selector)}' is not understood: compare x-opt-offset, x-opt-sequence-number or ` +
      `x-opt-enqueued-time by > or >= with a quoted number, or x-opt-offset with '@latest'`,
  )
}
