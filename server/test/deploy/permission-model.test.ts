import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { tmpdir } from 'node:os'
import { test } from 'node:test'

// The guide says why Holdfast is not run under it; once this fails, think again.
test("Node's permission model still forbids what an acknowledgement rests on", () => {
  const flags = ['--permission', '--allow-fs-read=*', `--allow-fs-write=${tmpdir()}`]
  const program = "const fs = require('node:fs'); fs.fsyncSync(fs.openSync(require('node:os').tmpdir(), 'r'))"
  const { status, stderr } = spawnSync(process.execPath, [...flags, '--eval', program], { encoding: 'utf8' })
  assert.notEqual(status, 0)
  assert.match(stderr, /ERR_ACCESS_DENIED.*|fsync API is disabled/)
})
