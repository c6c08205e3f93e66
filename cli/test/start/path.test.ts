import assert from 'node:assert/strict'
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { Place } from './place.ts'
import type { Foreground } from './place.ts'

const DEVICE_PROGRAM = join(import.meta.dirname, 'sdk-device.mjs')
const START = '--no-quickstart --mqtt-port 0 --https-port 0 --amqp-port 0'

/** What a user types, from nothing to telemetry, one command after the other. */
describe('the whole path by the command line', { timeout: 180_000 }, () => {
  const place = new Place()
  after(() => place.leave())

  let server: Foreground
  let port = ''
  let scope = ''

  async function start(): Promise<void> {
    server = place.start(START)
    ;[, port = '', scope = ''] = await server.shows(/MQTT (\d+) .* id scope (\S+)/)
    await server.shows(/Ctrl-C stops/)
  }

  const runDevice = (id: string, messages: number): Promise<string> =>
    place.node(
      DEVICE_PROGRAM,
      [
        `localhost:${port}`,
        scope,
        id,
        place.file('line-7', 'issued', `${id}.chain.pem`),
        place.file('line-7', 'issued', `${id}.key.pem`),
        port,
        String(messages),
      ],
      { NODE_EXTRA_CA_CERTS: place.file('data', 'tls', 'server-root.cer') },
    )

  test('certificates are made offline', async () => {
    await place.holdfast('pki root contoso --name Contoso')
    await place.holdfast('pki intermediate line-7 --ca contoso --name Line7')
    const made = await place.holdfast('pki device press-1 press-2 --ca line-7')
    assert.match(made, /press-1/)
    for (const suffix of ['key.pem', 'cer', 'chain.pem', 'pfx'])
      assert.ok(statSync(place.file('line-7', 'issued', `press-1.${suffix}`)).size > 100)
  })

  test('a server starts with nothing in it', async () => {
    await start()
    assert.equal(statSync(place.file('data')).mode & 0o777, 0o700)
    assert.equal(statSync(place.file('data', 'holdfast.env')).mode & 0o777, 0o600)
    assert.equal(statSync(place.file('data.token')).mode & 0o777, 0o600)
    assert.match(await place.holdfast('status'), /0 connected of 0 devices, 0 disabled; 0 of 0 CAs verified/)
    assert.match(await place.holdfast('ca list'), /has no CA/)
    assert.match(await place.holdfast('refusals'), /nothing was refused/)
    assert.match(await place.holdfast('device list'), /has no device/)
  })

  test('a CA is registered, and trusted only once its key is proven', async () => {
    assert.match(await place.holdfast('ca register contoso contoso/ca.cer'), /not yet verified/)
    assert.match(await place.holdfast('ca show contoso'), /state +unverified/)
    // With another CA's key nothing is proven.
    await place.holdfast('pki root impostor --name Contoso')
    assert.match(await place.holdfast('ca prove contoso --ca impostor', 1), /^holdfast: .*was signed by another key/)
    assert.match(await place.holdfast('ca prove contoso --ca contoso'), /is verified/)
    assert.match(await place.holdfast('ca list'), /contoso +verified/)
    assert.match(await place.holdfast('ca prove contoso --ca contoso', 1), /is verified already/)
  })

  test('the offline way proves a second one', async () => {
    await place.holdfast('pki root spare --name Spare')
    await place.holdfast('ca register spare spare/ca.cer')
    const code = (await place.holdfast('ca code spare')).trim()
    await place.holdfast(`pki verification-cert ${code} --ca spare --out proof.cer`)
    await place.holdfast('ca prove spare --certificate proof.cer')
    assert.match(await place.holdfast('ca show spare'), /state +verified/)
    assert.match(await place.holdfast('ca delete spare --yes'), /no longer registered/)
  })

  test('a device that nobody enrolled is refused, and the refusal tells what to do', async () => {
    await assert.rejects(runDevice('press-1', 1), /Not authorized/)
    const line = await place.holdfast('refusals --device press-1')
    assert.match(line, /press-1 .*enrollment-unknown/)
    const trackingId = /([0-9a-f]{32})/.exec(line)?.[1] ?? ''
    const account = await place.holdfast(`refusals ${trackingId}`)
    assert.match(account, /what to do +Enroll the device/)
    assert.match(account, /leaf: CN=press-1\n +issued by CN=Line7/)
  })

  test('a group is enrolled, its devices provision themselves and send', async () => {
    assert.match(await place.holdfast('enroll group line-7 --certificate line-7/ca.cer'), /enrolled group 'line-7'/)
    const watching = place.holdfast('monitor --from earliest --count 3 --json')
    assert.equal((await runDevice('press-1', 3)).trim(), 'press-1 at localhost')
    const events = (await watching)
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { deviceId: string; body: string })
    assert.deepEqual(
      events.map(({ deviceId, body }) => [deviceId, body]),
      [1, 2, 3].map((n) => ['press-1', JSON.stringify({ n })]),
    )
    await server.shows(/press-1 .*\{"n":3\}/)
    const filtered = await place.holdfast('monitor --from earliest --count 1 --device press-* --property alarm=true')
    assert.match(filtered, /\{"n":2\}/)
    assert.match(await place.holdfast('enroll show line-7 --group'), /press-1 +assigned at localhost as press-1/)
    assert.match(await place.holdfast('enroll list --group'), /line-7 +x509, hashed, enabled/)
  })

  test('single devices are enrolled by certificate and by key', async () => {
    assert.match(await place.holdfast('enroll device line-7/issued/press-2.cer'), /enrolled device 'press-2'/)
    assert.match(await runDevice('press-2', 1), /press-2 at localhost/)
    assert.match(await place.holdfast('enroll key meter-1 --device-id meter-one'), /primary key +\S{40,}/)
    assert.match(await place.holdfast('enroll list'), /^meter-1 .*\n.*press-2 |^press-2 .*\nmeter-1 /)
    assert.match(await place.holdfast('enroll disable press-2 --yes'), /is disabled/)
    await assert.rejects(runDevice('press-2', 1), /Not authorized/)
    assert.match(await place.holdfast('enroll delete meter-1 --yes'), /enrolled no more/)
  })

  test('the registry is steered', async () => {
    assert.match(
      await place.holdfast('device create pump-1 --ca'),
      /created 'pump-1' \(certificateAuthority, enabled\)/,
    )
    assert.match(await place.holdfast('device create pump-2 --certificate line-7/issued/press-2.cer'), /selfSigned/)
    assert.match(
      await place.holdfast('device create pump-3 --sas'),
      /HostName=localhost;DeviceId=pump-3;SharedAccessKey=/,
    )
    assert.match(await place.holdfast('device disable press-1 --reason stolen'), /is disabled/)
    const { status, statusReason } = await place.json<{ status: string; statusReason: string }>('device show press-1')
    assert.deepEqual([status, statusReason], ['disabled', 'stolen'])
    await assert.rejects(runDevice('press-1', 1))
    assert.match(await place.holdfast('refusals --cause device-disabled'), /press-1/)
    assert.match(await place.holdfast('device enable press-1'), /is enabled/)
    assert.match(await place.holdfast('device delete pump-1 --yes'), /is deleted/)
    assert.match(await place.holdfast('device show pump-1', 1), /^holdfast: .*pump-1/)
    assert.match(await place.holdfast('device create pump-2 --ca', 1), /^holdfast: .*pump-2/)
    assert.match(await place.holdfast('status'), /of 4 devices, 0 disabled; 1 of 1 CAs verified/)
  })

  test('Ctrl-C drains and says so; the next start finds everything', async () => {
    assert.equal(await server.interrupt(), 0)
    assert.match(server.output, /stopping: [^]*stopped\. Everything that was acknowledged is on disk\.\n$/)
    assert.equal(server.complaints, '')
    assert.match(await place.holdfast('status', 1), /nothing listens at .*: is the server running\?/)
    const before = scope
    await start()
    assert.equal(scope, before)
    assert.match(await place.holdfast('ca list'), /contoso +verified/)
    assert.match(await place.holdfast('monitor --from earliest --count 1 --device press-1'), /\{"n":1\}/)
    assert.equal((await runDevice('press-1', 1)).trim(), 'press-1 at localhost')
    assert.equal(await server.interrupt(), 0)
  })
})
