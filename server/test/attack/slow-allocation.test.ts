import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { derivedKey, openProvisioning, tokenFor, WEST } from '../provisioning/fixture.ts'

const KEY = Buffer.alloc(32, 7).toString('base64')

test('a device whose enrollment is disabled while a webhook chooses its hub gets into none', async (t) => {
  const webhook = createServer().listen(0, '127.0.0.1')
  await once(webhook, 'listening')
  const house = await openProvisioning()
  t.after(async () => {
    await house.close()
    webhook.closeAllConnections()
    webhook.close()
  })
  const draft = {
    enrollmentGroupId: 'slow',
    attestation: { type: 'symmetricKey', symmetricKey: { primaryKey: KEY, secondaryKey: KEY } },
    allocationPolicy: 'custom',
    customAllocationDefinition: { webhookUrl: `http://127.0.0.1:${(webhook.address() as AddressInfo).port}` },
  }
  await house.enrollments.putGroup(draft, null)
  const who = await house.authenticate('pump', { token: tokenFor('pump', derivedKey(KEY, 'pump')) })
  const asked = once(webhook, 'request')
  await house.registrar.register(who, {}, { force: false })
  const [, response] = (await asked) as [unknown, ServerResponse]
  await house.enrollments.putGroup({ ...draft, provisioningStatus: 'disabled' }, { kind: 'any' })
  response.end(JSON.stringify({ iotHubHostName: 'west.example' }))
  assert.equal((await settled()).status, 'failed')
  assert.equal(await house.device(WEST, 'pump'), null)

  async function settled() {
    for (;;) {
      await setImmediate()
      const registration = await house.registry.registrations.get(who.registrationId)
      if (registration !== null && registration.status !== 'assigning') return registration
    }
  }
})
