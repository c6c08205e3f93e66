import { readInput } from '../pki/files.ts'
import { CommandError } from '../command-error.ts'

/** The hub takes 256 KiB, and nothing larger is sealed. */
const MAX_BYTES = 256 * 1024

/** The file, or what comes in on stdin where none is named. */
export async function readMessage(path: string | undefined, what: string): Promise<Buffer> {
  if (path !== undefined && path !== '-') return bounded(readInput(path, what), what)
  if (process.stdin.isTTY) throw new CommandError(`${what}: name a file, or let it come in by a pipe`, 2)
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    chunks.push(chunk)
    length += chunk.length
    if (length > MAX_BYTES) break
  }
  return bounded(Buffer.concat(chunks), what)
}

function bounded(bytes: Buffer, what: string): Buffer {
  if (bytes.length > MAX_BYTES) throw new CommandError(`${what} has more than ${MAX_BYTES} bytes`)
  return bytes
}
