import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { createHash } from 'node:crypto'
import { HubError } from '../errors.ts'
import { SealError } from '../keys/envelope.ts'
import type { Sealer } from '../keys/envelope.ts'

/**
 * The file of a backup: a line that names the format; the length (4 bytes) and the JSON of the header, in the clear; then
 * chunks, each its length (4 bytes, the highest bit set in the last one) and its sealed bytes. A chunk is bound to the
 * header, to its number and to whether it is the last: none can be changed, moved, left out or taken from another backup.
 */
const FORMAT = 1
const MAGIC = Buffer.from(`holdfast-backup-${FORMAT}\n`)
const CHUNK_BYTES = 1024 * 1024
const LAST = 0x8000_0000
const MAX_HEADER_BYTES = 4 * 1024 * 1024
/** Sealing adds a few dozen bytes. */
const MAX_SEALED_BYTES = CHUNK_BYTES + 1_024

/** Seals a stream into the bytes of a backup. */
export async function* sealContainer(
  header: string,
  plain: AsyncIterable<Buffer>,
  sealer: Sealer,
): AsyncGenerator<Buffer> {
  const text = Buffer.from(header)
  yield Buffer.concat([MAGIC, uint32(text.length), text])
  const contextOf = contextsFor(text)
  let index = 0
  for await (const { chunk, isLast } of chunksOf(plain)) {
    const sealed = sealer.seal(chunk, contextOf(index++, isLast))
    yield Buffer.concat([uint32(isLast ? (sealed.length | LAST) >>> 0 : sealed.length), sealed])
  }
}

/** A backup's file, opened for reading. */
export class Container {
  readonly header: string
  readonly #file: number
  readonly #path: string

  /** Throws HubError when the file is none. */
  constructor(path: string) {
    this.#path = path
    this.#file = openSync(path, 'r')
    try {
      const magic = this.#read(MAGIC.length)
      if (!magic.equals(MAGIC)) throw damaged(path, strangeness(magic.toString('latin1')))
      this.header = this.#read(this.#length(MAX_HEADER_BYTES)).toString('utf8')
    } catch (error) {
      closeSync(this.#file)
      throw error
    }
  }

  /** What is sealed, chunk by chunk; throws HubError at the first byte that is not as it was written. */
  *open(sealer: Sealer): Generator<Buffer> {
    const contextOf = contextsFor(Buffer.from(this.header))
    for (let index = 0; ; index++) {
      const prefix = this.#read(4).readUInt32BE()
      const isLast = prefix >= LAST
      const length = isLast ? prefix - LAST : prefix
      if (length > MAX_SEALED_BYTES) throw damaged(this.#path, `chunk ${index} is too long`)
      const sealed = this.#read(length)
      yield this.#openChunk(sealer, sealed, contextOf(index, isLast), index)
      if (!isLast) continue
      if (readSync(this.#file, Buffer.alloc(1)) > 0) throw damaged(this.#path, 'something follows its end')
      return
    }
  }

  get bytes(): number {
    return fstatSync(this.#file).size
  }

  close(): void {
    closeSync(this.#file)
  }

  #openChunk(sealer: Sealer, sealed: Buffer, context: string, index: number): Buffer {
    try {
      return sealer.open(sealed, context)
    } catch (cause) {
      if (!(cause instanceof SealError)) throw cause
      throw damaged(this.#path, `chunk ${index} does not open: ${cause.message}`)
    }
  }

  #length(limit: number): number {
    const length = this.#read(4).readUInt32BE()
    if (length > limit) throw damaged(this.#path, 'its header is too long')
    return length
  }

  #read(length: number): Buffer {
    const bytes = Buffer.allocUnsafe(length)
    for (let at = 0; at < length;) {
      const count = readSync(this.#file, bytes, at, length - at, null)
      if (count === 0) throw damaged(this.#path, 'it ends too early')
      at += count
    }
    return bytes
  }
}

function strangeness(magic: string): string {
  const format = Number(/^holdfast-backup-(\d)/.exec(magic)?.[1])
  return format > FORMAT
    ? `it was written by a newer Holdfast (format ${format}, and this one reads ${FORMAT}); use that`
    : 'it is no backup of Holdfast'
}

export function damaged(path: string, how: string): HubError {
  return new HubError('format-invalid', `The backup ${path} cannot be used: ${how}. Nothing was restored.`)
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

function contextsFor(header: Buffer): (index: number, isLast: boolean) => string {
  const digest = createHash('sha256').update(header).digest('hex')
  return (index, isLast) => `backup ${digest}/${index}${isLast ? '/last' : ''}`
}

/** Pieces of any size become chunks of one size; there is always a last one. */
async function* chunksOf(plain: AsyncIterable<Buffer>): AsyncGenerator<{ chunk: Buffer; isLast: boolean }> {
  let waiting: Buffer[] = []
  let length = 0
  for await (const piece of plain) {
    waiting.push(piece)
    length += piece.length
    while (length > CHUNK_BYTES) {
      const joined = Buffer.concat(waiting)
      yield { chunk: joined.subarray(0, CHUNK_BYTES), isLast: false }
      waiting = [joined.subarray(CHUNK_BYTES)]
      length -= CHUNK_BYTES
    }
  }
  yield { chunk: Buffer.concat(waiting), isLast: true }
}
