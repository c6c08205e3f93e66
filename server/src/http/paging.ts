import { HubError } from '../errors.ts'
import type { FastifyReply, FastifyRequest } from 'fastify'

const DEFAULT_ITEMS = 100
const MAX_ITEMS = 1000
const MAX_TOKEN_LENGTH = 1024

/** The page that the headers of a query ask for; the continuation token is the id after which the next page starts. */
export function requestedPage(request: FastifyRequest): { after: string | null; limit: number } {
  const { 'x-ms-max-item-count': count, 'x-ms-continuation': token } = request.headers
  return { after: afterOf(token), limit: limitOf(count) }
}

/** The header is left out on the last page: SDKs read its presence as "there is more". */
export function announceNextPage(reply: FastifyReply, next: string | null): void {
  if (next !== null) void reply.header('x-ms-continuation', Buffer.from(next, 'utf8').toString('base64url'))
}

function limitOf(count: string | string[] | undefined): number {
  if (count === undefined || count === '') return DEFAULT_ITEMS
  const limit = Number(count)
  // SDKs send -1 for "as many as you like".
  if (limit === -1) return MAX_ITEMS
  if (Number.isInteger(limit) && limit >= 1) return Math.min(limit, MAX_ITEMS)
  throw new HubError('argument-invalid', `x-ms-max-item-count is not a number from 1 to ${MAX_ITEMS}.`)
}

function afterOf(token: string | string[] | undefined): string | null {
  if (token === undefined || token === '') return null
  if (typeof token === 'string' && token.length <= MAX_TOKEN_LENGTH && /^[A-Za-z0-9_-]+$/.test(token))
    return Buffer.from(token, 'base64url').toString('utf8')
  throw new HubError('argument-invalid', 'x-ms-continuation is not a token of an earlier answer.')
}
