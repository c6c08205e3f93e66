import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { HUB, startWholeServer } from '../e2e/whole-server.ts'
import type { WholeServer } from '../e2e/whole-server.ts'
import { makeDevice, makeIntermediate, makeRoot } from '../http/certificates.ts'
import type { TestAuthority, TestIdentity } from '../http/certificates.ts'
import { DOORS } from '../e2e/doors.ts'

interface Step {
  readonly area: string
  readonly verdict: 'passed' | 'failed' | 'noted'
  readonly message: string
  readonly rule?: string
  readonly remedy?: string
}

interface Diagnosis {
  readonly ok: boolean
  readonly summary: string
  readonly steps: readonly Step[]
}

const FAR_FUTURE = '2060-01-01T00:00:00Z'

const rulesOf = ({ steps }: Diagnosis, area?: string) =>
  steps.flatMap((step) => (step.verdict === 'failed' && (area ?? step.area) === step.area ? [step.rule] : []))
const says = ({ steps }: Diagnosis, verdict: Step['verdict'], text: RegExp) =>
  assert.ok(
    steps.some((step) => step.verdict === verdict && text.test(step.message)),
    `no step ${verdict} with ${text.source}: ${steps.map(({ message }) => message).join('\n')}`,
  )

describe('the doctor', () => {
  let server: WholeServer
  let root: TestAuthority
  let line: TestAuthority
  let pump: TestIdentity

  before(async () => {
    server = await startWholeServer({ address: '127.0.0.1' })
    root = await makeRoot('Plant root')
    line = await makeIntermediate(root, 'Line 7 CA')
    pump = await makeDevice(line, 'pump-1', [line])
    await server.operator.registerAuthority(HUB, 'plant', root)
    await server.operator.createDevice(HUB, 'pump-1')
  })
  after(() => server.close())

  const ask = (body: object): Promise<Diagnosis> =>
    server.operator.call('POST', `/holdfast/v1/hubs/${HUB}/doctor`, body)
  test('passes a good chain step by step, and the door agrees', async () => {
    const diagnosis = await ask({ chain: pump.cert, device: 'pump-1' })
    assert.equal(diagnosis.ok, true, diagnosis.summary)
    says(diagnosis, 'passed', /read 2 certificates: "CN=pump-1", then "CN=Line 7 CA"/)
    says(diagnosis, 'passed', /has the device 'pump-1', which is known by a certificate of a registered CA/)
    says(diagnosis, 'passed', /the device is enabled/)
    says(diagnosis, 'passed', /a path leads to the CA 'plant', registered and verified at hub 'plant'/)
    // It lasts thirty days, and less than that is worth a note.
    const ends = diagnosis.steps.find(({ message }) => /all of them are valid at .* ends first/.test(message))
    assert.ok(ends !== undefined && ends.verdict !== 'failed')
    says(diagnosis, 'passed', /name constraints and policies hold/)
    says(diagnosis, 'passed', /nothing on it is revoked/)
    says(diagnosis, 'passed', /the common name of the certificate is the device id/)
    says(diagnosis, 'passed', /hub 'plant' lets 'pump-1' in/)
    assert.deepEqual(rulesOf(diagnosis, 'hub'), [])
    // No group is enrolled: the provisioning service would refuse, which does not matter to a device that is there.
    assert.deepEqual(rulesOf(diagnosis, 'provisioning'), ['enrollment-unknown'])
    assert.equal((await DOORS.hub(server, { id: 'pump-1', shown: pump })).isIn, true)
  })

  test('leaves no trace: no refusal, no registration, no CA learnt, no device seen', async () => {
    const stranger = await makeIntermediate(root, 'Never seen CA')
    const leaf = await makeDevice(stranger, 'pump-9', [stranger])
    await server.operator.createDevice(HUB, 'pump-9')
    const refusals = await server.operator.refusalsUntilNow()
    const state = () => server.operator.call<object>('GET', `/holdfast/v1/hubs/${HUB}/authority-usage`)
    const before = await state()
    assert.equal((await ask({ chain: leaf.cert, device: 'pump-9' })).ok, true)
    assert.equal((await ask({ chain: leaf.cert, device: 'pump-8' })).ok, false)
    assert.equal(await server.operator.refusalsUntilNow(), refusals)
    assert.deepEqual(await state(), before)
    await assert.rejects(server.operator.call('GET', '/holdfast/v1/registrations/pump-9'), /404/)
    // Had it learnt the intermediate, it would name it now as one that others have sent.
    const alone = leaf.cert.slice(0, leaf.cert.indexOf('-----END CERTIFICATE-----') + 26)
    says(
      await ask({ chain: alone, device: 'pump-9' }),
      'failed',
      /"CN=Never seen CA", which was not sent and is not a registered CA/,
    )
  })

  test('names what is missing and what is wrong, all of it at once', async () => {
    const alone = await makeDevice(line, 'pump-1')
    const diagnosis = await ask({ chain: alone.cert, device: 'Pump-1' })
    assert.equal(diagnosis.ok, false)
    assert.deepEqual(rulesOf(diagnosis, 'hub'), ['chain:issuer-not-found', 'common-name-mismatch', 'device-unknown'])
    for (const { verdict, remedy } of diagnosis.steps)
      if (verdict === 'failed') assert.match(remedy ?? '', /^[A-Z].*\.$/)
    says(diagnosis, 'failed', /The intermediate "CN=Line 7 CA" .* was not sent/)
  })

  test('sees untidiness that is no reason to refuse', async () => {
    const leaf = await makeDevice(line, 'pump-1')
    const untidy = await ask({ chain: leaf.cert + root.pem + line.pem + line.pem, device: 'pump-1' })
    assert.equal(untidy.ok, true)
    says(untidy, 'noted', /certificate 2 \("CN=Plant root"\) is a root/)
    says(untidy, 'noted', /certificate 4 .* is the same as certificate 3/)
  })

  test('looks into the future', async () => {
    const diagnosis = await ask({ chain: pump.cert, device: 'pump-1', at: FAR_FUTURE })
    assert.equal(diagnosis.ok, false)
    assert.ok(rulesOf(diagnosis).includes('chain:expired'))
    says(diagnosis, 'failed', /it is 2060-01-01T00:00:00Z now/)
  })

  test('tells of a disabled device, a wrong thumbprint and a key', async () => {
    const { operator } = server
    await operator.createDevice(HUB, 'off')
    await operator.setStatus(HUB, 'off', 'disabled')
    const off = await makeDevice(line, 'off', [line])
    assert.deepEqual(rulesOf(await ask({ chain: off.cert, device: 'off' }), 'hub'), ['device-disabled'])
    const x509Thumbprint = { primaryThumbprint: 'ab'.repeat(32), secondaryThumbprint: null }
    await operator.createDevice(HUB, 'pinned', { type: 'selfSigned', x509Thumbprint })
    assert.deepEqual(rulesOf(await ask({ chain: pump.cert, device: 'pinned' }), 'hub'), ['thumbprint-mismatch'])
    await operator.createDevice(HUB, 'keyed', { type: 'sas', symmetricKey: { primaryKey: '', secondaryKey: '' } })
    assert.deepEqual(rulesOf(await ask({ chain: pump.cert, device: 'keyed' }), 'hub'), ['credential-kind-mismatch'])
  })

  test('says what the provisioning service would answer, and which enrolment decides', async () => {
    await server.operator.enrollGroup('line-7', {
      attestation: { type: 'x509', x509: { caReferences: { primary: 'plant' } } },
    })
    const fresh = await makeDevice(line, 'valve-1', [line])
    const diagnosis = await ask({ chain: fresh.cert, device: 'valve-1' })
    assert.equal(diagnosis.ok, true)
    assert.match(diagnosis.summary, /can register, and then connect/)
    says(diagnosis, 'passed', /the enrollment group 'line-7' decides/)
    says(diagnosis, 'passed', /"assigned": it is assigned to hub 'plant' as device 'valve-1'/)
    await assert.rejects(server.operator.device(HUB, 'valve-1'), /404/)
    const misnamed = await ask({ chain: fresh.cert, registration: 'valve-2' })
    assert.equal(misnamed.ok, false)
    assert.deepEqual(rulesOf(misnamed), ['registration-id-mismatch'])
    assert.equal((await DOORS['provisioning over HTTPS'](server, { id: 'valve-1', shown: fresh })).isIn, true)
    says(await ask({ chain: fresh.cert, device: 'valve-1' }), 'passed', /has the primary thumbprint/)
  })

  test('refuses what is no question, and what is too large', async () => {
    await assert.rejects(ask({ chain: pump.cert }), /400.*Name a device or a registration id/)
    await assert.rejects(ask({ chain: 'hello', device: 'pump-1' }), /400.*no certificate/)
    await assert.rejects(ask({ chain: '-----BEGIN CERTIFICATE-----\n!\n', device: 'pump-1' }), /400.*cannot be read/)
    await assert.rejects(ask({ chain: pump.cert, device: 'pump-1', at: 'soon' }), /400/)
    const garbage = '-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n'
    assert.deepEqual(rulesOf(await ask({ chain: pump.cert + garbage, device: 'pump-1' })), [
      'chain:malformed-certificate',
    ])
    const many = await ask({ chain: pump.cert + line.pem.repeat(12), device: 'pump-1' })
    assert.deepEqual(rulesOf(many), ['chain:budget-exceeded'])
  })
})
