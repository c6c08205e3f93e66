import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import type { ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { setDefaultCACertificates } from 'node:tls'
import { resolveNamesTo } from './host-names.ts'
import { Operator } from './operator.ts'
import type { Reachable } from './operator.ts'
import { HUB, HUB_HOST, PROVISIONING_HOST } from './whole-server.ts'

const ADDRESS = '127.0.0.1'

/** The server in a process of its own, on a data folder that the test owns. */
export class SpawnedServer {
  readonly operator: Operator
  readonly ports: Reachable['ports']
  readonly #child: ChildProcessByStdio<null, Readable, Readable>
  readonly #exit: Promise<[number | null, NodeJS.Signals | null]>
  #complaints = ''

  private constructor(child: ChildProcessByStdio<null, Readable, Readable>, reachable: Reachable) {
    this.#child = child
    this.#exit = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>
    child.stderr.on('data', (chunk: Buffer) => (this.#complaints += chunk.toString('utf8')))
    this.ports = reachable.ports
    resolveNamesTo(ADDRESS)
    this.operator = new Operator(reachable, PROVISIONING_HOST)
    setDefaultCACertificates([this.operator.ca])
  }

  static async start(data: string, settings: object = {}): Promise<SpawnedServer> {
    const config = {
      data,
      hubs: [{ name: HUB, hosts: [HUB_HOST] }],
      provisioning: { hosts: [PROVISIONING_HOST] },
      listen: { address: ADDRESS, mqtt: 0, https: 0, amqp: 0 },
      log: { level: 'error' },
      ...settings,
    }
    const script = join(import.meta.dirname, 'server-child.ts')
    const child = spawn(process.execPath, ['--conditions=source', script, JSON.stringify(config)], {
      // A server that is started many times need not be compiled each time.
      env: { ...process.env, NODE_COMPILE_CACHE: join(tmpdir(), 'holdfast-test-compile-cache') },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const line = await firstLine(child)
    return new SpawnedServer(child, JSON.parse(line) as Reachable)
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  /** What it wrote on standard error: log lines from `error` up. */
  get complaints(): string {
    return this.#complaints
  }

  /** Bytes of memory that are resident now. */
  get residentBytes(): number {
    const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${this.pid}/status`, 'utf8'))?.[1]
    return Number(kilobytes) * 1024
  }

  /** No warning, no goodbye. Returns when it is dead; harmless when it already is. */
  async kill(): Promise<void> {
    this.operator.close()
    this.#child.kill('SIGKILL')
    await this.#exit
  }

  /** Asks it to end, as Ctrl-C does; fails unless it ends well. */
  async stop(): Promise<void> {
    this.operator.close()
    this.#child.kill('SIGTERM')
    assert.deepEqual(await this.#exit, [0, null], this.#complaints)
  }
}

async function firstLine(child: ChildProcessByStdio<null, Readable, Readable>): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  let output = ''
  let complaints = ''
  const failed = (): void => reject(new Error(`the server did not start: ${complaints}`))
  const complain = (chunk: Buffer): void => void (complaints += chunk.toString('utf8'))
  child.stderr.on('data', complain)
  child.once('close', failed)
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString('utf8')
    if (output.includes('\n')) resolve(output)
  })
  const line = await promise
  child.stderr.off('data', complain)
  child.off('close', failed)
  return line
}
