import assert from 'node:assert/strict'
import { chmodSync, rmSync, writeFileSync } from 'node:fs'
import { after, describe, test } from 'node:test'
import { Place } from '../start/place.ts'

interface Report {
  readonly checks: readonly {
    readonly check: string
    readonly clauses: readonly string[]
    readonly result: string
    readonly evidence: string
  }[]
}

const PORTS = '--mqtt-port 0 --https-port 0 --amqp-port 0'
const WANTED = [
  ...[
    '1.2',
    '1.5',
    '1.8',
    '1.9',
    '2.8',
    '2.9',
    '2.10',
    '2.11',
    '2.12',
    '3.1',
    '3.9',
    '4.1',
    '4.3',
    '7.1',
    '7.2',
    '7.3',
    '7.4',
  ].map((number) => `IEC 62443-4-2 CR ${number}`),
  'RFC 9325',
  'ETSI EN 303 645',
  'NIST IR 8259A',
  'CRA I',
]

describe('holdfast conformance', () => {
  const place = new Place()
  after(() => place.leave())

  test(
    'of the quickstart at an address of its own: nothing fails, and every clause is named',
    { timeout: 480_000 },
    async () => {
      const server = place.start(`--quiet --listen 127.0.0.12 ${PORTS}`)
      await server.shows(/Holdfast is up/)
      const { checks } = await place.json<Report>('conformance --with-changes')
      assert.deepEqual(
        checks.filter(({ result }) => result === 'fail'),
        [],
      )
      const open = checks.filter(({ result }) => result === 'not-checked')
      // These are the ones that no probe can show; each says why.
      assert.ok(open.length <= 4 && open.every(({ evidence }) => evidence.length > 20), JSON.stringify(open))
      for (const clause of WANTED)
        assert.ok(
          checks.some(({ clauses }) => clauses.some((each) => each.startsWith(clause))),
          clause,
        )
      const token = checks.find(({ check }) => check === "the owner's token is not among the data")
      assert.match(token?.evidence ?? '', /^in .*data\.token$/)
      // Found wanting: a token that others can read, or in the data folder, and a key in a file of it.
      chmodSync(place.file('data.token'), 0o644)
      writeFileSync(place.file('data', 'notes.txt'), `my token: ${place.read('data.token')}`, { mode: 0o600 })
      const wanting = JSON.parse(await place.holdfast('conformance --json', 1, {}, 'output')) as Report
      const failed = wanting.checks.filter(({ result }) => result === 'fail')
      assert.deepEqual(
        failed.map(({ check }) => check),
        ['nobody but the owner of the server may read its files', 'secrets are not in the clear in any stored byte'],
      )
      assert.match(
        failed.map(({ evidence }) => evidence).join(),
        /data\.token can be read by others.*notes\.txt holds a key/,
      )
      rmSync(place.file('data', 'notes.txt'))
      chmodSync(place.file('data.token'), 0o600)
      // From afar, without the data folder, it claims less.
      const text = await place.holdfast('conformance --data data')
      assert.match(text, /it would register a CA for a moment/)
    },
  )
})
