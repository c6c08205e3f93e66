import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { AuditLog } from '../../src/audit/audit-log.ts'
import type { AuditLogOptions } from '../../src/audit/audit-log.ts'
import type { AuditRecord } from '../../src/audit/entry.ts'
import { verifyAuditLog } from '../../src/audit/verify.ts'
import type { Anchors } from '../../src/audit/verify.ts'
import { createLog } from '../../src/log.ts'
import type { SecretFiles } from '../../src/ports/secret-files.ts'

export const NO_ANCHORS: Anchors = { checkpoints: [], publicKey: null }

/** Keeps the keys unsealed: what is tried here is the log. */
export const plainFiles: SecretFiles = {
  read: (path) => (existsSync(path) ? readFileSync(path, 'utf8') : null),
  write: (path, text) => writeFileSync(path, text, { mode: 0o600 }),
}

export const time = { now: Date.UTC(2027, 0, 1) }

export async function tempFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-audit-'))
  t.after(() => rm(folder, { recursive: true }))
  return folder
}

export function openLog(folder: string, options: Partial<AuditLogOptions> = {}): Promise<AuditLog> {
  return AuditLog.open({
    folder,
    secrets: plainFiles,
    clock: { now: () => time.now },
    log: createLog({ level: 'silent' }),
    ...options,
  })
}

export function act(name: string, sequence?: number): AuditRecord {
  return {
    kind: sequence === undefined ? 'intent' : 'outcome',
    act: name,
    who: { name: 'ada', role: 'owner', method: 'token' },
    from: { address: '192.0.2.7', protocol: 'https' },
    trackingId: 'f'.repeat(32),
    target: { hub: 'plant', name: 'line-7' },
    ...(sequence !== undefined && { of: sequence, result: 'done' as const }),
  }
}

export function copyOf(folder: string, to: string): string {
  cpSync(folder, to, { recursive: true })
  return to
}

export function linesIn(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.jsonl'))
    .toSorted()
    .flatMap((name) => readFileSync(join(folder, name), 'utf8').split('\n').slice(0, -1))
}

/** Puts all lines into the first file and takes the others away. */
export function writeLines(folder: string, lines: readonly string[]): void {
  const [first = '000000000001.jsonl'] = readdirSync(folder).filter((name) => name.endsWith('.jsonl'))
  writeFileSync(join(folder, first), lines.map((line) => `${line}\n`).join(''))
}

export function rulesOf(folder: string, anchors: Anchors = NO_ANCHORS): string[] {
  return verifyAuditLog(folder, anchors).findings.map(({ rule, sequence }) => `${rule} ${sequence}`)
}
