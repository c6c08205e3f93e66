import { mkdtempSync, rmSync } from 'node:fs'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readFileSync } from 'node:fs'
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
  operate(method: string, path: string, body?: unknown): Promise<any>
}

/** A place for the data of one server, gone after the test; servers that were started in it are closed. */
export function makeFolder(t: TestContext): Folder {
  const parent = mkdtempSync(join(tmpdir(), 'holdfast-at-rest-'))
  const data = join(parent, 'data')
  t.after(() => rmSync(parent, { recursive: true }))
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
      t.after(() => server.close())
      return { ...server, operate: operateOn(server) }
    },
  }
}

function operateOn(server: RunningServer): Started['operate'] {
  const ca = readFileSync(server.rootFile ?? '')
  const token = readFileSync(server.managementTokenFile, 'utf8').trim()
  return async (method, path, body) => {
    const { promise, resolve, reject } = Promise.withResolvers<{ status: number; text: string }>()
    const sent = request(
      {
        host: '127.0.0.1',
        port: server.ports.https,
        servername: 'plant.test',
        ca,
        method,
        path: `/holdfast/v1${path}`,
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        agent: false,
      },
      (answer) => {
        const chunks: Buffer[] = []
        answer.on('data', (chunk: Buffer) => chunks.push(chunk))
        answer.on('end', () => resolve({ status: answer.statusCode ?? 0, text: Buffer.concat(chunks).toString() }))
      },
    )
    sent.on('error', reject)
    sent.end(body === undefined ? undefined : JSON.stringify(body))
    const { status, text } = await promise
    if (status >= 300) throw new Error(`${method} ${path}: ${status} ${text}`)
    return text === '' ? null : JSON.parse(text)
  }
}
