import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { Place } from './place.ts'

const DOCS = join(import.meta.dirname, '..', '..', '..', 'docs')
const SAMPLE = join(DOCS, 'samples', 'tracing.mjs')

describe('holdfast start with an SDK of OpenTelemetry', { timeout: 480_000 }, () => {
  const place = new Place()
  after(() => place.leave())

  test('makes spans by the file that the guide shows', async () => {
    assert.ok(readFileSync(join(DOCS, 'guides', 'operate.md'), 'utf8').includes(readFileSync(SAMPLE, 'utf8')))
    const ports = '--quiet --mqtt-port 0 --https-port 0 --amqp-port 0'
    const server = place.start(ports, { NODE_OPTIONS: `--import=${SAMPLE}` })
    await server.shows(/Ctrl-C stops/)
    await place.holdfast('status')
    assert.equal(await server.interrupt(), 0)
    for (const name of ['device.connect', 'device.register', 'telemetry.commit', 'reader.attach', 'management.request'])
      assert.match(server.output, new RegExp(`name: '${name}'`), name)
    assert.match(server.output, /'holdfast.device.id': 'sample-device-1'/)
    assert.doesNotMatch(server.output, new RegExp(place.read('data.token').trim()))
  })
})
