import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..', '..')

/** Which rooms of the server a room may use; everyone may use errors, log, metrics and tracing (and pki, where it is listed). */
const ALLOWED: Record<string, readonly string[]> = {
  model: ['pki'],
  ports: ['model', 'pki'],
  hub: ['ports', 'model', 'pki', 'seal'],
  provisioning: ['hub', 'ports', 'model', 'pki'],
  keys: ['ports', 'model', 'config'],
  audit: ['ports', 'model'],
  // The gate before what cuts many off stands before those verbs, whatever head asks for them.
  operators: ['hub', 'provisioning', 'keys', 'audit', 'ports', 'model', 'pki'],
  // Takes the copies of a running server, and unpacks them where no server runs.
  backup: ['audit', 'keys', 'sqlite', 'ports', 'model'],
  sqlite: ['keys', 'ports', 'model', 'pki'],
  local: ['ports', 'model'],
  net: ['hub', 'ports', 'model', 'pki', 'config'],
  mqtt: ['hub', 'provisioning', 'net', 'ports', 'model', 'pki'],
  amqp: ['hub', 'provisioning', 'net', 'ports', 'model', 'pki'],
  http: ['backup', 'hub', 'provisioning', 'keys', 'audit', 'operators', 'net', 'ports', 'model', 'pki'],
}
/** Which rooms of the hub a room of the hub may use; what lies beside the rooms is for all of them. */
const ALLOWED_IN_HUB: Record<string, readonly string[]> = {
  findings: [],
  registry: [],
  refusals: ['findings'],
  authorities: ['findings', 'refusals'],
  revocation: ['authorities'],
  sessions: ['findings', 'refusals', 'authorities', 'revocation'],
  door: ['findings', 'registry', 'refusals', 'authorities', 'revocation', 'sessions'],
  telemetry: ['findings', 'refusals', 'authorities', 'revocation', 'door'],
  operations: ['registry', 'telemetry'],
}
const FREE = new Set(['errors', 'log', 'metrics', 'tracing'])

interface SourceFile {
  readonly path: string
  readonly room: string
  readonly text: string
  readonly imports: readonly string[]
}

function sources(workspace: string): SourceFile[] {
  return globSync(`${workspace}/src/**/*.ts`, { cwd: root }).map((path) => {
    const text = readFileSync(join(root, path), 'utf8')
    const imports = [...text.matchAll(/(?:^(?:import|export)\b[^'"`;]*?\bfrom |\bimport\(|^import )'([^']+)'/gm)].map(
      (match) => match[1] ?? '',
    )
    return { path, room: roomOf(path), text, imports }
  })
}

/** `server/src/hub/registry/devices.ts` → hub; `server/src/app.ts` → app. */
function roomOf(path: string): string {
  return (path.split(sep)[2] ?? '').replace(/\.ts$/, '')
}

function target(file: SourceFile, specifier: string): string | null {
  if (specifier.startsWith('@holdfast/')) return specifier.slice('@holdfast/'.length)
  if (!specifier.startsWith('.')) return null
  return roomOf(relative(root, resolve(root, dirname(file.path), specifier)))
}

test('imports follow the directions of the house', () => {
  const wrong: string[] = []
  for (const file of sources('server')) {
    const allowed = ALLOWED[file.room]
    if (!allowed) continue
    for (const specifier of file.imports) {
      const room = target(file, specifier)
      if (room === null || room === file.room || FREE.has(room) || allowed.includes(room)) continue
      wrong.push(`${file.path} → ${specifier}`)
    }
  }
  assert.deepEqual(wrong, [])
})

test('the rooms of the hub have an order, too', () => {
  const wrong: string[] = []
  const files = sources('server').filter((file) => file.path.split(sep)[4] !== undefined && file.room === 'hub')
  for (const file of files) {
    const own = file.path.split(sep)[3] ?? ''
    for (const specifier of file.imports.filter((name) => name.startsWith('.'))) {
      const path = relative(root, resolve(root, dirname(file.path), specifier)).split(sep)
      const room = path[3] ?? ''
      if (path[2] !== 'hub' || path.length === 4 || room === own || ALLOWED_IN_HUB[own]?.includes(room)) continue
      wrong.push(`${file.path} → ${specifier}`)
    }
  }
  assert.deepEqual(wrong, [])
  assert.deepEqual(
    [...new Set(files.map((file) => file.path.split(sep)[3]))].toSorted(),
    Object.keys(ALLOWED_IN_HUB).toSorted(),
  )
})

// node:net is there for isIP, which is a pure function.
test('pki uses nothing but itself and node:crypto', () => {
  const wrong = sources('pki').flatMap((file) =>
    file.imports
      .filter((name) => !name.startsWith('./') && !['node:crypto', 'node:net'].includes(name))
      .map((name) => `${file.path} → ${name}`),
  )
  assert.deepEqual(wrong, [])
})

test('seal uses nothing but itself, pki and node:crypto', () => {
  const wrong = sources('seal').flatMap((file) =>
    file.imports
      .filter((name) => !name.startsWith('./') && !['node:crypto', '@holdfast/pki'].includes(name))
      .map((name) => `${file.path} → ${name}`),
  )
  assert.deepEqual(wrong, [])
})

test('time and randomness come in from the composition root', () => {
  const owners = new Set(['app', 'main', 'config', 'log'])
  const wrong = [...sources('server'), ...sources('pki')]
    .filter((file) => !owners.has(file.room))
    .filter((file) => /\bDate\.now\(|\bMath\.random\(|\brandomUUID\(|\brandomBytes\(|new Date\(\)/.test(file.text))
    .map((file) => file.path)
  assert.deepEqual(wrong, [])
})

test('the environment is read in one place', () => {
  const wrong = [...sources('server'), ...sources('pki')]
    .filter((file) => /process\.env/.test(file.text) && file.room !== 'config')
    .map((file) => file.path)
  assert.deepEqual(wrong, [])
})

test('nobody reads the verdict that Node gives about a peer certificate', () => {
  const wrong = sources('server')
    .filter((file) => /\.authorized\b|\.authorizationError\b/.test(file.text))
    .map((file) => file.path)
  assert.deepEqual(wrong, [])
})

test('only the door reads the status of a device', () => {
  const owners = /^server\/src\/(hub\/(door|registry|sessions)\/|provisioning\/|sqlite\/|http\/|model\/)/
  const wrong = sources('server')
    .filter((file) => /device\.status\b/.test(file.text) && !owners.test(file.path))
    .map((file) => file.path)
  assert.deepEqual(wrong, [])
})

test('names say what things are', () => {
  const forbidden = /(^|\/)(utils?|helpers?|common|shared|misc|managers?|services?\.ts|types\.ts|index\.ts)(\/|\.ts$|$)/
  const files = ['pki', 'server', 'cli'].flatMap(sources).map((file) => file.path)
  assert.deepEqual(
    files.filter((path) => forbidden.test(path) && path !== join('pki', 'src', 'index.ts')),
    [],
  )
})

test('no source file outgrows its room', () => {
  const files = ['pki', 'server', 'cli'].flatMap(sources)
  assert.deepEqual(
    files.filter((file) => file.text.split('\n').length > 500).map((file) => file.path),
    [],
  )
})
