import { callApi } from '../server-access.ts'
import type { ServerAccess } from '../server-access.ts'

const PAGE = 1_000

export interface AuditState {
  /** Of the oldest entry that is there: what stood before was taken off. */
  readonly first: number
  readonly sequence: number
  readonly bytes: number
  readonly publicKey: string
  readonly keyId: string
  readonly trouble: string | null
}

export function auditState(access: ServerAccess): Promise<AuditState> {
  return callApi(access, { method: 'GET', path: '/holdfast/v1/audit/state' })
}

/** Lines after a sequence, exactly as they lie on the server's disk, up to `until`. */
export async function* linesOf(
  access: ServerAccess,
  { after, until }: { after: number; until: number },
): AsyncGenerator<string> {
  for (let next = after; next < until;) {
    const limit = Math.min(PAGE, until - next)
    const lines = await linesAfter(access, { after: String(next), limit: String(limit) })
    if (lines.length === 0) return
    yield* lines
    next += lines.length
  }
}

/** New lines as they come, for ever. */
export async function* followingLines(access: ServerAccess, after: number): AsyncGenerator<string> {
  for (let next = after; ;) {
    const lines = await linesAfter(access, { after: String(next), limit: String(PAGE), wait: '25' })
    yield* lines
    next += lines.length
  }
}

async function linesAfter(access: ServerAccess, query: Record<string, string>): Promise<readonly string[]> {
  const path = `/holdfast/v1/audit?${new URLSearchParams(query).toString()}`
  return (await callApi<{ lines: readonly string[] }>(access, { method: 'GET', path })).lines
}
