/** Compares as the services do: one layer of quotes and a weak prefix are ignored; `*` matches any (RFC 9110 §13.1.1). */
export type ExpectedEtag = { kind: 'any' } | { kind: 'exactly'; etag: string }

/** Reads an If-Match header as the SDKs send it: `"*"`, `*`, `"etag"`, `etag` or a tag that has literal quotes. */
export function parseIfMatch(header: string): ExpectedEtag {
  const etag = bareEtag(header)
  return etag === '*' ? { kind: 'any' } : { kind: 'exactly', etag }
}

export function bareEtag(text: string): string {
  const strong = text.trim().replace(/^W\//, '')
  return strong.length >= 2 && strong.startsWith('"') && strong.endsWith('"') ? strong.slice(1, -1) : strong
}

export function etagMatches(expected: ExpectedEtag, actual: string): boolean {
  return expected.kind === 'any' || expected.etag === bareEtag(actual)
}
