import type { IncomingHttpHeaders } from 'node:http'
import type { StoredCrl } from '../../model/revocation.ts'

/** A list that comes early, because something was revoked, is seen everywhere within this time. */
const MAX_AGE_SECONDS = 15 * 60

export interface CrlAnswer {
  readonly status: 200 | 304
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
}

/**
 * A list as HTTP answers for it (RFC 9110 §8.8 and §13, RFC 9111): caches may keep it for a while, and never beyond the
 * time when the next one is due.
 */
export function crlAnswer(crl: StoredCrl, asked: IncomingHttpHeaders, now: number): CrlAnswer {
  const etag = `"${crl.number}"`
  const left = crl.nextUpdate === null ? MAX_AGE_SECONDS : Math.floor((crl.nextUpdate - now) / 1000)
  const maxAge = Math.min(Math.max(left, 0), MAX_AGE_SECONDS)
  const headers = {
    etag,
    'last-modified': new Date(crl.thisUpdate).toUTCString(),
    expires: new Date(now + maxAge * 1000).toUTCString(),
    'cache-control': `public, max-age=${maxAge}`,
  }
  if (isKnown(asked, etag, crl.thisUpdate)) return { status: 304, headers, body: Buffer.alloc(0) }
  const { buffer, byteOffset, byteLength } = crl.certificate
  const body = Buffer.from(buffer, byteOffset, byteLength)
  return { status: 200, headers: { ...headers, 'content-type': 'application/pkix-crl' }, body }
}

/** RFC 9110 §13.1.3: If-Modified-Since counts only where there is no If-None-Match. */
function isKnown(asked: IncomingHttpHeaders, etag: string, changed: number): boolean {
  const tags = asked['if-none-match']
  if (tags !== undefined) return tags.split(',').some((tag) => ['*', etag].includes(tag.trim().replace(/^W\//, '')))
  const since = Date.parse(asked['if-modified-since'] ?? '')
  return !Number.isNaN(since) && Math.floor(changed / 1000) * 1000 <= since
}
