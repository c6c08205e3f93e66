import { spawn } from 'node:child_process'
import type { ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { pathToFileURL } from 'node:url'
import { root } from './pages.ts'

type Child = ChildProcessByStdio<Writable, Readable, Readable>

const DONE = '\u001edone'
const READY = 'Holdfast is up'

/** One shell in a folder of its own, with `holdfast` on the path: what a reader of one page has in front of them. */
export class PageShell {
  readonly #folder = mkdtempSync(join(tmpdir(), 'holdfast-page-'))
  readonly #environment: NodeJS.ProcessEnv
  readonly #shell: Child
  readonly #servers: Child[] = []

  /** `loopback`: the address that `localhost` is for everything in this shell. */
  constructor(loopback: string) {
    cpSync(join(root, 'docs', 'samples'), this.#folder, { recursive: true })
    symlinkSync(join(root, 'node_modules'), join(this.#folder, 'node_modules'))
    const bin = mkdtempSync(join(this.#folder, '.bin-'))
    const command = `exec '${process.execPath}' --conditions=source '${join(root, 'cli', 'bin', 'holdfast.js')}' "$@"`
    writeFileSync(join(bin, 'holdfast'), `#!/bin/sh\n${command}\n`, { mode: 0o755 })
    const preload = pathToFileURL(join(import.meta.dirname, 'own-loopback.mjs')).href
    // curl reads the same from its own file.
    const resolve = [443, 8883, 5671].map((port) => `resolve = "localhost:${port}:${loopback}"\n`).join('')
    writeFileSync(join(this.#folder, '.curlrc'), resolve)
    this.#environment = {
      PATH: `${bin}:${dirname(process.execPath)}:${process.env['PATH'] ?? ''}`,
      HOME: this.#folder,
      CURL_HOME: this.#folder,
      PAGE_LOOPBACK: loopback,
      NODE_OPTIONS: `--import=${preload}`,
      // A page runs the command dozens of times; it need not be compiled each time.
      NODE_COMPILE_CACHE: join(tmpdir(), 'holdfast-test-compile-cache'),
    }
    this.#shell = this.#spawn(['-e', '-u', '-o', 'pipefail'])
  }

  /** Runs the text in the shell. Rejects with everything it wrote when a command of it fails. */
  async run(text: string): Promise<void> {
    const output = collect(this.#shell)
    // The commands must not read on in the script, which comes by the standard input of the shell.
    this.#shell.stdin.write(`{\n${text}\n} </dev/null\nprintf '${DONE}\\n'\n`)
    if (!(await output.until(DONE))) throw new Error(output.text())
  }

  /** Starts a server and returns when it says that it is up. */
  async start(text: string): Promise<void> {
    const server = this.#spawn(['-c', `exec ${text.trim()}`])
    this.#servers.push(server)
    const output = collect(server)
    if (!(await output.until(READY))) throw new Error(output.text())
  }

  /** Stops the servers as Ctrl-C does, and returns their exit codes. */
  async close(): Promise<(number | null)[]> {
    const codes = await Promise.all(
      this.#servers.map(async (server) => {
        const exit = once(server, 'exit') as Promise<[number | null]>
        if (server.exitCode === null) server.kill('SIGTERM')
        return server.exitCode ?? (await exit)[0]
      }),
    )
    this.#shell.kill()
    rmSync(this.#folder, { recursive: true, force: true })
    return codes
  }

  #spawn(args: readonly string[]): Child {
    return spawn('bash', ['--noprofile', '--norc', ...args], {
      cwd: this.#folder,
      env: this.#environment,
      stdio: ['pipe', 'pipe', 'pipe'],
    })
  }
}

/** Collects what the child writes from now on, until it has written a text or has ended. */
function collect(child: Child): { until(text: string): Promise<boolean>; text(): string } {
  let seen = ''
  const { promise, resolve } = Promise.withResolvers<boolean>()
  let wanted = ''
  const listen = (chunk: Buffer): void => {
    seen += chunk.toString('utf8')
    if (wanted !== '' && seen.includes(wanted)) resolve(true)
  }
  const ended = (): void => resolve(false)
  child.stdout.on('data', listen)
  child.stderr.on('data', listen)
  child.once('close', ended)
  return {
    until: async (text) => {
      wanted = text
      const found = await promise
      child.stdout.off('data', listen).resume()
      child.stderr.off('data', listen).resume()
      child.off('close', ended)
      return found
    },
    text: () => seen,
  }
}
