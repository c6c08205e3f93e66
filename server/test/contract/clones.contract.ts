import assert from 'node:assert/strict'
import { afterEach, beforeEach, suite, test } from 'node:test'
import type { Alarm } from '../../src/model/alarm.ts'
import type { Approval } from '../../src/model/approval.ts'
import type { CredentialUse } from '../../src/model/credential-use.ts'
import { parseDeviceId } from '../../src/model/ids.ts'
import type { Webhook } from '../../src/model/webhook.ts'
import type { Registry } from '../../src/ports/registry.ts'
import { device, HUB, NOW, OTHER_HUB } from './nouns.ts'

interface Opened {
  readonly registry: Registry
  readonly reopen: () => Promise<Registry>
  readonly dispose: () => Promise<void>
}

function use(id: string, changes: Partial<CredentialUse> & { sha256?: string } = {}): CredentialUse {
  const { sha256 = `certificate of ${id}`, ...rest } = changes
  const certificate = { subject: `CN=${id}`, issuer: 'CN=CA', serial: '01', notBefore: NOW, notAfter: NOW, sha256 }
  const where = { address: '192.0.2.1', port: 1, protocol: 'mqtt' }
  const own = { serial: `serial of ${id}`, key: `key of ${id}` }
  return { hub: HUB, deviceId: parseDeviceId(id), certificate, ...own, seen: NOW, ...where, ...rest }
}

function alarm(id: string, changes: Partial<Alarm> = {}): Alarm {
  const fixed = { hub: HUB, kind: 'key-shared', subject: 'd1', message: 'Two.', remedy: 'One.', evidence: [] } as const
  return { id, time: NOW, ...fixed, ...changes }
}

function webhook(id: string, changes: Partial<Webhook> = {}): Webhook {
  return {
    hub: HUB,
    id,
    url: 'https://example.com/',
    events: ['security'],
    secret: 'c2VjcmV0',
    createdTime: NOW,
    disabled: null,
    position: 0,
    lastDelivered: null,
    failingSince: null,
    lastError: null,
    ...changes,
  }
}

function approval(id: string): Approval {
  return {
    id,
    act: 'authority.delete',
    path: 'DELETE /holdfast/v1/hubs/plant/authorities/line',
    cutsOff: 'Nobody.',
    requestedBy: 'owner',
    requestedAt: NOW,
    expires: NOW + 1,
    approvedBy: null,
    request: 'a'.repeat(64),
    state: 'etag',
  }
}

/** Alarms, credential uses, webhooks and approvals, as every registry keeps them. */
export function cloneContract(name: string, open: (options: { refusalCapacity: number }) => Promise<Opened>): void {
  suite(`alarms, credential uses, webhooks and approvals: ${name}`, () => {
    let opened: Opened
    let registry: Registry
    beforeEach(async () => {
      opened = await open({ refusalCapacity: 10 })
      registry = opened.registry
    })
    afterEach(() => opened.dispose())

    const devicesOf = (uses: readonly CredentialUse[]) => uses.map(({ deviceId }) => deviceId as string).toSorted()

    test('alarms come newest first, by every filter, page by page, also after reopening', async () => {
      await registry.alarms.add(alarm('a'))
      await registry.alarms.add(alarm('b', { hub: OTHER_HUB }))
      await registry.alarms.add(alarm('c', { kind: 'identity-flapping', subject: 'd2' }))
      registry = await opened.reopen()
      const ids = async (filter: object) => (await registry.alarms.list({ limit: 10, ...filter })).map(({ id }) => id)
      assert.deepEqual(await ids({}), ['c', 'b', 'a'])
      assert.deepEqual(await ids({ hub: HUB }), ['c', 'a'])
      assert.deepEqual(await ids({ kind: 'key-shared' }), ['b', 'a'])
      assert.deepEqual(await ids({ subject: 'd2' }), ['c'])
      const [, second] = await registry.alarms.list({ limit: 2 })
      assert.deepEqual(await ids({ before: second?.sequence ?? 0 }), ['a'])
      assert.deepEqual(await ids({ after: second?.sequence ?? 0 }), ['c'])
      assert.deepEqual(await registry.alarms.get('a'), alarm('a'))
      assert.equal(await registry.alarms.get('z'), null)
    })

    test('uses are related by certificate, serial and key, over hubs, and not to themselves', async () => {
      for (const id of ['d1', 'd2', 'd3', 'd4']) await registry.devices.create(device(id))
      await registry.devices.create(device('d5', { hub: OTHER_HUB }))
      const first = use('d1')
      const { sha256 } = first.certificate
      const uses = [
        first,
        use('d2', { key: first.key }),
        use('d3', { serial: first.serial }),
        use('d4'),
        use('d5', { hub: OTHER_HUB, sha256 }),
      ]
      await registry.credentialUses.add(uses)
      assert.deepEqual(devicesOf(await registry.credentialUses.related(first)), ['d2', 'd3', 'd5'])
      assert.deepEqual(await registry.credentialUses.related(use('d4')), [])
      await registry.credentialUses.add([use('d2', { key: 'another' })])
      const [kept] = await registry.credentialUses.related(use('dx', { key: first.key, serial: 'x', sha256: 'x' }))
      assert.equal(kept?.seen, NOW, 'what is known stays as it was first seen')
    })

    test('of a device the newest eight uses are kept; of a deleted or unknown one none', async () => {
      await registry.devices.create(device('d1'))
      const uses = Array.from({ length: 10 }, (_, index) => use('d1', { sha256: `c${index}`, seen: NOW + index }))
      await registry.credentialUses.add([...uses, use('stranger', { key: 'key of d1' })])
      const asked = use('other', { key: 'key of d1', serial: 'x', sha256: 'x' })
      const seen = (await registry.credentialUses.related(asked)).map((each) => each.seen - NOW)
      assert.deepEqual(
        seen.toSorted((a, b) => a - b),
        [2, 3, 4, 5, 6, 7, 8, 9],
      )
      await registry.devices.delete(HUB, parseDeviceId('d1'), { kind: 'any' })
      assert.deepEqual(await registry.credentialUses.related(asked), [])
    })

    test('a webhook is replaced while it is there and does not come back from the dead', async () => {
      assert.equal(await registry.webhooks.create(webhook('w1')), 'written')
      assert.equal(await registry.webhooks.create(webhook('w1')), 'exists')
      assert.equal(await registry.webhooks.replace(webhook('w1', { position: 7 })), 'written')
      registry = await opened.reopen()
      assert.deepEqual(await registry.webhooks.get(HUB, 'w1'), webhook('w1', { position: 7 }))
      assert.equal(await registry.webhooks.get(OTHER_HUB, 'w1'), null)
      assert.equal(await registry.webhooks.delete(HUB, 'w1'), 'written')
      assert.equal(await registry.webhooks.delete(HUB, 'w1'), 'absent')
      assert.equal(await registry.webhooks.replace(webhook('w1')), 'absent')
      assert.deepEqual(await registry.webhooks.list(), [])
    })

    test('what waits for approval keeps its order over a change and a restart, and goes once', async () => {
      const [first, second] = [approval('f1'), approval('a2')]
      await registry.approvals.put(first)
      await registry.approvals.put(second)
      const approved = { ...first, approvedBy: 'sofia' }
      await registry.approvals.put(approved)
      registry = await opened.reopen()
      assert.deepEqual(await registry.approvals.list(), [approved, second])
      assert.equal(await registry.approvals.delete('f1'), 'written')
      assert.equal(await registry.approvals.delete('f1'), 'absent')
      assert.deepEqual(await registry.approvals.list(), [second])
    })
  })
}
