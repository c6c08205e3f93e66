import { Type } from 'typebox'
import type { Static } from 'typebox'
import { Value } from 'typebox/value'
import { damaged } from './container.ts'

/** In the clear, so that the keys can be found and an operator can tell one backup from another. */
const Header = Type.Object({
  id: Type.String(),
  /** ISO 8601: everything that was acknowledged before is in the backup. */
  createdTime: Type.String(),
  /** Of Holdfast. */
  version: Type.String(),
  /** Text of `keyring.json`: data keys, wrapped by the key-encryption key, which no backup holds. */
  keyring: Type.String(),
})
export type Header = Static<typeof Header>

const FileEntry = Type.Object({
  /** In the data folder. No name leads out of it. */
  path: Type.String({ pattern: '^(?:[A-Za-z0-9_][A-Za-z0-9._-]*/)*[A-Za-z0-9_][A-Za-z0-9._-]*$', maxLength: 512 }),
  bytes: Type.Integer({ minimum: 0 }),
})
export type FileEntry = Static<typeof FileEntry>

/** The last thing in a backup: what must have come before. */
const Manifest = Type.Object({
  files: Type.Array(Type.Intersect([FileEntry, Type.Object({ sha256: Type.String() })])),
})
export type Manifest = Static<typeof Manifest>

const Entry = Type.Union([Type.Object({ file: FileEntry }), Type.Object({ manifest: Manifest })])
export type Entry = Static<typeof Entry>

export function readHeader(text: string, path: string): Header {
  return read(Header, text, path, 'its header is not understood')
}

export function readEntry(text: string, path: string): Entry {
  return read(Entry, text, path, 'an entry is not understood')
}

function read<T extends Parameters<typeof Value.Check>[1]>(
  shape: T,
  text: string,
  path: string,
  wrong: string,
): Static<T> {
  try {
    const value: unknown = JSON.parse(text)
    if (Value.Check(shape, value)) return value
  } catch {
    // Told below, as for anything else that is not of the shape.
  }
  throw damaged(path, wrong)
}
