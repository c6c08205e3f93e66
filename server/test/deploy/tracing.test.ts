import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { request } from 'node:https'
import { after, before, describe, test } from 'node:test'
import { context, SpanStatusCode, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { TracerProvider } from '@opentelemetry/sdk-trace'
import type { ReadableSpan, SpanProcessor } from '@opentelemetry/sdk-trace'
import mqtt from 'mqtt'
import type { MqttClient } from 'mqtt'
import { HubError } from '../../src/errors.ts'
import { beginSpan, traced } from '../../src/tracing.ts'
import type { SpanName } from '../../src/tracing.ts'
import { readEverything } from '../e2e/event-reading.ts'
import { HUB, HUB_HOST, startWholeServer } from '../e2e/whole-server.ts'
import type { WholeServer } from '../e2e/whole-server.ts'
import { sasToken } from '../hub/workbench.ts'

const KEY = Buffer.from('CANARY-of-the-coal-mine'.padEnd(32, '#')).toString('base64')

/** What ended, in order; `next` takes each span once. */
class FinishedSpans implements SpanProcessor {
  readonly all: ReadableSpan[] = []
  readonly #taken = new Set<ReadableSpan>()
  #wake: () => void = () => {}

  onStart(): void {}

  onEnd(span: ReadableSpan): void {
    this.all.push(span)
    this.#wake()
  }

  async next(name: SpanName, isMeant: (span: ReadableSpan) => boolean = () => true): Promise<ReadableSpan> {
    for (;;) {
      const found = this.all.find((span) => span.name === name && !this.#taken.has(span) && isMeant(span))
      if (found !== undefined) {
        this.#taken.add(found)
        return found
      }
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#wake = resolve
      await promise
    }
  }

  async forceFlush(): Promise<void> {}
  async shutdown(): Promise<void> {}
}

const isAt =
  (hub: string) =>
  ({ attributes }: ReadableSpan): boolean =>
    attributes['holdfast.hub'] === hub

const isOf =
  (status: number) =>
  ({ attributes }: ReadableSpan): boolean =>
    attributes['http.response.status_code'] === status

test('without an SDK nothing is recorded, and one object serves all', async () => {
  assert.equal(beginSpan('backup', {}), beginSpan('telemetry.commit', {}))
  assert.equal(await traced('backup', {}, async (span) => span.within(() => 7)), 7)
  await assert.rejects(
    traced('backup', {}, async () => {
      throw new HubError('throttled', 'later')
    }),
    { code: 'throttled' },
  )
})

describe('the spans of a server', { timeout: 60_000 }, () => {
  const finished = new FinishedSpans()
  let server: WholeServer

  before(async () => {
    trace.setGlobalTracerProvider(new TracerProvider({ spanProcessors: [finished] }))
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
    server = await startWholeServer()
  })
  after(async () => {
    await server.close()
    trace.disable()
    context.disable()
  })

  async function addDevice(id: string): Promise<void> {
    const symmetricKey = { primaryKey: KEY, secondaryKey: KEY }
    const body = { authentication: { type: 'sas', symmetricKey } }
    await server.operator.call('PUT', `/holdfast/v1/hubs/${HUB}/devices/${id}`, body)
  }

  function dial(id: string, key = KEY): Promise<MqttClient> {
    const password = sasToken({ sr: `${HUB_HOST}%2Fdevices%2F${id}`, key, se: Math.floor(Date.now() / 1000) + 600 })
    const username = `${HUB_HOST}/${id}/?api-version=2021-04-12`
    const settings = { clientId: id, username, password, reconnectPeriod: 0, protocolVersion: 4 as const }
    return mqtt.connectAsync(`mqtts://${HUB_HOST}:${server.ports.mqtt}`, settings, false)
  }

  test('a device that connects, and one that is refused with the rule', async () => {
    await addDevice('pump-1')
    const client = await dial('pump-1')
    const { attributes, status } = await finished.next('device.connect')
    assert.partialDeepStrictEqual(attributes, {
      'holdfast.hub': HUB,
      'holdfast.device.id': 'pump-1',
      'holdfast.outcome': 'accepted',
      'network.protocol.name': 'mqtt',
    })
    assert.match(String(attributes['holdfast.session.id']), /^[0-9a-f]{32}$/)
    assert.equal(status.code, SpanStatusCode.UNSET)

    await client.publishAsync('devices/pump-1/messages/events/', 'said in secret', { qos: 1 })
    const { attributes: committed } = await finished.next('telemetry.commit', isAt(HUB))
    assert.deepEqual([committed['holdfast.hub'], committed['holdfast.events']], [HUB, 1])
    assert.ok(Number(committed['holdfast.bytes']) > 14)
    await client.endAsync()

    await assert.rejects(dial('pump-1', Buffer.alloc(32, 1).toString('base64')))
    const refused = await finished.next('device.connect')
    assert.partialDeepStrictEqual(refused.attributes, {
      'holdfast.device.id': 'pump-1',
      'holdfast.outcome': 'refused',
      'holdfast.rule': 'token-signature-wrong',
      'error.type': 'unauthorized',
    })
    assert.match(String(refused.attributes['holdfast.tracking.id']), /^[0-9a-f]{32}$/)
    // It is the device that failed, not the server.
    assert.equal(refused.status.code, SpanStatusCode.UNSET)
  })

  test('a registration', async () => {
    const attestation = { type: 'symmetricKey', symmetricKey: { primaryKey: KEY, secondaryKey: KEY } }
    await server.operator.call('PUT', '/holdfast/v1/enrollments/valve-1', { attestation })
    const sr = `${server.idScope}%2Fregistrations%2Fvalve-1`
    const authorization = sasToken({ sr, key: KEY, skn: 'registration', se: Math.floor(Date.now() / 1000) + 600 })
    const path = `/${server.idScope}/registrations/valve-1/register?api-version=2021-06-01`
    await server.operator.call('PUT', path, { registrationId: 'valve-1' }, { authorization })
    assert.partialDeepStrictEqual((await finished.next('device.register')).attributes, {
      'holdfast.registration.id': 'valve-1',
      'holdfast.outcome': 'assigned',
      'holdfast.hub': HUB,
      'holdfast.device.id': 'valve-1',
    })
  })

  test('a reader that attaches', async () => {
    await readEverything(await server.operator.eventsConnectionString(HUB))
    const { attributes } = await finished.next('reader.attach')
    assert.partialDeepStrictEqual(attributes, { 'holdfast.hub': HUB, 'holdfast.consumer_group': '$Default' })
    assert.match(String(attributes['holdfast.partition']), /^\d$/)
  })

  test('a request of an operator, and under it the revocation that it causes with what that cut off', async () => {
    const client = await dial('pump-1')
    const { promise: gone, resolve } = Promise.withResolvers<void>()
    client.on('close', resolve).on('error', () => {})
    await server.operator.call('POST', `/holdfast/v1/hubs/${HUB}/revocations`, { device: 'pump-1' })
    await gone
    const { attributes, parentSpanContext } = await finished.next('revocation.close')
    assert.partialDeepStrictEqual(attributes, { 'holdfast.hub': HUB, 'holdfast.sessions.closed': 1 })
    const asked = await finished.next(
      'management.request',
      (span) => span.spanContext().spanId === parentSpanContext?.spanId,
    )
    assert.partialDeepStrictEqual(asked.attributes, {
      'http.request.method': 'POST',
      'http.route': '/holdfast/v1/hubs/:hub/revocations',
      'http.response.status_code': 200,
      'holdfast.outcome': 'accepted',
    })
    await assert.rejects(server.operator.call('GET', '/holdfast/v1/status', undefined, { authorization: 'Bearer no' }))
    const denied = await finished.next('management.request', isOf(401))
    assert.partialDeepStrictEqual(denied.attributes, {
      'http.route': '/holdfast/v1/status',
      'holdfast.outcome': 'refused',
    })
  })

  test('a backup', async () => {
    const { token, ca, host, ports } = server.operator
    const headers = { authorization: `Bearer ${token}` }
    const ask = async (): Promise<IncomingMessage> => {
      const asked = request({ method: 'POST', host, port: ports.https, path: '/holdfast/v1/backups', ca, headers })
      asked.end()
      const [answer] = (await once(asked, 'response')) as [IncomingMessage]
      return answer
    }
    let bytes = 0
    for await (const chunk of await ask()) bytes += (chunk as Buffer).length
    const { attributes } = await finished.next('backup')
    assert.partialDeepStrictEqual(attributes, { 'holdfast.bytes': bytes, 'holdfast.outcome': 'accepted' })
    assert.match(String(attributes['holdfast.backup.id']), /^[0-9a-f]{16}$/)
  })

  test('no attribute, event or status of any span holds a secret', () => {
    const told = finished.all
    assert.ok(new Set(told.map(({ name }) => name)).size >= 7)
    const text = JSON.stringify(told.map(({ name, attributes, events, status }) => [name, attributes, events, status]))
    const secrets = [KEY, encodeURIComponent(KEY), server.operator.token, 'CANARY', 'said in secret', 'SharedAccess']
    for (const secret of secrets) assert.ok(!text.includes(secret), secret)
    assert.deepEqual(
      told.flatMap(({ events }) => events),
      [],
    )
  })
})
