import { spawnSync } from 'node:child_process'
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'

export const FIXTURES = join(import.meta.dirname, 'fixtures')

/** What a data folder was filled with, beside it as `facts.json`. */
export interface Facts {
  readonly release: string
  readonly idScope: string
  readonly deviceKey: string
  readonly servicePolicyKey: string
  /** Bodies of the events of device `by-key`, in order. */
  readonly events: readonly string[]
}

export interface Made {
  /** Holds the folder `data`, its key file `data.key` and `facts.json`. */
  readonly parent: string
  readonly facts: Facts
}

/** The releases of which a data folder is kept. */
export function releases(): readonly string[] {
  return readdirSync(FIXTURES)
    .filter((file) => file.endsWith('.tar.gz'))
    .map((file) => file.slice(0, -'.tar.gz'.length))
    .sort()
}

/** A copy of the folder that the release wrote, gone after the test. */
export function unpack(t: TestContext, release: string): Made {
  const parent = mkdtempSync(join(tmpdir(), 'holdfast-upgrade-'))
  t.after(() => rmSync(parent, { recursive: true, force: true }))
  const { status, stderr } = spawnSync('tar', ['-xzf', join(FIXTURES, `${release}.tar.gz`), '-C', parent])
  assert.equal(status, 0, String(stderr))
  return { parent, facts: JSON.parse(readFileSync(join(parent, 'facts.json'), 'utf8')) as Facts }
}
