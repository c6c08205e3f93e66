import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { startServer } from '../../src/app.ts'
import type { Environment, RunningServer } from '../../src/app.ts'
import { readConfig } from '../../src/config.ts'
import { parseHubName } from '../../src/model/ids.ts'

export const HUB = parseHubName('plant')

export interface Folder {
  /** Holds the data folder and, beside it, the key file. */
  readonly parent: string
  readonly data: string
  readonly keyFile: string
  start(options?: { keys?: object; environment?: Environment; quiet?: boolean }): Promise<Started>
}

export interface Started extends RunningServer {
  /** Calls the management API; rejects unless the answer is 2xx. */
  operate<T = unknown>(method: string, path: string, body?: unknown): Promise<T>
  /** Any request, to one of the server's host names. */
  ask(asked: Asked): Promise<Answer>
  /** The owner's. */
  readonly token: string
  /** What `operate` reads, as it comes. */
  fetch(method: string, path: string): Promise<Buffer>
}

interface Answer {
  readonly status: number
  readonly bytes: Buffer
  readonly text: string
}

/** A place in `place` for the data of one server, gone after the test; servers that were started in it are closed. */
export function makeFolder(t: TestContext, place = tmpdir()): Folder {
  const parent = mkdtempSync(join(place, 'holdfast-at-rest-'))
  const data = join(parent, 'data')
  const servers: { close(): Promise<void> }[] = []
  // What runs after a test runs in the order in which it was asked for.
  t.after(async () => {
    for (const server of servers) await server.close()
    rmSync(parent, { recursive: true })
  })
  return {
    parent,
    data,
    keyFile: `${data}.key`,
    start: async ({ keys = {}, environment = {}, quiet = true } = {}) => {
      const server = await startServer(
        readConfig({
          data,
          hubs: [{ name: HUB, hosts: ['plant.test'], partitions: 2 }],
          provisioning: { hosts: ['dps.test'] },
          listen: { address: '127.0.0.1', mqtt: 0, https: 0, amqp: 0 },
          keys,
          log: { level: quiet ? 'silent' : 'debug' },
        }),
        environment,
      )
      servers.push(server)
      const ask = askerOf(server)
      return { ...server, ask, ...operatorOf(server, ask) }
    },
  }
}

interface Asked {
  readonly host: string
  readonly method: string
  readonly path: string
  readonly headers?: Record<string, string>
  readonly body?: string
}

function askerOf(server: RunningServer): Started['ask'] {
  const ca = readFileSync(server.rootFile ?? '')
  return ({ host, body, ...asked }) => {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>()
    const headers = { 'content-type': 'application/json', host, ...asked.headers }
    const place = { host: '127.0.0.1', port: server.ports.https, servername: host, ca, agent: false }
    const sent = request({ ...asked, ...place, headers }, (answer) => {
      const chunks: Buffer[] = []
      answer.on('data', (chunk: Buffer) => chunks.push(chunk))
      answer.on('end', () => {
        const bytes = Buffer.concat(chunks)
        resolve({ status: answer.statusCode ?? 0, bytes, text: bytes.toString() })
      })
    })
    sent.on('error', reject)
    sent.end(body)
    return promise
  }
}

function operatorOf(server: RunningServer, ask: Started['ask']): Pick<Started, 'operate' | 'fetch' | 'token'> {
  const token = readFileSync(server.managementTokenFile, 'utf8').trim()
  const call = async (method: string, path: string, json: { body?: string }): Promise<Answer> => {
    const headers = { authorization: `Bearer ${token}` }
    const answer = await ask({ host: 'plant.test', method, path: `/holdfast/v1${path}`, headers, ...json })
    if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${answer.text}`)
    return answer
  }
  return {
    token,
    operate: async <T>(method: string, path: string, body?: unknown): Promise<T> => {
      const { text } = await call(method, path, body === undefined ? {} : { body: JSON.stringify(body) })
      // The caller names the shape that the API documents.
      return (text === '' ? null : JSON.parse(text)) as T
    },
    fetch: async (method, path) => (await call(method, path, { body: '{}' })).bytes,
  }
}

export interface StoredFile {
  readonly name: string
  readonly path: string
  readonly bytes: Buffer
}

/** Every file of a folder that a running server may change. */
export function filesIn(folder: string): readonly StoredFile[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true }).flatMap((entry) => {
    const path = join(entry.parentPath, entry.name)
    if (!entry.isFile()) return []
    try {
      return [{ name: entry.name, path, bytes: readFileSync(path) }]
    } catch (error) {
      // A journal that has been deleted since the folder was listed.
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
      throw error
    }
  })
}
