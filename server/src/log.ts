import { pino } from 'pino'
import type { Logger } from 'pino'

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
