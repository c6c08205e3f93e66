import { mkdirSync, statSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { HubError } from '../errors.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { Clock } from '../ports/clock.ts'
import type { SecretFiles } from '../ports/secret-files.ts'
import { openAppendFile } from './append-file.ts'
import type { AppendFile, OpenAppendFile } from './append-file.ts'
import { Chain, ownRecord } from './chain.ts'
import type { ChainEnd } from './chain.ts'
import type { Checkpoint } from './checkpoint.ts'
import { PRUNED } from './entry.ts'
import type { AuditEntry, AuditRecord } from './entry.ts'
import { findEnd } from './recover.ts'
import type { End } from './recover.ts'
import { judgePrune, removeFiles } from './pruning.ts'
import type { PruneOrder } from './pruning.ts'
import { describeClosed, segmentPath } from './segments.ts'
import type { ClosedSegment, Segment } from './segments.ts'
import { SigningKeys } from './signing-key.ts'
import type { SigningKey } from './signing-key.ts'

/** A file ends after either, so that the log can be taken off by the month. */
const MAX_SEGMENT_BYTES = 4 * 1024 * 1024
const MAX_SEGMENT_MS = 30 * 24 * 60 * 60 * 1000
/** The log says so each time it has grown by as much again. */
const WARN_BYTES = 1024 * 1024 * 1024
/** Records that wait for the disk; acts beyond that are refused, events beyond that are counted. */
const MAX_WAITING = 10_000
const RETRY_MS = 5_000

export interface AuditLogOptions {
  readonly folder: string
  /** Keeps the keys that sign. */
  readonly secrets: SecretFiles
  readonly clock: Clock
  readonly log: Log
  readonly openFile?: OpenAppendFile
  readonly metrics?: Pick<Metrics, 'auditBytes'>
  /** Smaller in tests. */
  readonly segmentBytes?: number
  readonly warnBytes?: number
}

type Step = (chain: Chain) => void

interface Waiting {
  readonly step: Step
  /** null for an event, which waits until the disk takes it. */
  readonly settle: { resolve: () => void; reject: (error: HubError) => void } | null
}

/**
 * What was done to the server and by whom, in a chain of entries. An entry is acknowledged when it is on the disk; what
 * waits together is written together. A log that cannot be written refuses `append`, and keeps what `note` was given.
 */
export class AuditLog {
  readonly #options: AuditLogOptions
  readonly #keys: SigningKeys
  /** What the log held when it was opened. */
  readonly found: Pick<End, 'sequence' | 'lastAct'>
  #segments: readonly Segment[]
  #end: ChainEnd
  #key: SigningKey
  #length: number
  /** ms; when the present file was begun. */
  #begun: number
  /** Of the files before the present one. */
  #closedBytes: number
  #warnAt: number
  #isPruning = false
  #file: AppendFile | null = null
  /** Bytes beyond `#length` may lie in the file after a failed write. */
  #isDirty = false
  #damage: string | null
  #waiting: Waiting[] = []
  #lost = 0
  #writing: Promise<void> | null = null
  #retry: NodeJS.Timeout | undefined
  #failure: string | null = null

  /** Opens the log of a folder, or begins one; what a crash left unfinished is set aside and written down. */
  static async open(options: AuditLogOptions): Promise<AuditLog> {
    mkdirSync(options.folder, { recursive: true, mode: 0o700 })
    const keys = new SigningKeys(options.folder, options.secrets)
    const end = findEnd(options.folder)
    const log = new AuditLog(options, keys, end)
    log.#recover(end)
    await log.#writing
    return log
  }

  private constructor(options: AuditLogOptions, keys: SigningKeys, end: End) {
    this.#options = options
    this.#keys = keys
    this.found = end
    this.#segments = end.segments
    this.#end = end
    this.#length = end.length
    this.#begun = end.begun === null ? 0 : Date.parse(end.begun)
    this.#closedBytes = end.segments.slice(0, -1).reduce((sum, { path }) => sum + statSync(path).size, 0)
    this.#warnAt = options.warnBytes ?? WARN_BYTES
    this.#damage = end.damage
    this.#key = end.keyId === null || end.damage !== null ? (keys.newest ?? keys.make()) : keys.find(end.keyId)
  }

  #recover({ sequence, torn, damage }: End): void {
    if (damage !== null)
      this.#options.log.error({ damage }, 'the audit log is damaged: administrative acts are refused')
    else if (sequence > 0) this.#keys.keepOnly(this.#key)
    for (const detail of torn) this.note({ ...ownRecord('event', 'audit.set-aside'), detail })
    this.#tellSize()
  }

  /** Resolves when the entry is on the disk. Rejects with `storage-full` or `internal` when it cannot be. */
  async append(record: AuditRecord): Promise<AuditEntry> {
    let entry: AuditEntry | undefined
    await this.#do((chain) => {
      entry = chain.add(record)
    })
    if (entry === undefined) throw new HubError('internal', 'An entry of the audit log was acknowledged unwritten.')
    return entry
  }

  /** Writes down what has happened already: it waits in memory while the disk refuses. */
  note(record: AuditRecord): void {
    if (this.#waiting.length >= MAX_WAITING) this.#lost++
    else this.#waiting.push({ step: (chain) => void chain.add(record), settle: null })
    this.#write()
  }

  /** Signs everything up to now; the result is worth something where nobody of this server can change it. */
  async checkpoint(): Promise<Checkpoint> {
    let checkpoint: Checkpoint | undefined
    await this.#do((chain) => {
      checkpoint = chain.checkpoint()
    })
    if (checkpoint === undefined) throw new HubError('internal', 'A checkpoint was acknowledged unwritten.')
    return checkpoint
  }

  /** Another key signs from now on. Returns the digest of its public key. */
  async rotateKey(by: Pick<AuditRecord, 'who' | 'from' | 'trackingId'>): Promise<string> {
    const next = this.#keys.make()
    await this.#do((chain) => {
      chain.succeed(next, by)
      chain.checkpoint()
    })
    this.#keys.keepOnly(next)
    return next.id
  }

  facts() {
    const { sequence, hash, time, unsigned } = this.#end
    const { id: keyId, publicKey } = this.#key
    const trouble = this.#damage ?? this.#failure
    return {
      first: this.#segments[0]?.first ?? 1,
      sequence,
      hash,
      time,
      unsigned,
      keyId,
      publicKey,
      trouble,
      waiting: this.#waiting.length,
      lost: this.#lost,
      bytes: this.#closedBytes + this.#length,
    }
  }

  /** The files that nothing is appended to any more: the log can be taken off up to the end of each of them. */
  closedSegments(): Promise<readonly ClosedSegment[]> {
    return describeClosed(this.#segments)
  }

  /**
   * Takes the oldest files off, after that is written down and signed. What stays begins with a checkpoint, which holds the
   * hash of the last entry that went. Rejects as `judgePrune` does. A crash in between leaves files for the next time.
   */
  async prune(order: PruneOrder, by: Pick<AuditRecord, 'who' | 'from' | 'trackingId'>): Promise<ClosedSegment> {
    if (this.#isPruning) throw new HubError('throttled', 'The audit log is being pruned.', { retryAfter: 5 })
    this.#isPruning = true
    try {
      const { files, pruned, hash } = await judgePrune(this.#segments, order)
      const detail = { from: pruned.first, ...order, hash }
      await this.append({ ...by, kind: 'event', act: PRUNED, detail })
      await this.checkpoint()
      this.#segments = this.#segments.slice(files.length)
      this.#closedBytes -= pruned.bytes
      this.#warnAt = this.#options.warnBytes ?? WARN_BYTES
      this.#tellSize()
      await removeFiles(this.#options.folder, files)
      return pruned
    } finally {
      this.#isPruning = false
    }
  }

  #tellSize(): void {
    const { metrics, log, warnBytes = WARN_BYTES } = this.#options
    const bytes = this.#closedBytes + this.#length
    metrics?.auditBytes.set(bytes)
    if (bytes < this.#warnAt) return
    this.#warnAt = bytes + warnBytes
    log.warn(
      { bytes },
      "the audit log has grown large: 'holdfast audit prune' takes its older part off, into an archive",
    )
  }

  /** Signs what is not signed yet, without waiting for it. */
  signSoon(): void {
    if (this.#end.unsigned === 0 || this.#waiting.length >= MAX_WAITING) return
    this.#waiting.push({ step: (chain) => void chain.checkpoint(), settle: null })
    this.#write()
  }

  /** Lines of the entries after a sequence, exactly as they lie on the disk, oldest first. */
  async read({ after, limit }: { after: number; limit: number }): Promise<readonly string[]> {
    try {
      return await this.#read(after, limit)
    } catch (error) {
      // A file was pruned while it was being read.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
      return this.#read(after, limit)
    }
  }

  async #read(after: number, limit: number): Promise<readonly string[]> {
    const found: string[] = []
    const { sequence } = this.#end
    const from = this.#segments.findLastIndex(({ first }) => first <= after + 1)
    for (const { path, first } of this.#segments.slice(Math.max(0, from))) {
      const lines = (await readFile(path, 'utf8')).split('\n')
      // Entries have no gaps: the one of a sequence stands in its line.
      const begin = Math.max(0, after + 1 - first)
      const end = Math.min(lines.length - 1, begin + limit - found.length, sequence + 1 - first)
      found.push(...lines.slice(begin, end))
      if (found.length >= limit) break
    }
    return found
  }

  /** The key that signs is sealed with the present data key. */
  reseal(): void {
    this.#keys.reseal()
  }

  /** Signs the end, as far as the disk takes it, and closes. */
  async close(): Promise<void> {
    // What is on its way to the disk is not signed yet, either.
    await this.#settled()
    try {
      if (this.#end.unsigned > 0 || this.#waiting.length > 0) await this.checkpoint()
    } catch (error) {
      this.#options.log.error({ err: error, unwritten: this.#waiting.length }, 'the audit log could not be finished')
    }
    await this.#settled()
    clearTimeout(this.#retry)
    await this.#file?.close()
    this.#file = null
  }

  async #settled(): Promise<void> {
    clearTimeout(this.#retry)
    while (this.#writing !== null) await this.#writing
  }

  #do(step: Step): Promise<void> {
    if (this.#damage !== null) return Promise.reject(damaged(this.#damage))
    if (this.#waiting.length >= MAX_WAITING)
      return Promise.reject(new HubError('throttled', 'Too much waits for the audit log.', { retryAfter: 5 }))
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.#waiting.push({ step, settle: { resolve, reject } })
    this.#write()
    return promise
  }

  #write(): void {
    if (this.#writing !== null || this.#waiting.length === 0 || this.#damage !== null) return
    clearTimeout(this.#retry)
    this.#writing = this.#writeBatch().finally(() => {
      this.#writing = null
      // An act that came in meanwhile learns at once whether the disk has room again.
      if (this.#failure === null || this.#waiting.some(({ settle }) => settle !== null)) this.#write()
      else this.#retryLater()
    })
  }

  #retryLater(): void {
    clearTimeout(this.#retry)
    this.#retry = setTimeout(() => this.#write(), RETRY_MS)
    this.#retry.unref()
  }

  async #writeBatch(): Promise<void> {
    const batch = this.#waiting
    this.#waiting = []
    const lost = this.#lost
    try {
      const now = this.#options.clock.now()
      const chain = new Chain(this.#end, this.#key, now)
      if (this.#end.sequence === 0) chain.begin()
      const isFull =
        this.#length >= (this.#options.segmentBytes ?? MAX_SEGMENT_BYTES) || now - this.#begun >= MAX_SEGMENT_MS
      const isNewFile = this.#segments.length === 0 || isFull
      // Each file begins with the key that signs, so that reading its end is enough to go on.
      if (isNewFile && this.#end.sequence > 0) chain.checkpoint()
      if (lost > 0) chain.add({ ...ownRecord('event', 'audit.events-lost'), detail: { count: lost } })
      for (const { step } of batch) step(chain)
      await this.#put(chain, isNewFile)
      this.#lost -= lost
      this.#failure = null
      for (const { settle } of batch) settle?.resolve()
    } catch (error) {
      this.#failed(batch, error)
    }
  }

  async #put(chain: Chain, isNewFile: boolean): Promise<void> {
    const bytes = Buffer.from(chain.lines.map((line) => `${line}\n`).join(''), 'utf8')
    const { folder } = this.#options
    if (isNewFile) {
      await this.#file?.close()
      this.#file = null
    }
    const segment = isNewFile
      ? { first: this.#end.sequence + 1, path: segmentPath(folder, this.#end.sequence + 1) }
      : this.#segments.at(-1)
    if (segment === undefined) throw new HubError('internal', 'The audit log has no file.')
    this.#file ??= await (this.#options.openFile ?? openAppendFile)(segment.path)
    const start = isNewFile ? 0 : this.#length
    if (this.#isDirty) await this.#file.truncate(start)
    this.#isDirty = true
    await this.#file.write(bytes, start)
    await this.#sync()
    this.#isDirty = false
    if (isNewFile) {
      this.#segments = [...this.#segments, segment]
      this.#closedBytes += this.#segments.length === 1 ? 0 : this.#length
      this.#begun = this.#options.clock.now()
    }
    this.#length = start + bytes.length
    this.#end = chain.end
    this.#key = chain.key
    this.#tellSize()
  }

  /** After a failed flush nobody can tell what is on the disk: only a start, which reads the file, can. */
  async #sync(): Promise<void> {
    try {
      await this.#file?.sync()
    } catch (error) {
      this.#damage = `the disk failed to flush it (${error instanceof Error ? error.message : String(error)}); start the server anew`
      throw error
    }
  }

  #failed(batch: readonly Waiting[], error: unknown): void {
    this.#options.log.error({ err: error }, 'the audit log cannot be written: administrative acts are refused')
    const { code, message } = error as NodeJS.ErrnoException
    this.#failure = message
    const isFull = code === 'ENOSPC' || code === 'EDQUOT'
    const refusal = new HubError(
      isFull ? 'storage-full' : 'internal',
      `The audit log cannot be written (${isFull ? 'the disk is full' : message}): nothing was changed.`,
      { cause: error },
    )
    this.#waiting = [...batch.filter(({ settle }) => settle === null), ...this.#waiting]
    for (const { settle } of batch) settle?.reject(refusal)
  }
}

export function auditFolder(data: string): string {
  return join(data, 'audit')
}

function damaged(damage: string): HubError {
  return new HubError(
    'internal',
    `The audit log is damaged: ${damage}. Nothing was changed. Examine it with 'holdfast audit verify', move its folder away and start the server anew.`,
  )
}
