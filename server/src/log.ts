import { KeyObject } from 'node:crypto'
import { pino } from 'pino'
import type { Logger } from 'pino'
import type { Refusal } from './model/refusal.ts'
import type { Session } from './model/session.ts'

export type Log = Logger

/** Members that may hold a secret wherever they stand in a logged object; they are replaced, never printed. */
const SECRET_MEMBERS = [
  'password',
  'passphrase',
  'pin',
  'tokenPin',
  'token',
  'authorization',
  'key',
  'primaryKey',
  'secondaryKey',
  'pfx',
  'cookie',
  'sharedAccessKey',
  'secret',
  'verificationCode',
]
/** Our own tokens and secrets, and those of the SDKs, in whatever text of a field they stand. */
const SECRET_TEXT =
  /holdfast_[\w-]{16,}|whsec_[\w+/=-]{16,}|(?<=SharedAccessSignature )\S+|(?<=SharedAccessKey=)[^;\s]+|(?<=[?&]sig=)[^&\s]+/g
const HIDDEN = '[redacted]'
/** How deep a logged object is looked into. */
const MAX_DEPTH = 4

export function createLog(options: { level: string; destination?: NodeJS.WritableStream }): Log {
  return pino(
    {
      level: options.level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      redact: { paths: SECRET_MEMBERS.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]), censor: HIDDEN },
      formatters: { log: (fields) => withoutSecretValues(fields, 0) as Record<string, unknown> },
    },
    options.destination ?? process.stderr,
  )
}

/** By their type and shape: keys, bytes and tokens, whatever the member that holds them is called. */
function withoutSecretValues(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return value.replace(SECRET_TEXT, HIDDEN)
  if (value instanceof KeyObject) return HIDDEN
  if (value instanceof Uint8Array) return `[${value.length} bytes]`
  if (depth === MAX_DEPTH || !isPlain(value)) return value
  if (Array.isArray(value)) return value.map((item) => withoutSecretValues(item, depth + 1))
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, withoutSecretValues(item, depth + 1)]))
}

function isPlain(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === Array.prototype || prototype === null
}

/** What every line about a session says. */
export function aboutSession({ id, hub, deviceId, moduleId, peer }: Session): Record<string, unknown> {
  const { protocol, address } = peer
  return { hub, deviceId, ...(moduleId !== null && { moduleId }), sessionId: id, protocol, address }
}

/** What every line about a refusal says; `identity` is only claimed. */
export function aboutRefusal({
  trackingId,
  hub,
  identity,
  area,
  rule,
  protocol,
  peer,
}: Refusal): Record<string, unknown> {
  return { trackingId, hub, identity, area, rule, protocol, address: peer.address }
}
