import assert from 'node:assert/strict'
import { createPrivateKey, createPublicKey } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { AnchorSet, keySigner, parseCertificate, PathVerifier } from '@holdfast/pki'
import { generateConsumerKey, isSealError, openSealed, seal } from '@holdfast/seal'
import deviceSdk from 'azure-iot-device'
import deviceMqtt from 'azure-iot-device-mqtt'
import provisioningSdk from 'azure-iot-provisioning-device'
import provisioningHttp from 'azure-iot-provisioning-device-http'
import x509Security from 'azure-iot-security-x509'
import { deviceOf, readEverything } from '../e2e/event-reading.ts'
import { HUB, HUB_HOST, PROVISIONING_HOST, standardPortsMissing, startWholeServer } from '../e2e/whole-server.ts'
import type { WholeServer } from '../e2e/whole-server.ts'
import { makeDevice, makeIntermediate, makeRoot } from '../http/certificates.ts'

const ADDRESS = '127.0.1.21'
const DEVICE = 'meter-4'

describe('sealed telemetry through unmodified SDKs', { skip: await standardPortsMissing(ADDRESS) }, () => {
  let server: WholeServer
  before(async () => {
    server = await startWholeServer({ address: ADDRESS, standardPorts: true })
  })
  after(() => server.close())

  test('sealed by the device, verified at the door, read and opened by its consumer', { timeout: 90_000 }, async () => {
    const { operator } = server
    const root = await makeRoot('Plant root')
    const line = await makeIntermediate(root, 'Line 1')
    const identity = await makeDevice(line, DEVICE, [line])
    await operator.registerAuthority(HUB, 'root', root)
    const attestation = { type: 'x509', x509: { caReferences: { primary: 'root' } } }
    await operator.enrollGroup('line-1', { attestation, sealed: 'verify' })

    const security = new x509Security.X509Security(DEVICE, identity)
    const provisioning = provisioningSdk.ProvisioningDeviceClient.create(
      PROVISIONING_HOST,
      server.idScope,
      new provisioningHttp.Http(),
      security,
    )
    await provisioning.register()
    const stored = (await operator.device(HUB, DEVICE)) as { sealed?: string }
    assert.equal(stored.sealed, 'verify', 'the enrollment carried it to the device')

    const consumer = generateConsumerKey()
    const payload = Buffer.from('{"kWh":1234.5}')
    const request = {
      payload,
      device: DEVICE,
      contentType: 'application/json',
      time: Date.now(),
      chain: [parseCertificate(identity.der), parseCertificate(line.der)],
      signer: keySigner(createPrivateKey(identity.key)),
      recipient: createPublicKey(consumer),
    } as const
    const sealed = await seal({ ...request, counter: 1 })
    const small = await seal({ ...request, counter: 2, thumbprintOnly: true })

    const device = deviceSdk.Client.fromConnectionString(
      `HostName=${HUB_HOST};DeviceId=${DEVICE};x509=true`,
      deviceMqtt.Mqtt,
    )
    device.setRetryPolicy({ shouldRetry: () => false, nextRetryTimeout: () => 0 })
    await device.setOptions({ cert: identity.cert, key: identity.key })
    await device.open()
    for (const body of [sealed, small, sealed]) await device.sendEvent(new deviceSdk.Message(Buffer.from(body)))

    const lost = new Promise<void>((resolve) => device.once('disconnect', () => resolve()))
    const before = await operator.refusalsUntilNow()
    const refused = device.sendEvent(new deviceSdk.Message('{"kWh":0}')).catch(() => {})
    const { rule, area, protocol, remedy } = await operator.refusal({ identity: DEVICE }, before)
    assert.deepEqual([rule, area, protocol], ['message-not-sealed', 'telemetry', 'mqtt'])
    assert.ok(remedy.length > 0)
    await lost
    await Promise.race([refused, lost])
    await device.close().catch(() => {})

    const events = (await readEverything(await operator.eventsConnectionString(HUB))).filter(
      (event) => deviceOf(event) === DEVICE && Buffer.isBuffer(event.body),
    )
    assert.deepEqual(
      events.map(({ body }) => body as Buffer),
      [Buffer.from(sealed), Buffer.from(small)],
      'what came, untouched; the repeated message once; the refused one not at all',
    )
    const verifier = new PathVerifier({ cacheSize: 8 })
    for (const event of events) {
      const opened = openSealed(event.body as Buffer, {
        trust: { kind: 'authorities', anchors: new AnchorSet([parseCertificate(root.der)]) },
        verifier,
        now: event.enqueuedTimeUtc.getTime(),
        certificates: request.chain,
        expectedDevice: deviceOf(event),
        recipientKey: consumer,
      })
      if (isSealError(opened)) assert.fail(opened.message)
      assert.deepEqual(Buffer.from(opened.payload), payload)
    }
  })
})
