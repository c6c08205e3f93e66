import { createHash } from 'node:crypto'
import { createReadStream, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { HubError } from '../errors.ts'
import { EnvelopeSealer } from '../keys/envelope.ts'
import type { Keyring } from '../keys/keyring.ts'
import type { Log } from '../log.ts'
import type { Clock, Randomness } from '../ports/clock.ts'
import type { Snapshot } from '../ports/snapshots.ts'
import { beginSpan } from '../tracing.ts'
import { sealContainer, uint32 } from './container.ts'
import { MAX_FILES, SCHEMA } from './manifest.ts'
import type { Entry, FileEntry, Header, Manifest } from './manifest.ts'

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string
}

const PIECE_BYTES = 256 * 1024
/** Folders whose files are not databases. */
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
    let held: Awaited<ReturnType<Keyring['hold']>> | null = null
    const span = beginSpan('backup', { 'holdfast.backup.id': id })
    let bytes = 0
    try {
      held = await keyring.hold()
      const created = new Date(createdTime).toISOString()
      const header: Header = { schema: SCHEMA, id, createdTime: created, version, keyring: held.text }
      const sealer = new EnvelopeSealer('backup', keyring.dataKeys)
      for await (const piece of sealContainer(JSON.stringify(header), this.#plain(), sealer)) {
        bytes += piece.length
        yield piece
      }
      span.note({ 'holdfast.outcome': 'accepted' })
      log.info({ backup: id }, 'a backup was taken')
    } catch (error) {
      span.end(error)
      throw error
    } finally {
      span.note({ 'holdfast.bytes': bytes })
      span.end()
      held?.release()
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
    for await (const { path, copy } of this.#parts.snapshot(this.#parts.folder, this.#staging)) {
      files.push(yield* fileBytes(streamOf(copy), { path, bytes: statSync(copy).size }))
      rmSync(copy)
    }
    for (const { file, source } of plainFiles(this.#parts.folder)) files.push(yield* fileBytes(source, file))
    if (files.length > MAX_FILES) throw new HubError('internal', `A backup holds ${MAX_FILES} files at most.`)
    yield entryBytes({ manifest: { files } })
  }
}

async function* fileBytes(
  source: Stream | Iterable<Buffer>,
  file: FileEntry,
): AsyncGenerator<Buffer, Manifest['files'][number]> {
  yield entryBytes({ file })
  const hash = createHash('sha256')
  for await (const piece of source) {
    hash.update(piece)
    yield piece
  }
  return { ...file, sha256: hash.digest('hex') }
}

/**
 * Small files are read one after another without a pause, so that none is replaced between two that belong together. All
 * files of a log but the newest are finished, and are read when their turn comes.
 */
function plainFiles(
  folder: string,
): readonly { readonly file: FileEntry; readonly source: Iterable<Buffer> | Stream }[] {
  return PLAIN_FOLDERS.filter((name) => existsSync(join(folder, name))).flatMap((name) => {
    const names = readdirSync(join(folder, name), { withFileTypes: true })
      .filter((found) => found.isFile() && !found.name.endsWith('.draft'))
      .map((found) => `${name}/${found.name}`)
      .sort()
    const newestLog = names.findLast((path) => path.endsWith('.jsonl'))
    return names.map((path) => {
      const place = join(folder, path)
      if (path.endsWith('.jsonl') && path !== newestLog)
        return { file: { path, bytes: statSync(place).size }, source: streamOf(place) }
      const bytes = wholeLines(path, readFileSync(place))
      return { file: { path, bytes: bytes.length }, source: [bytes] }
    })
  })
}

type Stream = AsyncIterable<Buffer>

async function* streamOf(path: string): AsyncGenerator<Buffer> {
  for await (const piece of createReadStream(path, { highWaterMark: PIECE_BYTES })) yield piece as Buffer
}

/** Of a log of lines, without a line that is being written. */
function wholeLines(path: string, bytes: Buffer): Buffer {
  return path.endsWith('.jsonl') ? bytes.subarray(0, bytes.lastIndexOf(10) + 1) : bytes
}

function entryBytes(entry: Entry): Buffer {
  const text = Buffer.from(JSON.stringify(entry))
  return Buffer.concat([uint32(text.length), text])
}
