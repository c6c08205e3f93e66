export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json | undefined }

/** JSON in the one form of RFC 8785: members sorted by UTF-16 code units, no white space, absent members left out. */
export function canonicalJson(value: Json): string {
  if (Array.isArray(value)) return `[${value.map((item: Json) => canonicalJson(item)).join(',')}]`
  if (value === null || typeof value !== 'object') return JSON.stringify(value)
  const members = Object.entries(value as Record<string, Json | undefined>)
    .filter((member): member is [string, Json] => member[1] !== undefined)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
  return `{${members.map(([name, member]) => `${JSON.stringify(name)}:${canonicalJson(member)}`).join(',')}}`
}

/** The same value as plain JSON: dates, byte arrays and the like as `JSON.stringify` has them; undefined becomes null. */
export function plainJson(value: unknown): Json {
  const text = JSON.stringify(value) as string | undefined
  return text === undefined ? null : (JSON.parse(text) as Json)
}
