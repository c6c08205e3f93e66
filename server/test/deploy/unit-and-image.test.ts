import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

const ROOT = join(import.meta.dirname, '..', '..', '..')
const read = (name: string): string => readFileSync(join(ROOT, 'deploy', name), 'utf8')

/** What comes after `start` in the line that starts the server. */
function startFlags(line: string): readonly string[] {
  return [...line.slice(line.indexOf('start')).matchAll(/--[a-z-]+/g)].map(([flag]) => flag)
}

const unit = read('holdfast.service')
const image = read('Dockerfile')
const lines = {
  unit: /^ExecStart=(.*)$/m.exec(unit)?.[1] ?? '',
  image: /^ENTRYPOINT (\[.*\])$/m.exec(image)?.[1] ?? '',
}

test('unit and image start the server by options that it has', () => {
  const cli = join(ROOT, 'cli', 'bin', 'holdfast.js')
  const help = execFileSync(process.execPath, ['--conditions=source', cli, 'start', '--help'], { encoding: 'utf8' })
  for (const [name, line] of Object.entries(lines)) {
    const flags = startFlags(line)
    assert.ok(flags.length >= 5, name)
    for (const flag of flags) assert.match(help, new RegExp(` ${flag}\\b`), `${name}: ${flag}`)
  }
})

test('key and token lie in another place than the data, in both', () => {
  for (const line of Object.values(lines)) {
    const [, data = ''] = /--data["', ]+([^"', ]+)/.exec(line) ?? []
    for (const option of ['--key-file', '--token-file']) {
      const [, path = ''] = new RegExp(`${option}["', ]+([^"', ]+)`).exec(line) ?? []
      assert.ok(path.startsWith('/') && path.split('/')[1] !== '' && !path.startsWith(`${data}/`), `${option} ${path}`)
      assert.notEqual(path.split('/').slice(0, -1).join('/'), data.split('/').slice(0, -1).join('/'))
    }
  }
})

test('what the image copies is there, and no data, key or token of a clone gets into it', () => {
  const copied = [...image.matchAll(/^COPY (?!--from)(.*) \S+$/gm)].flatMap(([, sources]) => (sources ?? '').split(' '))
  assert.ok(copied.length > 5)
  for (const source of copied) assert.ok(existsSync(join(ROOT, source)), source)
  const ignored = new Set(read('Dockerfile.dockerignore').trim().split('\n'))
  for (const name of ['data', 'data.*', '.git', '**/node_modules']) assert.ok(ignored.has(name), name)
})

test('the image runs as nobody in particular, and the unit with one capability', () => {
  assert.match(image, /^USER 10001:10001$/m)
  assert.match(unit, /^CapabilityBoundingSet=CAP_NET_BIND_SERVICE$/m)
  for (const setting of ['DynamicUser=yes', 'NoNewPrivileges=yes', 'ProtectSystem=strict'])
    assert.ok(unit.includes(setting))
})
