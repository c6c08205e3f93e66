import { Type } from 'typebox'
import type { Static } from 'typebox'
import { Compile } from 'typebox/compile'
import { damaged } from './container.ts'

/** Of the header, the entries and the manifest; a release reads its own and those before. */
export const SCHEMA = 1
/** An hourly file for each of 16 hubs over a year, and room for the rest. */
export const MAX_FILES = 200_000
/** 4 TiB: no disk that this is meant for holds a larger one. */
const MAX_FILE_BYTES = 2 ** 42
/** A keyring with the most data keys there can be has half of it. */
const MAX_KEYRING = 2 * 1024 * 1024
const STRICT = { additionalProperties: false } as const
/** A file of a data folder, and none that a restore makes itself. No name leads out of it. */
const NAME = '[A-Za-z0-9_][A-Za-z0-9._-]{0,127}'
const PATH = `^(?:registry\\.db|(?:tls|audit)/${NAME}|telemetry/${NAME}/${NAME}\\.db)$`

/** In the clear, so that the keys can be found and an operator can tell one backup from another. */
const Header = Type.Object(
  {
    schema: Type.Literal(SCHEMA),
    id: Type.String({ pattern: '^[0-9a-f]{16}$' }),
    /** ISO 8601: everything that was acknowledged before is in the backup. */
    createdTime: Type.String({ pattern: '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}\\.\\d{3}Z$' }),
    /** Of Holdfast. */
    version: Type.String({ pattern: '^\\d+\\.\\d+\\.\\d+(?:[-+][0-9A-Za-z.+-]{1,64})?$', maxLength: 96 }),
    /** Text of `keyring.json`: data keys, wrapped by the key-encryption key, which no backup holds. */
    keyring: Type.String({ minLength: 2, maxLength: MAX_KEYRING }),
  },
  STRICT,
)
export type Header = Static<typeof Header>

const fileMembers = {
  path: Type.String({ pattern: PATH }),
  bytes: Type.Integer({ minimum: 0, maximum: MAX_FILE_BYTES }),
}
const FileEntry = Type.Object(fileMembers, STRICT)
export type FileEntry = Static<typeof FileEntry>

/** The last thing in a backup: what must have come before. */
const Manifest = Type.Object(
  {
    files: Type.Array(Type.Object({ ...fileMembers, sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }) }, STRICT), {
      maxItems: MAX_FILES,
    }),
  },
  STRICT,
)
export type Manifest = Static<typeof Manifest>

const Entry = Type.Union([Type.Object({ file: FileEntry }, STRICT), Type.Object({ manifest: Manifest }, STRICT)])
export type Entry = Static<typeof Entry>

const headerShape = Compile(Header)
const entryShape = Compile(Entry)

export function readHeader(text: string, path: string): Header {
  const value = parse(text)
  const schema: unknown = (value as { schema?: unknown } | null)?.schema
  if (typeof schema === 'number' && Number.isSafeInteger(schema) && schema > SCHEMA) throw newer(path, schema)
  if (headerShape.Check(value)) return value
  throw damaged(path, 'its header is not understood')
}

export function readEntry(text: string, path: string): Entry {
  const value = parse(text)
  if (isLong(value)) throw damaged(path, `more than ${MAX_FILES} files are in it`)
  if (entryShape.Check(value)) return value
  throw damaged(path, 'an entry is not understood')
}

/** Looked at first: the shape is checked member by member. */
function isLong(value: unknown): boolean {
  const files: unknown = (value as { manifest?: { files?: unknown } } | null | undefined)?.manifest?.files
  return Array.isArray(files) && files.length > MAX_FILES
}

function newer(path: string, schema: number): Error {
  return damaged(path, `it was written by a newer Holdfast (schema ${schema}, and this one reads ${SCHEMA}); use that`)
}

/** undefined for what is no JSON: no shape fits it. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
