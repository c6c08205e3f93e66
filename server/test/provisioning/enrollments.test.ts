import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { parseCertificate } from '@holdfast/pki'
import { HubError } from '../../src/errors.ts'
import type { HubErrorCode } from '../../src/errors.ts'
import { parseIfMatch } from '../../src/model/etag.ts'
import type { JsonObject, JsonValue } from '../../src/model/twin.ts'
import type { IndividualEnrollmentDraft } from '../../src/provisioning/enrollment-drafts.ts'
import {
  attestationMechanismJson,
  bulkResultJson,
  enrollmentGroupJson,
  individualEnrollmentJson,
} from '../../src/provisioning/wire-enrollment.ts'
import type { Authority, Provisioning } from './fixture.ts'
import { makeRoot, openProvisioning } from './fixture.ts'

const KEY = Buffer.alloc(32, 7).toString('base64')

const code =
  (expected: HubErrorCode, words = /./) =>
  (error: unknown) => {
    assert.ok(error instanceof HubError, String(error))
    assert.equal(error.code, expected, error.message)
    assert.match(error.message, words)
    return true
  }

/** The member of a JSON value at a path. */
const at = (value: JsonValue, ...path: string[]): JsonValue =>
  path.reduce<JsonValue>((inner, name) => (inner as JsonObject)[name] ?? null, value)

const keyGroup = (id: string) => ({ enrollmentGroupId: id, attestation: { type: 'symmetricKey' } })

const text = (value: JsonValue): string => (typeof value === 'string' ? value : assert.fail('not text'))

const keyed = (registrationId: string, more: object = {}) => ({
  registrationId,
  attestation: { type: 'symmetricKey' },
  ...more,
})

describe('enrollments', () => {
  let house: Provisioning
  let device: Authority
  before(async () => {
    house = await openProvisioning()
    device = await makeRoot('cert-1')
  })
  after(() => house.close())

  test('are created once, replaced by etag, and read back in any case', async () => {
    const made = await house.enrollments.putIndividual(keyed('Reg-1'), null)
    assert.equal(made.registrationId, 'reg-1')
    assert.deepEqual(await house.enrollments.getIndividual('REG-1'), made)
    await assert.rejects(house.enrollments.putIndividual(keyed('reg-1'), null), code('enrollment-already-exists'))

    const shown = individualEnrollmentJson(made)
    assert.equal(shown['etag'], `"${made.etag}"`)
    const update = { ...shown, provisioningStatus: 'disabled' } as unknown as IndividualEnrollmentDraft
    const changed = await house.enrollments.putIndividual(update, parseIfMatch(`"${made.etag}"`))
    assert.equal(changed.status, 'disabled')
    assert.equal(changed.created, made.created)
    assert.deepEqual(changed.attestation, made.attestation, 'keys that answers show blank are kept')
    await assert.rejects(
      house.enrollments.putIndividual(update, parseIfMatch(`"${made.etag}"`)),
      code('precondition-failed'),
    )
    await house.enrollments.putIndividual(keyed('reg-1'), { kind: 'any' })
    await house.enrollments.putIndividual(keyed('reg-2'), { kind: 'any' })
    await assert.rejects(
      house.enrollments.putIndividual(keyed('reg-3'), { kind: 'exactly', etag: 'x' }),
      code('enrollment-not-found'),
    )
  })

  test('are deleted by etag or without one', async () => {
    const { etag } = await house.enrollments.putIndividual(keyed('gone'), null)
    await assert.rejects(
      house.enrollments.deleteIndividual('gone', { kind: 'exactly', etag: 'x' }),
      code('precondition-failed'),
    )
    await house.enrollments.deleteIndividual('gone', { kind: 'exactly', etag })
    await assert.rejects(house.enrollments.deleteIndividual('gone', null), code('enrollment-not-found'))
    await assert.rejects(house.enrollments.getIndividual('gone'), code('enrollment-not-found'))
    await assert.rejects(house.enrollments.getGroup('gone'), code('enrollment-not-found'))
    await assert.rejects(house.enrollments.getIndividual('no good '), code('argument-invalid'))
  })

  test('of concurrent writers lose no update', async () => {
    const put = () =>
      house.enrollments.putGroup({ enrollmentGroupId: 'race', attestation: { type: 'symmetricKey' } }, null)
    const outcomes = await Promise.allSettled([put(), put(), put()])
    assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1)
    const all = await Promise.all(
      [1, 2, 3].map(() =>
        house.enrollments.putGroup(
          { enrollmentGroupId: 'race', attestation: { type: 'symmetricKey' } },
          { kind: 'any' },
        ),
      ),
    )
    const kept = await house.enrollments.getGroup('race')
    assert.ok(all.some(({ etag }) => etag === kept.etag))
    assert.ok(all.every(({ attestation }) => JSON.stringify(attestation) === JSON.stringify(kept.attestation)))
  })

  test('keep a certificate given as PEM, as base64 of PEM and as base64 of DER', async () => {
    const forms = [device.pem, Buffer.from(device.pem).toString('base64'), device.der.toString('base64')]
    for (const certificate of forms) {
      const x509 = { clientCertificates: { primary: { certificate } } }
      const made = await house.enrollments.putIndividual(
        { registrationId: 'cert-1', attestation: { type: 'x509', x509 } },
        { kind: 'any' },
      )
      assert.ok(made.attestation.type === 'x509')
      assert.deepEqual(Buffer.from(made.attestation.clientCertificates.primary), device.der)
    }
  })

  test('keep the stored certificate when an update shows only its info', async () => {
    const shown = individualEnrollmentJson(await house.enrollments.getIndividual('cert-1'))
    const info = at(shown, 'attestation', 'x509', 'clientCertificates', 'primary', 'info')
    assert.equal(at(info, 'sha256Thumbprint'), parseCertificate(device.der).sha256.toUpperCase())
    assert.equal(at(info, 'subjectName'), 'CN=cert-1')
    const kept = await house.enrollments.putIndividual(shown as unknown as IndividualEnrollmentDraft, { kind: 'any' })
    assert.ok(kept.attestation.type === 'x509')
    assert.deepEqual(Buffer.from(kept.attestation.clientCertificates.primary), device.der)
    const orphan = { ...(shown as unknown as IndividualEnrollmentDraft), registrationId: 'cert-2' }
    await assert.rejects(house.enrollments.putIndividual(orphan, null), code('argument-invalid', /only info/))
  })

  test('show keys to nobody but who asks for the attestation', async () => {
    await house.enrollments.putIndividual(
      keyed('secret', { attestation: { type: 'symmetricKey', symmetricKey: { primaryKey: KEY } } }),
      null,
    )
    assert.ok(!JSON.stringify(individualEnrollmentJson(await house.enrollments.getIndividual('secret'))).includes(KEY))
    const shown = attestationMechanismJson(await house.enrollments.attestation('secret'))
    assert.equal(at(shown, 'symmetricKey', 'primaryKey'), KEY)
    assert.equal(Buffer.from(text(at(shown, 'symmetricKey', 'secondaryKey')), 'base64').length, 32)
    const group = await house.enrollments.getGroup('race')
    assert.deepEqual(at(enrollmentGroupJson(group), 'attestation', 'symmetricKey'), {
      primaryKey: '',
      secondaryKey: '',
    })
    assert.equal(attestationMechanismJson(await house.enrollments.groupAttestation('race'))['type'], 'symmetricKey')
  })

  test('come in pages, the last of which says so', async () => {
    for (const id of ['page-a', 'page-b', 'page-c']) {
      await house.enrollments.putGroup({ enrollmentGroupId: id, attestation: { type: 'symmetricKey' } }, null)
    }
    const first = await house.enrollments.listGroups({ after: null, limit: 2 })
    assert.deepEqual(
      first.items.map(({ enrollmentGroupId }) => enrollmentGroupId),
      ['page-a', 'page-b'],
    )
    const second = await house.enrollments.listGroups({ after: first.next, limit: 2 })
    assert.deepEqual(
      second.items.map(({ enrollmentGroupId }) => enrollmentGroupId),
      ['page-c', 'race'],
    )
    assert.equal(second.next, null)
    assert.equal((await house.enrollments.listIndividual({ after: null, limit: 100 })).next, null)
  })

  test('in bulk succeed or fail one by one', async () => {
    const [a, b] = ['bulk-a', 'bulk-b'].map((id) => keyed(id))
    assert.ok(a && b)
    assert.deepEqual(await house.enrollments.bulk('create', [a, b]), { failures: [] })
    const again = await house.enrollments.bulk('create', [a, keyed('bulk-c'), keyed('bad id')])
    assert.deepEqual(
      again.failures.map(({ id, error }) => [id, error.code]),
      [
        ['bulk-a', 'enrollment-already-exists'],
        ['bad id', 'argument-invalid'],
      ],
    )
    const shown = bulkResultJson(again, 'registrationId')
    assert.equal(shown['isSuccessful'], false)
    assert.equal(at(shown, 'errors', '0', 'errorCode'), 409201)
    const { etag } = await house.enrollments.getIndividual('bulk-a')
    const stale = await house.enrollments.bulk('updateIfMatchETag', [
      { ...a, etag: `"${etag}"` },
      { ...b, etag: 'x' },
      keyed('bulk-d'),
    ])
    assert.deepEqual(
      stale.failures.map(({ id, error }) => [id, error.code]),
      [
        ['bulk-b', 'precondition-failed'],
        ['bulk-d', 'argument-invalid'],
      ],
    )
    assert.deepEqual(
      (await house.enrollments.bulk('update', [keyed('bulk-e')])).failures[0]?.error.code,
      'enrollment-not-found',
    )
    assert.deepEqual(await house.enrollments.bulk('delete', [a, b]), { failures: [] })
    await assert.rejects(house.enrollments.bulk('create', []), code('argument-invalid'))
    await assert.rejects(
      house.enrollments.bulk(
        'create',
        Array.from({ length: 11 }, (_, i) => keyed(`n-${i}`)),
      ),
      code('argument-invalid'),
    )
    const groups = await house.enrollments.bulkGroups('create', [
      { enrollmentGroupId: 'bulk', attestation: { type: 'tpm' } },
    ])
    assert.equal(groups.failures[0]?.error.code, 'not-implemented')
  })

  test('that make no sense are refused, by the name of the member at fault', async () => {
    const certificate = device.pem
    const slots = { primary: { certificate } }
    const wrong: [object, RegExp][] = [
      [{ attestation: null }, /attestation is missing/],
      [{ attestation: { type: 'magic' } }, /attestation\.type is 'magic'/],
      [{ attestation: { type: 'x509' } }, /clientCertificates\.primary\.certificate is missing/],
      [{ attestation: { type: 'x509', x509: { signingCertificates: slots } } }, /enrollment groups/],
      [
        { attestation: { type: 'x509', x509: { clientCertificates: { primary: { certificate: 'AAAA' } } } } },
        /not a certificate/,
      ],
      [
        {
          attestation: {
            type: 'x509',
            x509: { clientCertificates: { primary: { certificate: certificate + certificate } } },
          },
        },
        /2 certificates/,
      ],
      [
        { attestation: { type: 'x509', x509: { clientCertificates: { primary: { certificate: '€' } } } } },
        /neither PEM nor base64/,
      ],
      [
        {
          attestation: { type: 'x509', x509: { clientCertificates: { primary: { certificate: 'A'.repeat(70_000) } } } },
        },
        /longer than/,
      ],
      [{ attestation: { type: 'symmetricKey', symmetricKey: { primaryKey: 'c2hvcnQ=' } } }, /primaryKey is not base64/],
      [{ provisioningStatus: 'on' }, /provisioningStatus is 'on'/],
      [{ allocationPolicy: 'random' }, /allocationPolicy is 'random'/],
      [{ allocationPolicy: 'custom' }, /webhookUrl/],
      [
        { allocationPolicy: 'custom', customAllocationDefinition: { webhookUrl: 'file:///etc/passwd' } },
        /http or https URL/,
      ],
      [{ iotHubs: ['a b'] }, /not a host name/],
      [{ iotHubs: Array.from({ length: 51 }, () => 'a') }, /the limit is 50/],
      [{ deviceId: 'no device' }, /device id/],
      [{ initialTwin: { tags: { 'a.b': 1 } } }, /member 'a\.b'/],
      [{ initialTwin: { properties: { desired: { $x: 1 } } } }, /member '\$x'/],
      [{ initialTwin: { tags: { big: 'x'.repeat(40_000) } } }, /larger than/],
    ]
    for (const [more, words] of wrong) {
      await assert.rejects(house.enrollments.putIndividual(keyed('wrong', more), null), code('argument-invalid', words))
    }
    const group = { enrollmentGroupId: 'wrong' }
    const both = { type: 'x509', x509: { signingCertificates: slots, caReferences: { primary: 'ca' } } }
    await assert.rejects(
      house.enrollments.putGroup({ ...group, attestation: both }, null),
      code('argument-invalid', /one of them/),
    )
    const client = { type: 'x509', x509: { clientCertificates: slots } }
    await assert.rejects(
      house.enrollments.putGroup({ ...group, attestation: client }, null),
      code('argument-invalid', /not clientCertificates/),
    )
    const none = { type: 'x509', x509: { caReferences: {} } }
    await assert.rejects(
      house.enrollments.putGroup({ ...group, attestation: none }, null),
      code('argument-invalid', /caReferences\.primary/),
    )
  })

  test('keep everything that they were given, and show it', async () => {
    const draft = {
      ...keyed('full'),
      deviceId: 'Device-7',
      optionalDeviceInformation: { floor: 3 },
      capabilities: { iotEdge: true },
      initialTwin: { tags: { site: 'north' }, properties: { desired: { rate: 5 } } },
      reprovisionPolicy: { updateHubAssignment: true, migrateDeviceData: false },
      allocationPolicy: 'custom',
      customAllocationDefinition: { webhookUrl: 'https://web.hook', apiVersion: '2019-03-31' },
      iotHubs: ['east.example'],
      provisioningStatus: 'disabled',
    }
    const shown = individualEnrollmentJson(await house.enrollments.putIndividual(draft, null))
    const { attestation: _, etag, createdDateTimeUtc, lastUpdatedDateTimeUtc, ...rest } = shown
    const { attestation: __, ...given } = draft
    assert.deepEqual(rest, given)
    assert.match(text(etag ?? null), /^"[0-9a-f-]{36}"$/)
    assert.equal(createdDateTimeUtc, '2026-06-01T00:00:00.0000000Z')
    assert.equal(lastUpdatedDateTimeUtc, createdDateTimeUtc)

    const x509 = { caReferences: { primary: 'ca-1', secondary: 'ca-2' } }
    const group = await house.enrollments.putGroup(
      { enrollmentGroupId: 'refs', attestation: { type: 'x509', x509 } },
      null,
    )
    assert.deepEqual(at(enrollmentGroupJson(group), 'attestation'), { type: 'x509', x509 })
  })
  test('of groups with a key end at a number that a device may have to wait for', async () => {
    const { items } = await house.enrollments.listGroups({ after: null, limit: 1_000 })
    const keyed = items.filter(({ attestation }) => attestation.type === 'symmetricKey').length
    for (let count = keyed; count < 100; count++) await house.enrollments.putGroup(keyGroup(`many-${count}`), null)
    await assert.rejects(house.enrollments.putGroup(keyGroup('one-more'), null), code('argument-invalid', /the limit/))
    await assert.rejects(
      house.enrollments.putGroup(keyGroup('refs'), { kind: 'any' }),
      code('argument-invalid', /the limit/),
    )
    await house.enrollments.putGroup(keyGroup('many-99'), { kind: 'any' })
    const x509 = { caReferences: { primary: 'ca' } }
    await house.enrollments.putGroup({ enrollmentGroupId: 'one-more', attestation: { type: 'x509', x509 } }, null)
  })
})
