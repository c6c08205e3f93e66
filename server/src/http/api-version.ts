import type { FastifyRequest } from 'fastify'
import { HubError } from '../errors.ts'

const DATED_VERSION = /^\d{4}-\d{2}-\d{2}(?:-preview)?$/
/** The oldest version that a device SDK in use still sends. */
const OLDEST = '2016-11-14'

/** SDK generations send different dates for the same operations, so every dated version from the oldest on is taken. */
export async function requireApiVersion(request: FastifyRequest): Promise<void> {
  const version = (request.query as Record<string, unknown>)['api-version']
  if (typeof version === 'string' && DATED_VERSION.test(version) && version >= OLDEST) return
  throw new HubError(
    'protocol-version-invalid',
    'The query parameter api-version is missing or unknown; send a date such as 2021-04-12.',
  )
}
