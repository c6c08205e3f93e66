import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { readPage, root } from './pages.ts'

test('the generated pages are what the code says', () => {
  const script = join(root, 'scripts', 'generate-docs.ts')
  const result = spawnSync(process.execPath, ['--conditions=source', script, '--check'], { encoding: 'utf8' })
  assert.equal(result.status, 0, result.stderr)
})

test('every dependency of every package has its line of justification, and no other has', () => {
  const { workspaces } = JSON.parse(readPage('package.json')) as { workspaces: string[] }
  const manifests = ['.', ...workspaces].map((folder) => readPage(join(folder, 'package.json')))
  const used = new Set(
    manifests.flatMap((text) => {
      const { dependencies, devDependencies, optionalDependencies } = JSON.parse(text) as Record<string, object>
      return Object.keys({ ...dependencies, ...devDependencies, ...optionalDependencies })
    }),
  )
  const listed = new Set(
    [...readPage('docs/dependencies.md').matchAll(/^\| `([^`]+)`/gm)].map((match) => match[1] ?? ''),
  )
  const foreign = [...used].filter((name) => !name.startsWith('@holdfast/'))
  assert.deepEqual([...listed].sort(), foreign.sort())
})
