import { createHash } from 'node:crypto'
import {
  chmodSync,
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { HubError } from '../errors.ts'
import { EnvelopeSealer } from '../keys/envelope.ts'
import type { KekSource } from '../keys/kek-source.ts'
import { createWhole } from '../keys/key-file.ts'
import { Keyring } from '../keys/keyring.ts'
import type { Randomness } from '../ports/clock.ts'
import type { StoreFacts } from '../ports/snapshots.ts'
import { inspectStores } from '../sqlite/inspect.ts'
import { Container, damaged } from './container.ts'
import { MAX_FILES, readEntry, readHeader } from './manifest.ts'
import type { FileEntry, Manifest } from './manifest.ts'
import { RESTORED_FILE } from './restored.ts'
import type { Restored } from './restored.ts'

/** The manifest of the most files there can be. */
const MAX_ENTRY_BYTES = 64 * 1024 * 1024

export interface BackupSource {
  /** File of the backup. */
  readonly path: string
  /** Where the key-encryption key is that the server had when the backup was taken. */
  readonly key: KekSource
  readonly random: Randomness
}

export interface BackupReport extends StoreFacts {
  readonly id: string
  readonly createdTime: string
  readonly version: string
  readonly bytes: number
  readonly files: number
}

/** Proves that a backup can be restored, by unpacking it into `workFolder` (made and removed again). */
export async function verifyBackup(source: BackupSource, workFolder: string): Promise<BackupReport> {
  const folder = mkdtempSync(join(workFolder, 'holdfast-verify-'))
  try {
    return await unpack(source, folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/**
 * Unpacks a backup beside `target`, proves it whole, and only then moves it into place. Throws HubError, having left
 * `target` as it was, for a folder that is not empty, a backup that is damaged and a key that does not fit. `now`: ms.
 */
export async function restoreBackup(source: BackupSource, target: string, now: number): Promise<BackupReport> {
  const folder = resolve(target)
  if (existsSync(folder) && readdirSync(folder).length > 0) {
    throw new HubError(
      'argument-invalid',
      `The folder ${target} is not empty; a backup is restored into a new folder alone. Move the old one away.`,
    )
  }
  mkdirSync(dirname(folder), { recursive: true })
  const draft = `${folder}.restoring`
  rmSync(draft, { recursive: true, force: true })
  mkdirSync(draft, { mode: 0o700 })
  try {
    const report = await unpack(source, draft)
    const { id: backup, createdTime } = report
    const restored: Restored = { backup, createdTime, restoredTime: new Date(now).toISOString() }
    createWhole(join(draft, RESTORED_FILE), JSON.stringify(restored))
    renameSync(draft, folder)
    sync(dirname(folder))
    return report
  } catch (error) {
    rmSync(draft, { recursive: true, force: true })
    throw error
  }
}

async function unpack(source: BackupSource, folder: string): Promise<BackupReport> {
  const { path } = source
  const container = new Container(path)
  try {
    const header = readHeader(container.header, path)
    const { key, random } = source
    const dataKeys = await Keyring.dataKeysOf(header.keyring, { source: key, random, path })
    const sealer = new EnvelopeSealer('backup', dataKeys)
    const unpacked = unpackFiles(new Plain(container.open(sealer), path), folder)
    createWhole(join(folder, 'keyring.json'), header.keyring)
    const facts = inspectStores(folder)
    removeTraces(folder)
    const { id, createdTime, version } = header
    return { id, createdTime, version, bytes: container.bytes, files: unpacked, ...facts }
  } finally {
    container.close()
  }
}

/** Returns how many files there were. */
function unpackFiles(plain: Plain, folder: string): number {
  const seen: Manifest['files'] = []
  const paths = new Set<string>()
  for (;;) {
    const entry = plain.entry()
    if ('file' in entry) {
      const { path } = entry.file
      if (paths.has(path)) throw damaged(plain.path, `${path} is in it twice`)
      if (paths.add(path).size > MAX_FILES) throw damaged(plain.path, `more than ${MAX_FILES} files are in it`)
      seen.push({ ...entry.file, sha256: writeFile(plain, entry.file, folder) })
      continue
    }
    plain.end()
    if (JSON.stringify(entry.manifest.files.map(essence)) !== JSON.stringify(seen.map(essence)))
      throw damaged(plain.path, 'its files are not those of its manifest')
    return seen.length
  }
}

function essence({ path, bytes, sha256 }: Manifest['files'][number]): readonly unknown[] {
  return [path, bytes, sha256]
}

function writeFile(plain: Plain, { path, bytes }: FileEntry, folder: string): string {
  const target = join(folder, path)
  mkdirSync(dirname(target), { recursive: true, mode: 0o700 })
  const hash = createHash('sha256')
  const file = openSync(target, 'wx', 0o600)
  try {
    for (const piece of plain.take(bytes)) {
      hash.update(piece)
      for (let at = 0; at < piece.length;) at += writeSync(file, piece, at)
    }
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
  sync(dirname(target))
  return hash.digest('hex')
}

/** Looking into a database with a write-ahead log leaves an empty one behind. */
function removeTraces(folder: string): void {
  for (const found of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const path = join(found.parentPath, found.name)
    if (/\.db-(?:wal|shm)$/.test(found.name)) rmSync(path)
    else chmodSync(path, found.isDirectory() ? 0o700 : 0o600)
  }
  sync(folder)
}

function sync(path: string): void {
  const file = openSync(path, 'r')
  try {
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}

/** What was sealed, as one stream of bytes. */
class Plain {
  readonly path: string
  readonly #chunks: Iterator<Buffer>
  #rest: Buffer = Buffer.alloc(0)

  constructor(chunks: Iterator<Buffer>, path: string) {
    this.path = path
    this.#chunks = chunks
  }

  entry(): ReturnType<typeof readEntry> {
    const length = this.#whole(4).readUInt32BE()
    if (length > MAX_ENTRY_BYTES) throw damaged(this.path, 'an entry is too long')
    return readEntry(this.#whole(length).toString('utf8'), this.path)
  }

  /** The next bytes, in pieces. */
  *take(bytes: number): Generator<Buffer> {
    for (let left = bytes; left > 0;) {
      if (this.#rest.length === 0) this.#fill()
      const piece = this.#rest.subarray(0, left)
      this.#rest = this.#rest.subarray(piece.length)
      left -= piece.length
      yield piece
    }
  }

  /** Throws unless everything has been taken. */
  end(): void {
    if (this.#rest.length > 0 || this.#chunks.next().done !== true)
      throw damaged(this.path, 'something follows its manifest')
  }

  #whole(bytes: number): Buffer {
    return Buffer.concat([...this.take(bytes)])
  }

  #fill(): void {
    const next = this.#chunks.next()
    if (next.done === true) throw damaged(this.path, 'it ends too early')
    this.#rest = next.value
  }
}
