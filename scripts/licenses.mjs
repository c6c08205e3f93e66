// Every installed package must come under a licence that Holdfast can be shipped with, by its own metadata.
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')

/** Permissive; all of them ask for their text to be passed on, which node_modules does. */
const ALLOWED = new Set([
  'MIT',
  'MIT-0',
  'Apache-2.0',
  'ISC',
  'BSD-2-Clause',
  'BSD-3-Clause',
  '0BSD',
  'BlueOak-1.0.0',
  'CC0-1.0',
])

/** Packages whose metadata do not say it in an SPDX expression of these, and what their licence file says. */
const LOOKED_UP = {
  'buffer-builder': { license: 'MIT', reason: "its metadata say 'MIT/X11', another name of MIT" },
  eyes: { license: 'MIT', reason: 'the text of MIT in LICENSE; its metadata list it without a type' },
  'node-hkdf-sync': { license: 'Apache-2.0', reason: 'stated in README.md' },
  vows: { license: 'MIT', reason: 'the text of MIT in LICENSE' },
}

/** `(MIT OR X)` is fine when one part is, `(MIT AND X)` when every part is. */
export function isAllowed(expression) {
  const text = expression.trim().replace(/^\((.*)\)$/, '$1')
  if (/ OR /i.test(text)) return text.split(/ OR /i).some(isAllowed)
  if (/ AND /i.test(text)) return text.split(/ AND /i).every(isAllowed)
  return ALLOWED.has(text)
}

/** An SPDX expression, by the lock file, by what was looked up, or by the package's own metadata. */
export function licenseOfPackage(name, entry, manifest) {
  const known = LOOKED_UP[name]?.license ?? entry.license
  return known ?? licenseOf(JSON.parse(readFileSync(manifest, 'utf8')))
}

function licenseOf(manifest) {
  const { license, licenses } = manifest
  if (typeof license === 'string') return license
  if (typeof license?.type === 'string') return license.type
  if (Array.isArray(licenses)) return licenses.map(({ type }) => type).join(' OR ')
  return 'none stated'
}

function check() {
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'))
  const problems = []
  const counts = new Map()
  for (const [path, entry] of Object.entries(lock.packages)) {
    // Workspaces are ours; optional packages of other platforms are not installed.
    const manifest = join(root, path, 'package.json')
    if (!path.includes('node_modules/') || entry.link || !existsSync(manifest)) continue
    const { name, version, ...metadata } = JSON.parse(readFileSync(manifest, 'utf8'))
    const license = LOOKED_UP[name]?.license ?? licenseOf(metadata)
    counts.set(license, (counts.get(license) ?? 0) + 1)
    if (!isAllowed(license)) problems.push(`${name} ${version}: ${license}${entry.dev ? ' (development)' : ''}`)
  }
  return { problems, counts }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { problems, counts } = check()
  for (const problem of problems) process.stderr.write(`${problem}\n`)
  if (problems.length > 0) process.exitCode = 1
  else {
    const summary = [...counts].toSorted((a, b) => b[1] - a[1]).map(([license, count]) => `${count} ${license}`)
    process.stdout.write(`licences: ${summary.join(', ')}\n`)
  }
}
