import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { parseCertificate } from '@holdfast/pki'
import { readEverything } from '../e2e/event-reading.ts'
import { HUB, standardPortsMissing, startWholeServer } from '../e2e/whole-server.ts'
import type { WholeServer } from '../e2e/whole-server.ts'
import { makeDevice, makeIntermediate, makeRoot } from '../http/certificates.ts'
import type { TestAuthority, TestIdentity } from '../http/certificates.ts'
import { FleetDevice } from './fleet.ts'

/** Of this file's server alone; the Event Hubs client reads at the standard port. */
const ADDRESS = '127.0.1.9'
const skip = await standardPortsMissing(ADDRESS)

const pem = ({ der }: TestIdentity) => der.toString('base64')
const thumbprint = ({ der }: TestIdentity) => parseCertificate(der).sha256
const groupOf = (...names: readonly string[]) => {
  const [primary, secondary] = names
  const caReferences = { primary, ...(secondary !== undefined && { secondary }) }
  return { attestation: { type: 'x509', x509: { caReferences } } }
}
const individualOf = (...identities: readonly TestIdentity[]) => {
  const [primary, secondary] = identities.map((identity) => ({ certificate: pem(identity) }))
  const clientCertificates = { primary, ...(secondary !== undefined && { secondary }) }
  return { attestation: { type: 'x509', x509: { clientCertificates } } }
}
const pinned = (...identities: readonly TestIdentity[]) => {
  const [primaryThumbprint, secondaryThumbprint = null] = identities.map(thumbprint)
  return { authentication: { type: 'selfSigned', x509Thumbprint: { primaryThumbprint, secondaryThumbprint } } }
}

const next = new Map<string, TestIdentity>()
const nextOf = (id: string): TestIdentity => next.get(id) ?? assert.fail(id)

interface Use {
  readonly name: string | null
  readonly subject: string
  readonly devices: number
  readonly lastSeen: string | null
}

interface Member {
  readonly device: FleetDevice
  readonly old: TestIdentity
  /** Goes over to a certificate under the new CA. */
  readonly moveOver: (next: TestIdentity) => Promise<void>
}

describe('a CA is rolled over under a live fleet', { skip }, () => {
  let server: WholeServer
  let oldLine: TestAuthority
  let newLine: TestAuthority
  const fleet: Member[] = []

  before(async () => {
    server = await startWholeServer({ address: ADDRESS, standardPorts: true })
    const [oldRoot, newRoot] = [await makeRoot('Plant Root 2026'), await makeRoot('Plant Root 2036')]
    oldLine = await makeIntermediate(oldRoot, 'Line 7 CA 2026')
    newLine = await makeIntermediate(newRoot, 'Line 7 CA 2036')
    await server.operator.registerAuthority(HUB, 'old', oldRoot)
    roots = { oldRoot, newRoot }
  })
  after(async () => {
    for (const { device } of fleet) await device.leave()
    await server.close()
  })
  let roots: { readonly oldRoot: TestAuthority; readonly newRoot: TestAuthority }

  const issueOld = (id: string) => makeDevice(oldLine, id, [oldLine])
  const issueNew = (id: string) => makeDevice(newLine, id, [newLine])
  const sendAll = async () => {
    for (const { device } of fleet) await device.send()
  }
  const cuts = () => fleet.map(({ device }) => device.cuts)
  const replace = { 'if-match': '*' }

  const usage = async (): Promise<Record<string, number>> => {
    const { value } = await server.operator.call<{ value: Use[] }>('GET', `/holdfast/v1/hubs/${HUB}/authority-usage`)
    return Object.fromEntries(value.map(({ name, subject, devices }) => [name ?? subject, devices]))
  }

  /** Enrolled by a group of the CA, or individually: registers, and from then on is known by its thumbprint. */
  async function provisioned(id: string, old: TestIdentity): Promise<void> {
    const device = new FleetDevice(server, id)
    assert.equal((await device.register(old)).status, 'assigned')
    await device.connect(old)
    fleet.push({
      device,
      old,
      moveOver: async (next) => {
        assert.equal((await device.register(next)).status, 'assigned')
        await device.leave()
        await device.connect(next)
      },
    })
  }

  /** Known by its name or its thumbprints: connects anew. */
  async function direct(id: string, old: TestIdentity, authentication: object): Promise<void> {
    await server.operator.call('PUT', `/holdfast/v1/hubs/${HUB}/devices/${id}`, authentication)
    const device = new FleetDevice(server, id)
    await device.connect(old)
    const moveOver = async (next: TestIdentity) => {
      await device.leave()
      await device.connect(next)
    }
    fleet.push({ device, old, moveOver })
  }

  test('the fleet runs under the old one, and the usage says so', { timeout: 30_000 }, async () => {
    await server.operator.enrollGroup('line-7', groupOf('old'))
    for (const id of ['pump-1', 'pump-2', 'pump-3']) await provisioned(id, await issueOld(id))
    const single = await issueOld('valve-1')
    await server.operator.enroll('valve-1', individualOf(single))
    await provisioned('valve-1', single)
    for (const id of ['press-1', 'press-2'])
      await direct(id, await issueOld(id), { authentication: { type: 'certificateAuthority' } })
    const known = await issueOld('meter-1')
    await direct('meter-1', known, pinned(known))
    await sendAll()
    // A certificate that is known by its thumbprint rests on no CA.
    assert.deepEqual(await usage(), { old: 6, 'CN=Line 7 CA 2026': 6 })
  })

  test('the new one is made known beside it, and nobody loses the connection', { timeout: 30_000 }, async () => {
    for (const { device } of fleet) next.set(device.id, await issueNew(device.id))
    const oldOf = (id: string): TestIdentity => fleet.find(({ device }) => device.id === id)?.old ?? assert.fail(id)
    await server.operator.registerAuthority(HUB, 'new', roots.newRoot)
    await sendAll()
    await server.operator.call('PUT', '/holdfast/v1/enrollment-groups/line-7', groupOf('old', 'new'), replace)
    const both = individualOf(oldOf('valve-1'), nextOf('valve-1'))
    await server.operator.call('PUT', '/holdfast/v1/enrollments/valve-1', both, replace)
    const pins = pinned(oldOf('meter-1'), nextOf('meter-1'))
    await server.operator.call('PUT', `/holdfast/v1/hubs/${HUB}/devices/meter-1`, pins, replace)
    await sendAll()
    assert.deepEqual(
      cuts(),
      fleet.map(() => 0),
    )
    assert.deepEqual(await usage(), { new: 0, old: 6, 'CN=Line 7 CA 2026': 6 })
  })

  test('one after the other goes over; the others do not notice', { timeout: 60_000 }, async () => {
    for (const [index, { device, moveOver }] of fleet.entries()) {
      const before = cuts()
      await moveOver(nextOf(device.id))
      await sendAll()
      before[index] = device.cuts
      assert.deepEqual(cuts(), before, `${device.id} moved over`)
    }
    assert.deepEqual(await usage(), { new: 6, old: 0, 'CN=Line 7 CA 2036': 6, 'CN=Line 7 CA 2026': 0 })
  })

  test('a restart forgets none of that', { timeout: 60_000 }, async () => {
    for (const { device } of fleet) await device.leave()
    await server.restart()
    const { value } = await server.operator.call<{ value: Use[] }>('GET', `/holdfast/v1/hubs/${HUB}/authority-usage`)
    assert.deepEqual(
      value.map(({ name, devices, lastSeen }) => [name, devices, lastSeen !== null]),
      [
        ['new', 6, true],
        ['old', 0, true],
        [null, 6, true],
        [null, 0, true],
      ],
    )
    for (const { device } of fleet) await device.connect(nextOf(device.id))
    await sendAll()
  })

  test('the old one goes, everything still works, and no message is missing', { timeout: 60_000 }, async () => {
    const before = cuts()
    await server.operator.call('PUT', '/holdfast/v1/enrollment-groups/line-7', groupOf('new'), replace)
    await server.operator.call('PUT', '/holdfast/v1/enrollments/valve-1', individualOf(nextOf('valve-1')), replace)
    await server.operator.call('PUT', `/holdfast/v1/hubs/${HUB}/devices/meter-1`, pinned(nextOf('meter-1')), replace)
    await server.operator.call('DELETE', `/holdfast/v1/hubs/${HUB}/authorities/old`)
    await sendAll()
    assert.deepEqual(cuts(), before, 'taking the old one away cuts nobody off')

    for (const { device } of fleet) {
      await device.leave()
      if (device.id.startsWith('pump')) await device.register(nextOf(device.id))
      await device.connect(nextOf(device.id))
      await device.send()
    }
    const stale = new FleetDevice(server, 'press-1')
    await assert.rejects(stale.connect(await issueOld('press-1')))
    const refusal = await server.operator.refusal({ identity: 'press-1' })
    assert.equal(refusal.rule, 'chain:issuer-not-found')

    const events = await readEverything(await server.operator.eventsConnectionString(HUB))
    const stored = new Set(events.map(({ body }) => bodyText(body)))
    for (const { device } of fleet)
      for (const body of device.acknowledged) assert.ok(stored.has(body), `'${body}' was acknowledged and is gone`)
  })
})

function bodyText(body: unknown): string {
  return Buffer.isBuffer(body) ? body.toString('utf8') : String(body)
}
