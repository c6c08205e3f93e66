import { createHash } from 'node:crypto'
import { createReadStream, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { HubError } from '../errors.ts'
import { EnvelopeSealer } from '../keys/envelope.ts'
import type { Keyring } from '../keys/keyring.ts'
import type { Log } from '../log.ts'
import type { Clock, Randomness } from '../ports/clock.ts'
import type { Snapshot } from '../ports/snapshots.ts'
import { sealContainer, uint32 } from './container.ts'
import type { Entry, FileEntry, Header, Manifest } from './manifest.ts'

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string
}

const PIECE_BYTES = 256 * 1024
/** Folders that hold a few small files, or files that only grow. */
const PLAIN_FOLDERS = ['tls', 'audit'] as const

export interface BackupParts {
  /** The data folder. */
  readonly folder: string
  readonly keyring: Pick<Keyring, 'hold' | 'dataKeys'>
  readonly snapshot: Snapshot
  readonly clock: Clock
  readonly random: Randomness
  readonly log: Log
}

export interface Backup {
  readonly id: string
  readonly createdTime: number
  /** To be read to its end or returned early; either way nothing of it stays in the data folder. */
  readonly bytes: AsyncGenerator<Buffer>
}

/** Takes backups of a running server. The key-encryption key is not in them. */
export class Backups {
  readonly #parts: BackupParts
  readonly #staging: string
  #isUnderWay = false

  constructor(parts: BackupParts) {
    this.#parts = parts
    this.#staging = join(parts.folder, 'backup.staging')
    // Left behind by a crash.
    rmSync(this.#staging, { recursive: true, force: true })
  }

  /** One at a time: the copies need room on the disk. Nothing happens until the first bytes are asked for. */
  begin(): Backup {
    this.#requireFree()
    const id = Buffer.from(this.#parts.random.bytes(8)).toString('hex')
    const createdTime = this.#parts.clock.now()
    return { id, createdTime, bytes: this.#seal(id, createdTime) }
  }

  async *#seal(id: string, createdTime: number): AsyncGenerator<Buffer> {
    this.#requireFree()
    this.#isUnderWay = true
    const { keyring, log } = this.#parts
    let release = (): void => {}
    try {
      const held = await keyring.hold()
      release = held.release
      const header: Header = { id, createdTime: new Date(createdTime).toISOString(), version, keyring: held.text }
      yield* sealContainer(JSON.stringify(header), this.#plain(), new EnvelopeSealer('backup', keyring.dataKeys))
      log.info({ backup: id }, 'a backup was taken')
    } finally {
      release()
      this.#isUnderWay = false
      rmSync(this.#staging, { recursive: true, force: true })
    }
  }

  #requireFree(): void {
    if (this.#isUnderWay) throw new HubError('precondition-failed', 'A backup is under way already; wait for its end.')
  }

  async *#plain(): AsyncGenerator<Buffer> {
    const files: Manifest['files'] = []
    mkdirSync(this.#staging, { mode: 0o700 })
    for await (const { path, copy } of this.#parts.snapshot(this.#staging)) {
      files.push(yield* fileBytes(copy, { path, bytes: statSync(copy).size }))
      rmSync(copy)
    }
    for (const entry of plainFiles(this.#parts.folder)) {
      files.push(yield* fileBytes(join(this.#parts.folder, entry.path), entry))
    }
    yield entryBytes({ manifest: { files } })
  }
}

/** Yields a file as it is up to its stated size: one that only grows is copied as it was when it was looked at. */
async function* fileBytes(source: string, file: FileEntry): AsyncGenerator<Buffer, Manifest['files'][number]> {
  yield entryBytes({ file })
  const hash = createHash('sha256')
  let left = file.bytes
  if (left > 0) {
    for await (const piece of createReadStream(source, { end: left - 1, highWaterMark: PIECE_BYTES })) {
      hash.update(piece as Buffer)
      left -= (piece as Buffer).length
      yield piece as Buffer
    }
  }
  if (left > 0) throw new HubError('internal', `The file ${source} became shorter while it was backed up; try again.`)
  return { ...file, sha256: hash.digest('hex') }
}

function plainFiles(folder: string): readonly FileEntry[] {
  return PLAIN_FOLDERS.filter((name) => existsSync(join(folder, name))).flatMap((name) =>
    readdirSync(join(folder, name), { withFileTypes: true })
      .filter((found) => found.isFile() && !found.name.endsWith('.draft'))
      .map((found) => `${name}/${found.name}`)
      .sort()
      .map((path) => ({ path, bytes: wholeLines(join(folder, path)) })),
  )
}

/** Bytes of the file; of a log of lines, without a line that is being written. */
function wholeLines(path: string): number {
  if (!path.endsWith('.jsonl')) return statSync(path).size
  return readFileSync(path).lastIndexOf(10) + 1
}

function entryBytes(entry: Entry): Buffer {
  const text = Buffer.from(JSON.stringify(entry))
  return Buffer.concat([uint32(text.length), text])
}
