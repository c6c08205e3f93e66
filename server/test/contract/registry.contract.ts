import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'node:test'
import type { Device } from '../../src/model/device.ts'
import type { ExpectedEtag } from '../../src/model/etag.ts'
import { parseAuthorityName, parseDeviceId, parseEnrollmentGroupId, parseRegistrationId } from '../../src/model/ids.ts'
import type { KnownAuthority, RevocationRule } from '../../src/model/revocation.ts'
import type { Registry } from '../../src/ports/registry.ts'
import { HUB, NOW, OTHER_HUB, authority, device, group, individual, refusal, registration } from './nouns.ts'

export interface RegistryUnderTest {
  readonly registry: Registry
  /** Closes the registry and opens what it left behind. */
  reopen(): Promise<Registry>
  /** Closes and removes everything. */
  dispose(): Promise<void>
}

const ANY: ExpectedEtag = { kind: 'any' }
const REFUSAL_CAPACITY = 5

function exactly(etag: string): ExpectedEtag {
  return { kind: 'exactly', etag }
}

/** What every adapter of `ports/registry.ts` must do. */
export function registryContract(
  adapter: string,
  open: (options: { refusalCapacity: number }) => Promise<RegistryUnderTest>,
): void {
  describe(`registry contract: ${adapter}`, () => {
    let under: RegistryUnderTest
    let registry: Registry

    beforeEach(async () => {
      under = await open({ refusalCapacity: REFUSAL_CAPACITY })
      registry = under.registry
    })
    afterEach(() => under.dispose())

    describe('devices', () => {
      const id = parseDeviceId('Device-1')

      test('a device comes back exactly as given, also after reopening', async () => {
        const given = device('Device-1', {
          statusReason: 'quote " and \u0000 and \ud83d\ude00 and \ud800',
          authentication: { type: 'selfSigned', primaryThumbprint: 'AB'.repeat(20), secondaryThumbprint: null },
          lastActivityTime: NOW + 5,
          provenance: { enrollment: { kind: 'group', id: 'line-1' }, path: ['aa', 'bb'] },
          twin: {
            ...device('x').twin,
            tags: JSON.parse(
              '{"z":1.5,"a":{"deep":[null,true,""]},"__proto__":{"x":-1e300}}',
            ) as Device['twin']['tags'],
          },
        })
        assert.equal(await registry.devices.create(given), 'written')
        assert.deepEqual(await registry.devices.get(HUB, id), given)
        registry = await under.reopen()
        const read = await registry.devices.get(HUB, id)
        assert.deepEqual(read, given)
        assert.equal(JSON.stringify(read), JSON.stringify(given))
      })

      test('ids are exact and belong to a hub', async () => {
        await registry.devices.create(device('Device-1'))
        assert.equal(await registry.devices.get(HUB, parseDeviceId('device-1')), null)
        assert.equal(await registry.devices.get(OTHER_HUB, id), null)
        assert.equal(await registry.devices.create(device('Device-1', { hub: OTHER_HUB, etag: 'B' })), 'written')
        assert.equal((await registry.devices.get(HUB, id))?.etag, 'AAAA')
      })

      test('create does not overwrite', async () => {
        await registry.devices.create(device('Device-1', { etag: 'A' }))
        assert.equal(await registry.devices.create(device('Device-1', { etag: 'B' })), 'exists')
        assert.equal((await registry.devices.get(HUB, id))?.etag, 'A')
      })

      test('replace and delete judge absence before the etag', async () => {
        const changed = device('Device-1', { etag: 'B', status: 'disabled' })
        assert.equal(await registry.devices.replace(changed, ANY), 'absent')
        assert.equal(await registry.devices.delete(HUB, id, exactly('A')), 'absent')
        await registry.devices.create(device('Device-1', { etag: 'A' }))
        assert.equal(await registry.devices.replace(changed, exactly('x')), 'etag-mismatch')
        assert.equal(await registry.devices.replace(changed, exactly('A')), 'written')
        assert.deepEqual(await registry.devices.get(HUB, id), changed)
        assert.equal(await registry.devices.delete(HUB, id, exactly('A')), 'etag-mismatch')
        assert.equal(await registry.devices.delete(HUB, id, exactly('B')), 'written')
        assert.equal(await registry.devices.get(HUB, id), null)
      })

      test('of two replacements that expect the same etag one wins', async () => {
        await registry.devices.create(device('Device-1', { etag: 'A' }))
        const outcomes = await Promise.all(
          ['B', 'C', 'D'].map((etag) => registry.devices.replace(device('Device-1', { etag }), exactly('A'))),
        )
        assert.deepEqual(outcomes.sort(), ['etag-mismatch', 'etag-mismatch', 'written'])
      })

      test('pages are in byte order, exclusive of `after`', async () => {
        const ids = ['b', 'B', 'a', '_', 'z', 'a-1', 'A', '1']
        await Promise.all(ids.map((one) => registry.devices.create(device(one))))
        await registry.devices.create(device('elsewhere', { hub: OTHER_HUB }))
        const sorted = ids.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
        const listed: string[] = []
        for (let after: Device['deviceId'] | null = null; ;) {
          const page: readonly Device[] = await registry.devices.list(HUB, { after, limit: 3 })
          if (page.length === 0) break
          listed.push(...page.map((one) => one.deviceId))
          after = page.at(-1)?.deviceId ?? null
        }
        assert.deepEqual(listed, sorted)
      })

      test('counts follow every kind of change', async () => {
        assert.deepEqual(await registry.devices.count(HUB), { total: 0, enabled: 0, disabled: 0 })
        await Promise.all(['a', 'b', 'c'].map((one) => registry.devices.create(device(one))))
        await registry.devices.create(device('d', { hub: OTHER_HUB }))
        await registry.devices.replace(device('a', { status: 'disabled' }), ANY)
        await registry.devices.replace(device('b', { statusReason: 'same status' }), ANY)
        assert.deepEqual(await registry.devices.count(HUB), { total: 3, enabled: 2, disabled: 1 })
        await registry.devices.delete(HUB, parseDeviceId('a'), ANY)
        await registry.devices.create(device('b'))
        registry = await under.reopen()
        assert.deepEqual(await registry.devices.count(HUB), { total: 2, enabled: 2, disabled: 0 })
      })

      test('apply judges each change by itself, in order', async () => {
        await registry.devices.create(device('a', { etag: 'A' }))
        const outcomes = await registry.devices.apply([
          { kind: 'create', device: device('a') },
          { kind: 'create', device: device('b', { etag: 'B' }) },
          { kind: 'replace', device: device('b', { etag: 'C' }), expected: exactly('B') },
          { kind: 'replace', device: device('c'), expected: ANY },
          { kind: 'delete', hub: HUB, deviceId: parseDeviceId('a'), expected: exactly('x') },
          { kind: 'delete', hub: HUB, deviceId: parseDeviceId('a'), expected: exactly('A') },
        ])
        assert.deepEqual(outcomes, ['exists', 'written', 'written', 'absent', 'etag-mismatch', 'written'])
        assert.equal(await registry.devices.get(HUB, parseDeviceId('a')), null)
        assert.equal((await registry.devices.get(HUB, parseDeviceId('b')))?.etag, 'C')
        assert.deepEqual(await registry.devices.apply([]), [])
      })

      test('touch moves times forward and leaves the rest; a replacement does not move them back', async () => {
        const given = device('Device-1')
        await registry.devices.create(given)
        registry.devices.touch(HUB, id, { lastActivityTime: NOW + 10, connectionStateUpdatedTime: NOW + 7 })
        registry.devices.touch(HUB, id, { lastActivityTime: NOW + 8 })
        registry.devices.touch(HUB, parseDeviceId('absent'), { lastActivityTime: NOW })
        registry = await under.reopen()
        const times = { lastActivityTime: NOW + 10, connectionStateUpdatedTime: NOW + 7 }
        assert.deepEqual(await registry.devices.get(HUB, id), { ...given, ...times })
        await registry.devices.replace({ ...given, etag: 'B', connectionStateUpdatedTime: NOW + 9 }, ANY)
        const replaced = { ...given, etag: 'B', lastActivityTime: NOW + 10, connectionStateUpdatedTime: NOW + 9 }
        assert.deepEqual(await registry.devices.get(HUB, id), replaced)
        assert.equal(await registry.devices.get(HUB, parseDeviceId('absent')), null)
      })
    })

    describe('certificates that devices were seen with', () => {
      const id = parseDeviceId('seen')
      const seen = async () =>
        (await registry.devices.certificatesSeen(HUB, id)).map(({ certificate, lastSeen }) => [
          certificate[0],
          lastSeen - NOW,
        ])

      test('are the last eight, newest first, and go with the device', async () => {
        await registry.devices.create(device('seen'))
        for (let at = 1; at <= 10; at++) {
          registry.devices.touch(HUB, id, { lastActivityTime: NOW + at }, Uint8Array.of(at))
          if (at % 3 === 0) registry = await under.reopen()
        }
        registry = await under.reopen()
        assert.deepEqual((await seen()).map(([first]) => first).toSorted((a, b) => (a ?? 0) - (b ?? 0)).length, 8)
        registry.devices.touch(HUB, id, { lastActivityTime: NOW + 20 }, Uint8Array.of(9))
        registry.devices.touch(HUB, id, { lastActivityTime: NOW + 21 })
        registry = await under.reopen()
        const [newest] = await seen()
        assert.equal(newest?.[0], 9)
        await registry.devices.delete(HUB, id, ANY)
        assert.deepEqual(await seen(), [])
      })

      test('are none of a device that is not there', async () => {
        registry.devices.touch(HUB, id, { lastActivityTime: NOW }, Uint8Array.of(1))
        registry = await under.reopen()
        assert.deepEqual(await seen(), [])
      })
    })

    describe('certificate authorities', () => {
      test('an authority comes back with its bytes', async () => {
        const given = authority('root', { state: { kind: 'code-issued', code: 'C0DE', expires: NOW } })
        assert.equal(await registry.authorities.create(given), 'written')
        assert.equal(await registry.authorities.create(given), 'exists')
        registry = await under.reopen()
        assert.deepEqual(await registry.authorities.get(HUB, given.name), given)
        assert.equal(await registry.authorities.get(OTHER_HUB, given.name), null)
      })

      test('every write moves the revision, every refused one leaves it', async () => {
        const revisions = [await registry.authorities.revision()]
        const step = async (write: Promise<unknown>): Promise<void> => {
          await write
          revisions.push(await registry.authorities.revision())
        }
        await step(registry.authorities.create(authority('root')))
        await step(registry.authorities.replace(authority('root', { etag: 'B' }), exactly('AAAA')))
        await step(registry.authorities.delete(HUB, parseAuthorityName('root'), exactly('B')))
        for (const [index, revision] of revisions.slice(1).entries()) assert.ok(revision > (revisions[index] ?? 0))
        const last = revisions.at(-1)
        assert.equal(await registry.authorities.replace(authority('root'), ANY), 'absent')
        assert.equal(await registry.authorities.revision(), last)
        registry = await under.reopen()
        assert.equal(await registry.authorities.revision(), last)
      })

      test('findVerified looks into every hub and finds the verified alone', async () => {
        const verified = { kind: 'verified', since: NOW, by: 'proof-of-possession' } as const
        const here = authority('root', { state: verified })
        const there = authority('root', { hub: OTHER_HUB, state: verified })
        await registry.authorities.create(here)
        await registry.authorities.create(there)
        await registry.authorities.create(authority('unproven'))
        await registry.authorities.create(authority('different', { state: verified, sha256: 'cd'.repeat(32) }))
        assert.deepEqual(await registry.authorities.findVerified(here.sha256), [here, there])
        await registry.authorities.replace({ ...here, state: { kind: 'unverified' } }, ANY)
        assert.deepEqual(await registry.authorities.findVerified(here.sha256), [there])
        assert.deepEqual(
          (await registry.authorities.list(HUB)).map((one) => one.name),
          ['different', 'root', 'unproven'],
        )
      })
    })

    describe('enrollments', () => {
      test('every kind of attestation comes back exactly', async () => {
        const individuals = [
          individual('x509'),
          individual('key', { attestation: { type: 'symmetricKey', primaryKey: 'cA==', secondaryKey: 'cw==' } }),
        ]
        const references = { primary: parseAuthorityName('root'), secondary: null }
        const groups = [
          group('key', { attestation: { type: 'symmetricKey', primaryKey: 'cA==', secondaryKey: 'cw==' } }),
          group('reference', { attestation: { type: 'x509', caReferences: references }, initialTwin: null }),
          group('x509'),
        ]
        for (const one of individuals) assert.equal(await registry.enrollments.createIndividual(one), 'written')
        for (const one of groups) assert.equal(await registry.enrollments.createGroup(one), 'written')
        registry = await under.reopen()
        for (const one of individuals) {
          assert.deepEqual(await registry.enrollments.getIndividual(one.registrationId), one)
        }
        assert.deepEqual(await registry.enrollments.listGroups({ after: null, limit: 10 }), groups)
        const key = parseEnrollmentGroupId('key')
        assert.deepEqual(await registry.enrollments.listGroups({ after: key, limit: 1 }), groups.slice(1, 2))
        assert.deepEqual(
          (await registry.enrollments.listIndividual({ after: null, limit: 10 })).map((one) => one.registrationId),
          ['key', 'x509'],
        )
      })

      test('etags decide, for both kinds', async () => {
        const id = parseRegistrationId('a')
        const groupId = parseEnrollmentGroupId('a')
        const { enrollments } = registry
        assert.equal(await enrollments.replaceIndividual(individual('a'), ANY), 'absent')
        assert.equal(await enrollments.replaceGroup(group('a'), ANY), 'absent')
        await enrollments.createIndividual(individual('a'))
        await enrollments.createGroup(group('a'))
        assert.equal(await enrollments.createIndividual(individual('a')), 'exists')
        assert.equal(await enrollments.createGroup(group('a')), 'exists')
        assert.equal(await enrollments.replaceIndividual(individual('a', { etag: 'B' }), exactly('x')), 'etag-mismatch')
        assert.equal(await enrollments.replaceIndividual(individual('a', { etag: 'B' }), exactly('AAAA')), 'written')
        assert.equal(await enrollments.replaceGroup(group('a', { etag: 'B' }), exactly('AAAA')), 'written')
        assert.equal(await enrollments.deleteIndividual(id, exactly('AAAA')), 'etag-mismatch')
        assert.equal(await enrollments.deleteGroup(groupId, exactly('AAAA')), 'etag-mismatch')
        assert.equal(await enrollments.deleteIndividual(id, ANY), 'written')
        assert.equal(await enrollments.deleteGroup(groupId, exactly('B')), 'written')
        assert.equal(await enrollments.getIndividual(id), null)
        assert.equal(await enrollments.getGroup(groupId), null)
      })

      test('the group revision follows groups alone', async () => {
        const before = await registry.enrollments.groupRevision()
        await registry.enrollments.createIndividual(individual('a'))
        assert.equal(await registry.enrollments.groupRevision(), before)
        await registry.enrollments.createGroup(group('a'))
        assert.ok((await registry.enrollments.groupRevision()) > before)
      })
    })

    describe('registrations', () => {
      const id = parseRegistrationId('pump-1')
      const deviceId = parseDeviceId('pump-1')

      test('a registration comes back exactly and is found by its group', async () => {
        const byKey = registration('pump-2', { attestation: { type: 'symmetricKey' }, payload: null })
        const alone = registration('pump-3', { enrollment: { kind: 'individual', id: 'line-1' } })
        const unsigned = registration('pump-4', {
          attestation: { type: 'x509', leaf: Uint8Array.from([1]), signer: null },
        })
        for (const one of [registration('pump-1'), byKey, alone, unsigned]) await registry.registrations.record(one)
        registry = await under.reopen()
        const { registrations } = registry
        assert.deepEqual(await registrations.get(alone.registrationId), alone)
        const line = parseEnrollmentGroupId('line-1')
        const listed = await registrations.listByGroup(line, { after: null, limit: 10 })
        assert.deepEqual(listed, [registration('pump-1'), byKey, unsigned])
        assert.deepEqual(await registrations.listByGroup(line, { after: id, limit: 1 }), [byKey])
        assert.equal(await registrations.delete(id, exactly('x')), 'etag-mismatch')
        assert.equal(await registrations.delete(id, ANY), 'written')
        assert.equal(await registrations.delete(id, ANY), 'absent')
      })

      test('complete stores the registration and the device together', async () => {
        const completion = { registration: registration('pump-1'), device: device('pump-1'), leave: null }
        assert.equal(await registry.registrations.complete({ ...completion, expectedDevice: null }), 'written')
        assert.deepEqual(await registry.registrations.get(id), completion.registration)
        assert.deepEqual(await registry.devices.get(HUB, deviceId), completion.device)
        const again = {
          registration: registration('pump-1', { etag: 'B' }),
          device: device('pump-1', { etag: 'B' }),
          leave: null,
        }
        assert.equal(await registry.registrations.complete({ ...again, expectedDevice: null }), 'conflict')
        assert.equal(await registry.registrations.complete({ ...again, expectedDevice: exactly('x') }), 'conflict')
        assert.deepEqual(await registry.registrations.get(id), completion.registration)
        assert.equal(await registry.registrations.complete({ ...again, expectedDevice: exactly('AAAA') }), 'written')
        assert.equal((await registry.devices.get(HUB, deviceId))?.etag, 'B')
      })

      test('complete moves a device from one hub to another, or not at all', async () => {
        await registry.devices.create(device('pump-1'))
        const move = {
          registration: registration('pump-1', { assignedHub: OTHER_HUB }),
          device: device('pump-1', { hub: OTHER_HUB }),
          leave: { hub: HUB, deviceId },
        }
        assert.equal(await registry.registrations.complete({ ...move, expectedDevice: ANY }), 'conflict')
        assert.notEqual(await registry.devices.get(HUB, deviceId), null)
        assert.equal(await registry.registrations.get(id), null)
        assert.equal(await registry.registrations.complete({ ...move, expectedDevice: null }), 'written')
        assert.equal(await registry.devices.get(HUB, deviceId), null)
        assert.notEqual(await registry.devices.get(OTHER_HUB, deviceId), null)
        assert.deepEqual(await registry.devices.count(HUB), { total: 0, enabled: 0, disabled: 0 })
      })

      test('complete without a device keeps the registration alone', async () => {
        const completion = { registration: registration('pump-1'), device: null, expectedDevice: null, leave: null }
        assert.equal(await registry.registrations.complete(completion), 'written')
        assert.equal(await registry.devices.get(HUB, deviceId), null)
      })
    })

    describe('revocation records', () => {
      const rule: RevocationRule = {
        kind: 'rule',
        hub: HUB,
        id: 'ab'.repeat(32),
        etag: 'e1',
        subject: 'CN=Root',
        policy: 'require',
        crlUrls: [],
        fetch: true,
        ocsp: null,
      }
      const known: KnownAuthority = {
        kind: 'authority',
        hub: OTHER_HUB,
        id: 'cd'.repeat(32),
        etag: 'e1',
        certificate: Uint8Array.of(0, 255, 1),
      }

      test('come back as given, in the order of their last change, also after reopening', async () => {
        assert.equal(await registry.revocations.sequence(), 0)
        assert.equal(await registry.revocations.create(rule), 'written')
        assert.equal(await registry.revocations.create(known), 'written')
        assert.deepEqual(await registry.revocations.changes(0, 10), [
          { ...rule, sequence: 1 },
          { ...known, sequence: 2 },
        ])
        const changed = { ...rule, etag: 'e2', policy: 'off' } as const
        assert.equal(await registry.revocations.replace(changed, exactly('e1')), 'written')
        registry = await under.reopen()
        assert.equal(await registry.revocations.sequence(), 3)
        assert.deepEqual(await registry.revocations.changes(0, 1), [{ ...known, sequence: 2 }])
        assert.deepEqual(await registry.revocations.changes(2, 10), [{ ...changed, sequence: 3 }])
        assert.deepEqual(await registry.revocations.changes(3, 10), [])
      })

      test('a known CA can be forgotten, and nothing else', async () => {
        await registry.revocations.create({ ...rule, hub: OTHER_HUB, id: known.id })
        await registry.revocations.create(known)
        await registry.revocations.forget(OTHER_HUB, known.id)
        await registry.revocations.forget(OTHER_HUB, known.id)
        registry = await under.reopen()
        assert.equal(await registry.revocations.get(OTHER_HUB, 'authority', known.id), null)
        assert.notEqual(await registry.revocations.get(OTHER_HUB, 'rule', known.id), null)
        assert.equal(await registry.revocations.sequence(), 2)
      })

      test('are told apart by hub and kind, and what is refused moves no sequence', async () => {
        await registry.revocations.create(rule)
        assert.equal(await registry.revocations.create({ ...rule, policy: 'off' }), 'exists')
        assert.equal(await registry.revocations.replace(rule, exactly('e0')), 'etag-mismatch')
        assert.equal(await registry.revocations.replace({ ...rule, hub: OTHER_HUB }, ANY), 'absent')
        assert.equal(await registry.revocations.sequence(), 1)
        assert.deepEqual(await registry.revocations.get(HUB, 'rule', rule.id), { ...rule, sequence: 1 })
        assert.equal(await registry.revocations.get(HUB, 'crl', rule.id), null)
        assert.equal(await registry.revocations.get(OTHER_HUB, 'rule', rule.id), null)
      })
    })

    describe('refusals', () => {
      test('are seen by the next read, newest first, filtered and paged', async () => {
        registry.refusals.add(refusal(1))
        registry.refusals.add(refusal(2, { identity: 'device-2', rule: 'chain:expired', hub: null }))
        registry.refusals.add(refusal(3, { peer: { address: '2001:db8::1', port: 2 } }))
        const { refusals } = registry
        assert.deepEqual(await refusals.get(refusal(2).trackingId), {
          ...refusal(2, { identity: 'device-2', rule: 'chain:expired', hub: null }),
        })
        assert.equal(await refusals.get('f'.repeat(32)), null)
        const serials = async (filter: Omit<Parameters<typeof refusals.list>[0], 'limit'>, limit = 10) =>
          (await refusals.list({ ...filter, limit })).map((one) => one.time - NOW)
        assert.deepEqual(await serials({}), [3, 2, 1])
        assert.deepEqual(await serials({}, 2), [3, 2])
        assert.deepEqual(await serials({ identity: 'device-1' }), [3, 1])
        assert.deepEqual(await serials({ address: '2001:db8::1' }), [3])
        assert.deepEqual(await serials({ rule: 'chain:expired' }), [2])
        assert.deepEqual(await serials({ hub: HUB, identity: 'device-2' }), [])
        const [newest, middle] = await refusals.list({ limit: 2 })
        assert.deepEqual(await serials({ before: newest?.sequence ?? 0 }), [2, 1])
        assert.deepEqual(await serials({ after: middle?.sequence ?? 0 }), [3])
        assert.deepEqual(await refusals.countByRule(NOW), [
          { rule: 'chain:expired', count: 1 },
          { rule: 'device-unknown', count: 2 },
        ])
        assert.deepEqual(await refusals.countByRule(NOW + 3), [{ rule: 'device-unknown', count: 1 }])
      })

      test('only the newest are kept, and their sequences go on after reopening', async () => {
        for (let serial = 1; serial <= REFUSAL_CAPACITY + 3; serial++) registry.refusals.add(refusal(serial))
        registry = await under.reopen()
        registry.refusals.add(refusal(100))
        const kept = await registry.refusals.list({ limit: 100 })
        assert.deepEqual(
          kept.map((one) => one.time - NOW),
          [100, 8, 7, 6, 5],
        )
        assert.deepEqual(
          kept.map((one) => one.sequence),
          kept.map((one) => one.sequence).sort((a, b) => b - a),
        )
      })
    })

    test('policies belong to their owner', async () => {
      const hub = { kind: 'hub', hub: HUB } as const
      const keys = { primaryKey: 'cA==', secondaryKey: 'cw==' }
      const policy = { owner: hub, name: 'service', ...keys, rights: ['ServiceConnect'] } as const
      await registry.policies.put(policy)
      await registry.policies.put({ ...policy, name: 'device' })
      await registry.policies.put({ ...policy, owner: { kind: 'provisioning' } })
      await registry.policies.put({ ...policy, primaryKey: 'bmV3' })
      registry = await under.reopen()
      assert.deepEqual(await registry.policies.get(hub, 'service'), { ...policy, primaryKey: 'bmV3' })
      assert.deepEqual(
        (await registry.policies.list(hub)).map((one) => one.name),
        ['device', 'service'],
      )
      assert.equal((await registry.policies.list({ kind: 'provisioning' })).length, 1)
      assert.equal(await registry.policies.delete(hub, 'service'), 'written')
      assert.equal(await registry.policies.delete(hub, 'service'), 'absent')
      assert.equal(await registry.policies.get({ kind: 'hub', hub: OTHER_HUB }, 'device'), null)
    })

    test('consumer groups and settings', async () => {
      const { consumerGroups, settings } = registry
      assert.equal(await consumerGroups.create(HUB, 'dashboard'), 'written')
      assert.equal(await consumerGroups.create(HUB, 'dashboard'), 'exists')
      assert.equal(await consumerGroups.create(HUB, 'Archive'), 'written')
      assert.deepEqual(await consumerGroups.list(HUB), ['Archive', 'dashboard'])
      assert.deepEqual(await consumerGroups.list(OTHER_HUB), [])
      assert.equal(await consumerGroups.delete(HUB, 'dashboard'), 'written')
      assert.equal(await consumerGroups.delete(HUB, 'dashboard'), 'absent')
      assert.equal(await settings.get('id-scope'), null)
      await settings.put('id-scope', '0ne0000')
      await settings.put('id-scope', '0ne0001')
      registry = await under.reopen()
      assert.equal(await registry.settings.get('id-scope'), '0ne0001')
    })

    test('writes that were accepted before close are kept; later calls are refused', async () => {
      const created = Promise.all(
        Array.from({ length: 200 }, (_, index) => registry.devices.create(device(`device-${index}`))),
      )
      const closed = registry
      registry = await under.reopen()
      assert.equal((await created).length, 200)
      assert.equal((await registry.devices.count(HUB)).total, 200)
      await assert.rejects(closed.devices.create(device('late')), { code: 'shutting-down' })
      await assert.rejects(closed.devices.get(HUB, parseDeviceId('late')), { code: 'shutting-down' })
    })
  })
}
