import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { encodePem, generateKey, issueRoot, keySigner } from '@holdfast/pki'

export const BIN = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'bin', 'holdfast.js')

export interface Outcome {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

/** An empty folder in which the real program runs; removed when the scope ends. */
export class Shell implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), 'holdfast-cli-'))

  /** `holdfast pki …`, without a terminal. */
  pki(...args: readonly string[]): Outcome {
    const { status, stdout, stderr } = spawnSync(process.execPath, ['--conditions=source', BIN, 'pki', ...args], {
      cwd: this.path,
      encoding: 'utf8',
      // Every test file starts the program many times; what was compiled once need not be again.
      env: { ...process.env, NODE_COMPILE_CACHE: join(tmpdir(), 'holdfast-test-compile-cache') },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: 60_000,
    })
    return { status, stdout, stderr }
  }

  /** As `pki`, for a call that must succeed and say nothing on stderr. */
  ok(...args: readonly string[]): string {
    const { status, stdout, stderr } = this.pki(...args)
    if (status !== 0 || stderr !== '') throw new Error(`holdfast pki ${args.join(' ')} ended with ${status}: ${stderr}`)
    return stdout
  }

  /** As `ok`, for a result in JSON. */
  json(...args: readonly string[]): unknown {
    return JSON.parse(this.ok(...args, '--json'))
  }

  openssl(...args: readonly string[]): string {
    return execFileSync('openssl', args, { cwd: this.path, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
  }

  write(name: string, content: string | Uint8Array): string {
    writeFileSync(join(this.path, name), content)
    return name
  }

  read(name: string): string {
    return readFileSync(join(this.path, name), 'utf8')
  }

  bytes(name: string): Buffer {
    return readFileSync(join(this.path, name))
  }

  has(name: string): boolean {
    return existsSync(join(this.path, name))
  }

  /** Permission bits, such as 0o600. */
  mode(name: string): number {
    return statSync(join(this.path, name)).mode & 0o777
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true })
  }
}

/** A refusal: exit code, and one line on stderr that matches; nothing on stdout. */
export function assertRefused(outcome: Outcome, status: number, line: RegExp): void {
  const { stdout, stderr } = outcome
  const oneLine = /^holdfast: .+\n$/.test(stderr)
  if (outcome.status === status && oneLine && line.test(stderr) && stdout === '') return
  throw new Error(
    `expected exit code ${status} and ${line}, got ${outcome.status}: ${JSON.stringify({ stdout, stderr })}`,
  )
}

const DAY = 24 * 60 * 60 * 1000

/** A root CA that expired a year ago, as the command line cannot make one. */
export async function expiredRoot(): Promise<{ certificate: string; key: string }> {
  const key = generateKey('p256')
  const term = { now: Date.now() - 730 * DAY, lifetime: 365 * DAY }
  const der = await issueRoot(keySigner(key), { subject: { commonName: 'Old Root' }, term }, (size) =>
    new Uint8Array(size).fill(7),
  )
  return {
    certificate: encodePem('CERTIFICATE', der),
    key: key.export({ type: 'pkcs8', format: 'pem' }).toString(),
  }
}
