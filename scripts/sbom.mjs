// What Holdfast is made of, as a CycloneDX 1.6 bill of materials (ECMA-424): every package that an installation for use
// brings, by the lock file, with its digest and licence, and which needs which. The same lock file gives the same bytes.
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { licenseOfPackage } from './licenses.mjs'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const LOCK = 'package-lock.json'

function billOfMaterials(lockText) {
  const { packages } = JSON.parse(lockText)
  const needed = neededFrom(packages)
  const product = packages['']
  // One version of a package may lie in several places.
  const components = new Map()
  const graph = new Map()
  for (const [path, entry] of needed) {
    const ref = purlOf(named(path, entry))
    if (path !== '') components.set(ref, component(path, entry))
    const targets = targetsOf(packages, path, entry).map((to) => purlOf(named(to, packages[to])))
    graph.set(ref, new Set([...(graph.get(ref) ?? []), ...targets]))
  }
  return {
    $schema: 'http://cyclonedx.org/schema/bom-1.6.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    serialNumber: `urn:uuid:${uuidOf(lockText)}`,
    version: 1,
    metadata: {
      lifecycles: [{ phase: 'pre-build' }],
      tools: { components: [{ type: 'application', name: 'scripts/sbom.mjs', version: product.version }] },
      component: { type: 'application', 'bom-ref': purlOf(product), ...identity(product), ...terms(product.license) },
    },
    components: byName(components).map(([, each]) => each),
    dependencies: byName(graph).map(([ref, targets]) => ({
      ref,
      dependsOn: byName(targets.entries()).map(([to]) => to),
    })),
  }
}

function byName(map) {
  return [...map].toSorted(([a], [b]) => (a < b ? -1 : 1))
}

/** By path in the lock file: everything that is reached from the product without what only its development needs. */
function neededFrom(packages) {
  const found = new Map()
  const waiting = ['']
  while (waiting.length > 0) {
    const path = waiting.pop()
    if (found.has(path)) continue
    found.set(path, packages[path])
    waiting.push(...targetsOf(packages, path, packages[path]))
  }
  return found
}

/** Paths of what a package needs; a peer counts when it is there. */
function targetsOf(packages, path, entry) {
  const own = path === '' ? (entry.workspaces ?? []) : []
  const names = { ...entry.peerDependencies, ...entry.optionalDependencies, ...entry.dependencies }
  return [...own, ...Object.keys(names).flatMap((name) => resolved(packages, path, name))]
}

/** As Node resolves: the nearest node_modules, upwards. A link leads to a workspace. */
function resolved(packages, from, name) {
  for (let at = from; ; at = at.slice(0, Math.max(0, at.lastIndexOf('node_modules/') - 1))) {
    const path = at === '' ? `node_modules/${name}` : `${at}/node_modules/${name}`
    const entry = packages[path]
    if (entry?.link) return [entry.resolved]
    if (entry !== undefined) return [path]
    if (at === '') return []
  }
}

function component(path, entry) {
  const { integrity, optional } = entry
  const described = named(path, entry)
  return {
    type: path.includes('node_modules/') ? 'library' : 'application',
    'bom-ref': purlOf(described),
    ...identity(described),
    scope: optional ? 'optional' : 'required',
    ...(integrity && { hashes: [hashOf(integrity)] }),
    ...terms(licenseOfPackage(described.name, entry, join(root, path, 'package.json'))),
  }
}

function named(path, entry) {
  const at = path.lastIndexOf('node_modules/')
  return { ...entry, name: entry.name ?? path.slice(at + 'node_modules/'.length) }
}

function identity({ name, version, ...rest }) {
  const [, group, bare] = /^(?:(@[^/]+)\/)?(.+)$/.exec(name) ?? []
  return { ...(group && { group }), name: bare ?? name, version, purl: purlOf({ name, version, ...rest }) }
}

/** https://github.com/package-url/purl-spec, type npm: the scope's @ is encoded. */
function purlOf({ name, version }) {
  return `pkg:npm/${name.replace(/^@/, '%40')}@${version}`
}

/** Subresource integrity is base64, CycloneDX is hex. */
function hashOf(integrity) {
  const [algorithm = '', digest = ''] = integrity.split('-')
  const alg = { sha512: 'SHA-512', sha384: 'SHA-384', sha256: 'SHA-256' }[algorithm]
  if (alg === undefined) throw new Error(`${LOCK} has a digest by ${algorithm}, which is not relied upon`)
  return { alg, content: Buffer.from(digest, 'base64').toString('hex') }
}

function terms(license) {
  return { licenses: [/ (?:OR|AND|WITH) /.test(license) ? { expression: license } : { license: { id: license } }] }
}

/** A UUID of version 8 (RFC 9562 §5.8): its bits come from the lock file. */
function uuidOf(text) {
  const bytes = createHash('sha256').update(text).digest().subarray(0, 16)
  bytes[6] = (bytes[6] & 0x0f) | 0x80
  bytes[8] = (bytes[8] & 0x3f) | 0x80
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const bom = billOfMaterials(readFileSync(join(root, LOCK), 'utf8'))
  process.stdout.write(`${JSON.stringify(bom, null, 2)}\n`)
}
