import { HubError } from '../../errors.ts'

/** Queries are answered as whole collections, page by page; a condition is refused rather than ignored. */
export function requireWholeCollection(query: string, collection: string): void {
  const text = query.trim().replace(/;$/, '').trim().toLowerCase().replace(/\s+/g, ' ')
  if (text === '*' || text === `select * from ${collection.toLowerCase()}`) return
  throw new HubError(
    'argument-invalid',
    `This query is not supported: send * or SELECT * FROM ${collection}, and filter what comes back.`,
  )
}
