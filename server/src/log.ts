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
]

export function createLog(options: { level: string; destination?: NodeJS.WritableStream }): Log {
  return pino(
    {
      level: options.level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      redact: { paths: SECRET_MEMBERS.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]), censor: '[redacted]' },
    },
    options.destination ?? process.stderr,
  )
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
