import assert from 'node:assert/strict'
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

  test('of a fresh server: nothing fails, and every clause is named', { timeout: 120_000 }, async () => {
    const server = place.start(`--no-quickstart --quiet ${PORTS}`)
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
    // From afar, without the data folder, it claims less.
    const text = await place.holdfast('conformance --data data')
    assert.match(text, /it would register a CA for a moment/)
  })
})
