import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { trustRules } from '@holdfast/pki'
import { REFUSAL_RULES } from '../../src/model/refusal.ts'
import { adviceFor } from '../../src/hub/refusals/refusal-guide.ts'

const RULES = [...REFUSAL_RULES, ...trustRules.map((rule) => `chain:${rule}` as const)]

test('each rule of refusal is named by a test that provokes it', () => {
  const folder = join(import.meta.dirname, '..')
  const files = globSync('**/*.test.ts', { cwd: folder }).filter((path) => !path.endsWith('every-rule.test.ts'))
  const text = files.map((path) => readFileSync(join(folder, path), 'utf8')).join('\n')
  assert.deepEqual(
    RULES.filter((rule) => !text.includes(`'${rule}'`)),
    [],
  )
})

test('each rule has a meaning and a remedy of its own', () => {
  const meanings = RULES.map((rule) => adviceFor(rule).meaning)
  assert.equal(new Set(meanings).size, RULES.length)
  for (const rule of RULES) {
    const { meaning, remedy } = adviceFor(rule)
    for (const sentence of [meaning, remedy]) assert.match(sentence, /^[^a-z].*\.$/s, rule)
  }
})
