import pc from 'picocolors'
import { timeText } from '../durations.ts'
import type { ReceivedEvent } from './reader.ts'

const BODY_LIMIT = 400
const HIDDEN = new Set(['x-opt-sequence-number', 'x-opt-offset', 'x-opt-enqueued-time', 'x-opt-partition-key'])

/** One event as one line (and its properties, when asked) for a terminal; hostile bytes are escaped. */
export function showEvent(event: ReceivedEvent, options: { verbose: boolean }): string {
  const time = timeText(event.enqueuedTime)
  const properties = Object.entries(event.application).map(([key, value]) => `${key}=${String(value)}`)
  const line = [
    pc.dim(time),
    pc.cyan(printableText(event.deviceId, 128)),
    pc.dim(`[${event.partition}:${event.sequence}]`),
    bodyText(event),
    ...(properties.length > 0 ? [pc.dim(printableText(properties.join(' '), BODY_LIMIT))] : []),
  ].join(' ')
  return options.verbose ? `${line}\n${systemLines(event)}` : line
}

/** The same as one JSON object for scripts; a body that is no UTF-8 text is given in base64. */
export function eventAsJson(event: ReceivedEvent): string {
  const text = decodeText(event.body)
  return JSON.stringify({
    deviceId: event.deviceId,
    partition: event.partition,
    sequence: event.sequence,
    enqueuedTime: new Date(event.enqueuedTime).toISOString(),
    properties: event.application,
    system: Object.fromEntries(Object.entries(event.system).filter(([key]) => !HIDDEN.has(key))),
    ...(text === null ? { bodyBase64: event.body.toString('base64') } : { body: text }),
  })
}

function systemLines(event: ReceivedEvent): string {
  return Object.entries(event.system)
    .filter(([key]) => !HIDDEN.has(key))
    .map(([key, value]) => pc.dim(`    ${key}: ${printableText(valueText(value), BODY_LIMIT)}`))
    .join('\n')
}

function valueText(value: unknown): string {
  return value instanceof Date ? value.toISOString() : String(value)
}

function bodyText(event: ReceivedEvent): string {
  const text = decodeText(event.body)
  return text === null ? pc.dim(`<${event.body.length} bytes>`) : printableText(text, BODY_LIMIT)
}

function decodeText(body: Buffer): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(body)
  } catch {
    return null
  }
}

function printableText(text: string, limit: number): string {
  const safe = text.slice(0, limit).replace(/[\u0000-\u001f\u007f-\u009f\u2028-\u202f\u2066-\u2069]/g, '\ufffd')
  return text.length > limit ? `${safe}…` : safe
}
