import { createHash } from 'node:crypto'
import { createWriteStream, existsSync, renameSync, rmSync } from 'node:fs'
import { request } from 'node:https'
import type { IncomingMessage } from 'node:http'
import { pipeline } from 'node:stream/promises'
import { CommandError } from '../command-error.ts'
import { logInOf } from '../server-access.ts'
import type { ServerAccess } from '../server-access.ts'

const SILENCE_MS = 120_000
const MAX_FAILURE_BYTES = 64 * 1024

/** Streams an answer into a file of mode 0600, which is there whole or not at all. */
export async function download(
  access: ServerAccess,
  path: string,
  file: string,
): Promise<{ readonly bytes: number; readonly sha256: string }> {
  if (existsSync(file)) throw new CommandError(`there is a file ${file} already; it is not overwritten`)
  const answer = await ask(access, path)
  if (answer.statusCode !== 200) throw new CommandError(await wordsOf(answer))
  const draft = `${file}.part`
  const hash = createHash('sha256')
  let bytes = 0
  answer.on('data', (chunk: Buffer) => {
    hash.update(chunk)
    bytes += chunk.length
  })
  try {
    await pipeline(answer, createWriteStream(draft, { mode: 0o600, flush: true }))
  } catch (cause) {
    rmSync(draft, { force: true })
    const { code, path: place, message } = cause as NodeJS.ErrnoException
    if (place === draft) throw new CommandError(`${file} cannot be written (${code}): is its folder there?`)
    throw new CommandError(`the backup broke off: ${message}. The server's log says why.`)
  }
  renameSync(draft, file)
  return { bytes, sha256: hash.digest('hex') }
}

function ask(access: ServerAccess, path: string): Promise<IncomingMessage> {
  const { url, ca } = access
  return new Promise((resolve, reject) => {
    const outgoing = request(new URL(path, url), {
      method: 'POST',
      ca,
      timeout: SILENCE_MS,
      ...logInOf(access),
    })
    outgoing.on('timeout', () => outgoing.destroy(new Error(`no answer within ${SILENCE_MS / 1000} s`)))
    outgoing.on('error', (cause) => reject(new CommandError(`${url.origin} cannot be reached: ${cause.message}`)))
    outgoing.on('response', resolve)
    outgoing.end()
  })
}

async function wordsOf(answer: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of answer.setEncoding('utf8')) {
    text += String(chunk)
    if (text.length > MAX_FAILURE_BYTES) break
  }
  try {
    const { error } = JSON.parse(text) as { error?: { message?: string } }
    return error?.message ?? `HTTP ${answer.statusCode}`
  } catch {
    return `HTTP ${answer.statusCode}`
  }
}
