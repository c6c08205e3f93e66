import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import type { ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'

const BIN = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'bin', 'holdfast.js')
const OWN_TIMEOUT_MS = 60_000

type Child = ChildProcessByStdio<null, Readable, Readable>

/** A server that runs in the foreground of some terminal. */
export class Foreground {
  readonly #child: Child
  readonly #closed: Promise<[number | null, NodeJS.Signals | null]>
  #output = ''
  #complaints = ''
  #wake: () => void = () => {}

  constructor(child: Child) {
    this.#child = child
    this.#closed = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>
    child.stdout.on('data', (chunk: Buffer) => {
      this.#output += chunk.toString('utf8')
      this.#wake()
    })
    child.stderr.on('data', (chunk: Buffer) => (this.#complaints += chunk.toString('utf8')))
    child.once('close', () => this.#wake())
  }

  get output(): string {
    return this.#output
  }

  get complaints(): string {
    return this.#complaints
  }

  /** Resolves with the match as soon as the output has it; fails when the server ends first. */
  async shows(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(this.#output)
      if (match !== null) return match
      if (this.#child.exitCode !== null || this.#child.signalCode !== null)
        throw new Error(`ended without ${pattern}: ${this.#output}${this.#complaints}`)
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  /** Ctrl-C. Returns the exit code. */
  async interrupt(): Promise<number | null> {
    this.#child.kill('SIGINT')
    const [code] = await this.#closed
    return code
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#closed
  }
}

/** An empty folder in which somebody types commands. What still runs is killed, and all is removed, by `leave`. */
export class Place {
  readonly path = mkdtempSync(join(tmpdir(), 'holdfast-place-'))
  readonly #servers: Foreground[] = []

  /** `holdfast …`: what it printed. Fails unless it ends with `status` (0). */
  async holdfast(
    line: string,
    status = 0,
    environment: Record<string, string> = {},
    wanted: 'output' | 'complaints' = status === 0 ? 'output' : 'complaints',
  ): Promise<string> {
    const child = this.#spawn([BIN, ...line.split(' ')], environment)
    return this.#outcome(child, `holdfast ${line}`, status, wanted)
  }

  async json<T>(line: string): Promise<T> {
    return JSON.parse(await this.holdfast(`${line} --json`)) as T
  }

  /** A program of somebody else's, in Node, with this much more in its environment. */
  async node(script: string, args: readonly string[], environment: Record<string, string>): Promise<string> {
    return this.#outcome(this.#spawn([script, ...args], environment), script, 0)
  }

  start(line: string, environment: Record<string, string> = {}): Foreground {
    const server = new Foreground(this.#spawn([BIN, 'start', ...line.split(' ')], environment))
    this.#servers.push(server)
    return server
  }

  file(...names: readonly string[]): string {
    return join(this.path, ...names)
  }

  read(...names: readonly string[]): string {
    return readFileSync(this.file(...names), 'utf8')
  }

  async leave(): Promise<void> {
    await Promise.all(this.#servers.map((server) => server.kill()))
    rmSync(this.path, { recursive: true, force: true })
  }

  #spawn(args: readonly string[], environment: Record<string, string> = {}): Child {
    // A shell in which nobody has set anything up.
    const inherited: NodeJS.ProcessEnv = { ...process.env, NO_COLOR: '1' }
    for (const name of ['NODE_EXTRA_CA_CERTS', 'FORCE_COLOR', 'HOLDFAST_MANAGEMENT_URL']) delete inherited[name]
    const compiled = join(tmpdir(), 'holdfast-test-compile-cache')
    return spawn(process.execPath, ['--conditions=source', ...args], {
      cwd: this.path,
      env: { ...inherited, NODE_COMPILE_CACHE: compiled, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
  }

  async #outcome(
    child: Child,
    what: string,
    status: number,
    wanted: 'output' | 'complaints' = 'output',
  ): Promise<string> {
    let output = ''
    let complaints = ''
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString('utf8')))
    child.stderr.on('data', (chunk: Buffer) => (complaints += chunk.toString('utf8')))
    const overdue = setTimeout(() => child.kill('SIGKILL'), OWN_TIMEOUT_MS)
    const [code] = (await once(child, 'close')) as [number | null]
    clearTimeout(overdue)
    assert.equal(code, status, `${what} ended with ${code}: ${output}${complaints}`)
    return wanted === 'output' ? output : complaints
  }
}
