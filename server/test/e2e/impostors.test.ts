import assert from 'node:assert/strict'
import { createHmac, createPrivateKey } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { encodePem, parseCertificate, spkiOf } from '@holdfast/pki'
import { makeDevice, makeIntermediate, makeRoot } from '../http/certificates.ts'
import type { TestAuthority, TestIdentity } from '../http/certificates.ts'
import { DAY, forge } from '../hub/certificates.ts'
import type { Made } from '../hub/certificates.ts'
import { DOORS } from './doors.ts'
import type { Claim } from './doors.ts'
import { HUB, HUB_HOST, startWholeServer } from './whole-server.ts'
import type { WholeServer } from './whole-server.ts'

const OTHER_HUB = 'depot'
const OTHER_HOST = 'depot.holdfast.test'
const KEY = Buffer.alloc(32, 7).toString('base64')
const WRONG_KEY = Buffer.alloc(32, 8).toString('base64')

interface Shown {
  readonly cert: string
  readonly key: string
}

interface Impostor {
  /** The certificates and the key that it shows for `id`; null: none. */
  readonly show: (id: string) => Promise<Shown | null>
  /** The rule that each door must name; null where it is no impostor. */
  readonly rules: { readonly hub: string; readonly provisioning: string | null }
}

const pem = ({ der }: { der: Uint8Array }) => encodePem('CERTIFICATE', der)
const pkcs8 = (key: KeyObject) => key.export({ type: 'pkcs8', format: 'pem' })

const complete = async (authority: TestAuthority, id: string, chain: readonly TestAuthority[]): Promise<Shown> =>
  makeDevice(authority, id, chain)

const PROTOCOLS = {
  hub: 'mqtt',
  'provisioning over MQTT': 'mqtt',
  'provisioning over MQTT and WebSocket': 'mqtt-ws',
  'provisioning over HTTPS': 'https',
  'provisioning over AMQP': 'amqp',
  'provisioning over AMQP and WebSocket': 'amqp-ws',
} as const satisfies Record<keyof typeof DOORS, string>

/** A leaf for `id` under whatever `issuer` is, made with foreign tools that ask no questions. */
async function leafUnder(issuer: Made, id: string, term: { from: number; until: number }): Promise<Made> {
  return forge({
    subject: [{ CN: [id] }],
    issuer: { name: parseCertificate(issuer.der).subject.toString(), key: issuer.key },
    notBefore: Date.now() + term.from,
    notAfter: Date.now() + term.until,
  })
}
const thisMonth = { from: -DAY, until: 30 * DAY }

describe('an impostor', () => {
  let server: WholeServer
  let root: TestAuthority
  let line: TestAuthority
  let otherLine: TestAuthority
  let unverified: TestAuthority
  let elsewhere: TestAuthority
  before(async () => {
    server = await startWholeServer({
      hubs: [
        { name: HUB, hosts: [HUB_HOST] },
        { name: OTHER_HUB, hosts: [OTHER_HOST] },
      ],
    })
    const { operator } = server
    root = await makeRoot('Plant root')
    line = await makeIntermediate(root, 'Line')
    otherLine = await makeIntermediate(root, 'Line')
    unverified = await makeRoot('Unproven root')
    elsewhere = await makeRoot('Depot root')
    await operator.registerAuthority(HUB, 'root', root)
    await operator.uploadAuthority(HUB, 'unproven', unverified)
    await operator.registerAuthority(OTHER_HUB, 'depot-root', elsewhere)
    const byChain = { type: 'x509', x509: { caReferences: { primary: 'root' } } }
    await operator.enrollGroup('plant', { attestation: byChain })
  })
  after(() => server.close())

  const impostors: Record<string, Impostor> = {
    'with a CA of its own that has the name and the key id of ours': {
      show: async (id) => {
        const keyId = parseCertificate(root.der).extensions.subjectKeyIdentifier ?? new Uint8Array()
        const subjectKeyId = Buffer.from(keyId).toString('hex')
        const [notBefore, notAfter] = [Date.now() - DAY, Date.now() + 30 * DAY]
        const ca = await forge({ subject: [{ CN: ['Plant root'] }], notBefore, notAfter, ca: true, subjectKeyId })
        const leaf = await leafUnder(ca, id, thisMonth)
        return { cert: pem(leaf) + pem(ca), key: pkcs8(leaf.key) }
      },
      rules: { hub: 'chain:anchor-key-mismatch', provisioning: 'chain:anchor-key-mismatch' },
    },
    'with a CA of its own that has the name of ours': {
      show: async (id) => {
        const ca = await makeRoot('Plant root')
        return complete(ca, id, [ca])
      },
      rules: { hub: 'chain:anchor-key-mismatch', provisioning: 'chain:anchor-key-mismatch' },
    },
    'whose certificate a device has signed': {
      show: async (id) => {
        const { der, key } = await makeDevice(line, 'signer', [line])
        const leaf = await leafUnder({ der, key: createPrivateKey(key) }, id, thisMonth)
        return { cert: pem(leaf) + pem({ der }) + line.pem, key: pkcs8(leaf.key) }
      },
      rules: { hub: 'chain:not-a-ca', provisioning: 'chain:not-a-ca' },
    },
    'with another intermediate of the same name in its chain': {
      show: async (id) => complete(line, id, [otherLine]),
      rules: { hub: 'chain:signature-invalid', provisioning: 'chain:signature-invalid' },
    },
    'without the intermediate of its chain': {
      show: async (id) => complete(line, id, []),
      rules: { hub: 'chain:issuer-not-found', provisioning: 'chain:issuer-not-found' },
    },
    'with the certificate of another device': {
      show: async () => complete(line, 'somebody-else', [line]),
      rules: { hub: 'common-name-mismatch', provisioning: 'registration-id-mismatch' },
    },
    'with an id that differs in case': {
      show: async (id) => complete(line, id.toUpperCase(), [line]),
      // Registration ids have no case.
      rules: { hub: 'common-name-mismatch', provisioning: null },
    },
    'under a CA that another hub of this server trusts': {
      show: async (id) => complete(elsewhere, id, [elsewhere]),
      rules: { hub: 'authority-of-another-hub', provisioning: 'authority-of-another-hub' },
    },
    'under a CA whose possession was never proven': {
      show: async (id) => complete(unverified, id, [unverified]),
      rules: { hub: 'authority-unverified', provisioning: 'authority-unverified' },
    },
    'with an expired certificate': {
      show: async (id) => {
        const leaf = await leafUnder(line, id, { from: -30 * DAY, until: -DAY })
        return { cert: pem(leaf) + line.pem, key: pkcs8(leaf.key) }
      },
      rules: { hub: 'chain:expired', provisioning: 'chain:expired' },
    },
    'with a certificate of tomorrow': {
      show: async (id) => {
        const leaf = await leafUnder(line, id, { from: DAY, until: 30 * DAY })
        return { cert: pem(leaf) + line.pem, key: pkcs8(leaf.key) }
      },
      rules: { hub: 'chain:not-yet-valid', provisioning: 'chain:not-yet-valid' },
    },
    'with a certificate of its own making': {
      show: async (id) => {
        const self = await forge({ subject: [{ CN: [id] }], notBefore: Date.now() - DAY, notAfter: Date.now() + DAY })
        return { cert: pem(self), key: pkcs8(self.key) }
      },
      rules: { hub: 'chain:untrusted-root', provisioning: 'chain:untrusted-root' },
    },
    'without a certificate': {
      show: async () => null,
      rules: { hub: 'client-certificate-missing', provisioning: 'client-certificate-missing' },
    },
  }

  /** Fails unless the claim is refused at the door, told nothing, and explained to the operator. */
  async function requireRefused(door: keyof typeof DOORS, claim: Claim, rule: string): Promise<void> {
    const before = await server.operator.refusalsUntilNow()
    const { isIn, told } = await DOORS[door](server, claim)
    assert.equal(isIn, false, `${door} let it in`)
    const refusal = await server.operator.refusal({ identity: claim.id }, before)
    assert.equal(refusal.rule, rule, `${door}: ${refusal.message}`)
    assert.equal(refusal.protocol, PROTOCOLS[door])
    assert.ok(refusal.message.length > 10 && refusal.remedy.length > 10)
    assert.match(refusal.trackingId, /^[0-9a-f]{32}$/)
    const sent = claim.shown?.cert.match(/-----BEGIN/g)?.length ?? 0
    assert.equal(refusal.chain.length, sent)
    assert.doesNotMatch(told, /root|line|issuer|expired|signature|unverified|depot|disabled|common name|key/i)
    // MQTT's refusal is one byte; the others have room for a number that the operator can look up.
    if (!PROTOCOLS[door].startsWith('mqtt')) assert.ok(told.includes(refusal.trackingId), told)
    else assert.equal(told, '\x20\x02\x00\x05')
  }

  const doors = Object.keys(DOORS) as (keyof typeof DOORS)[]
  const registrationDoors = doors.filter((door) => door !== 'hub')
  for (const [index, [who, { show, rules }]] of Object.entries(impostors).entries()) {
    test(`${who} is refused at every door, and explained`, { timeout: 60_000 }, async () => {
      for (const [place, door] of doors.entries()) {
        const rule = door === 'hub' ? rules.hub : rules.provisioning
        // An id for each door: equal attempts within a second are one refusal.
        const id = `victim-${index}-${place}`
        if (door === 'hub') await server.operator.createDevice(HUB, id)
        const shown = await show(id)
        if (rule !== null) await requireRefused(door, { id, shown }, rule)
      }
    })
  }

  test('with the certificate of a device, but not its key, does not get past TLS', { timeout: 20_000 }, async () => {
    const id = 'robbed'
    await server.operator.createDevice(HUB, id)
    const victim = await makeDevice(line, id, [line])
    const shown = { cert: victim.cert, key: mismatchedKey(victim, await makeDevice(line, id)) }
    const before = await server.operator.refusalsUntilNow()
    for (const door of doors) {
      const { isIn, told } = await DOORS[door](server, { id, shown })
      assert.equal(isIn, false)
      assert.match(told, /alert|closed|hang up|reset/i)
    }
    const refusal = await server.operator.refusal({ rule: 'tls-handshake-failed' }, before)
    assert.equal(refusal.area, 'tls')
    // With the key it is the device.
    assert.equal((await DOORS.hub(server, { id, shown: victim })).isIn, true)
  })

  test(
    'that a device or its enrollment was disabled for is refused, right as its certificate is',
    { timeout: 30_000 },
    async () => {
      const id = 'stolen'
      await server.operator.createDevice(HUB, id)
      const shown = await makeDevice(line, id, [line])
      await server.operator.setStatus(HUB, id, 'disabled')
      await requireRefused('hub', { id, shown }, 'device-disabled')
      for (const [place, door] of registrationDoors.entries()) {
        const own = `stolen-${place}`
        const identity = await makeDevice(line, own, [line])
        const clientCertificates = { primary: { certificate: identity.der.toString('base64') } }
        const attestation = { type: 'x509', x509: { clientCertificates } }
        await server.operator.enroll(own, { attestation, provisioningStatus: 'disabled' })
        await requireRefused(door, { id: own, shown: identity }, 'enrollment-disabled')
      }
    },
  )

  test('that asks at an unknown scope, or that no enrollment is for, is refused', { timeout: 60_000 }, async () => {
    const unenrolled = await makeRoot('Root without a group')
    await server.operator.registerAuthority(HUB, 'unenrolled', unenrolled)
    for (const [place, door] of registrationDoors.entries()) {
      const lost = `lost-${place}`
      const shown = await makeDevice(line, lost, [line])
      await requireRefused(door, { id: lost, shown, scope: '0neFFFFFFFF' }, 'scope-unknown')
      const id = `unenrolled-${place}`
      await requireRefused(door, { id, shown: await makeDevice(unenrolled, id) }, 'enrollment-unknown')
    }
  })

  test('that registers in bad words is told what is wrong with them', { timeout: 60_000 }, async () => {
    const payload = 'x'.repeat(97 * 1024)
    const bodies: [body: string, errorCode: number, rule: string][] = [
      ['{"registrationId":', 400006, 'request-malformed'],
      [`{"payload":${'['.repeat(100)}${']'.repeat(100)}}`, 400006, 'request-malformed'],
      ['{"registrationId":"somebody-else"}', 401002, 'registration-id-mismatch'],
      [JSON.stringify({ payload }), 413001, 'request-too-large'],
    ]
    for (const [place, door] of registrationDoors.entries()) {
      const id = `babbler-${place}`
      const shown = await makeDevice(line, id, [line])
      for (const [body, errorCode, rule] of bodies) {
        const before = await server.operator.refusalsUntilNow()
        const { isIn, told } = await DOORS[door](server, { id, shown, body })
        assert.equal(isIn, false, `${door} took ${body.slice(0, 40)}`)
        assert.match(told, new RegExp(`"errorCode":${errorCode}\\b`), door)
        // What HTTP itself could not take is answered before anybody knows that it is a registration.
        if (door.endsWith('HTTPS') && errorCode !== 401002) continue
        const refusal = await server.operator.refusal({ identity: id }, before)
        assert.deepEqual([refusal.rule, refusal.protocol], [rule, PROTOCOLS[door]])
        assert.ok(told.includes(refusal.trackingId))
      }
      assert.equal((await DOORS[door](server, { id, shown })).isIn, true, door)
    }
  })

  test('of a device that nobody knows is not told so', { timeout: 30_000 }, async () => {
    const id = 'stranger'
    await requireRefused('hub', { id, shown: await makeDevice(line, id, [line]) }, 'device-unknown')
  })

  test('with a token that is wrong in any part is refused', { timeout: 60_000 }, async () => {
    const id = 'keyed'
    const symmetricKey = { primaryKey: KEY, secondaryKey: KEY }
    await server.operator.createDevice(HUB, id, { type: 'sas', symmetricKey })
    await server.operator.createDevice(OTHER_HUB, id, { type: 'sas', symmetricKey })
    const resource = `${HUB_HOST}/devices/${id}`
    const soon = Date.now() + DAY
    const tokens: [token: string, rule: string, host?: string][] = [
      [tokenFor(resource, WRONG_KEY, soon), 'token-signature-wrong'],
      [tokenFor(resource, KEY, Date.now() - 600_000), 'token-expired'],
      [tokenFor(`${HUB_HOST}/devices/another`, KEY, soon), 'token-resource-mismatch'],
      [tokenFor(resource, KEY, soon), 'token-resource-mismatch', OTHER_HOST],
      [tokenFor(resource, KEY, soon), 'hub-name-unknown', 'nowhere.holdfast.test'],
      ['SharedAccessSignature sr=1', 'token-malformed'],
    ]
    for (const [token, rule, host] of tokens)
      await requireRefused('hub', { id, shown: null, token, ...(host === undefined ? {} : { host }) }, rule)
    assert.equal((await DOORS.hub(server, { id, shown: null, token: tokenFor(resource, KEY, soon) })).isIn, true)

    for (const [place, door] of (['provisioning over MQTT', 'provisioning over HTTPS'] as const).entries()) {
      const own = `enrolled-${place}`
      await server.operator.enroll(own, { attestation: { type: 'symmetricKey', symmetricKey } })
      const registration = (key: string, expiresAt: number) => ({
        id: own,
        shown: null,
        token: `${tokenFor(`${server.idScope}/registrations/${own}`, key, expiresAt)}&skn=registration`,
      })
      await requireRefused(door, registration(WRONG_KEY, soon), 'token-signature-wrong')
      await requireRefused(door, registration(KEY, Date.now() - 600_000), 'token-expired')
      assert.equal((await DOORS[door](server, registration(KEY, soon))).isIn, true)
    }
  })

  test('while the real device gets in at every door', { timeout: 30_000 }, async () => {
    const id = 'genuine'
    const shown = await makeDevice(line, id, [line])
    for (const door of registrationDoors) assert.equal((await DOORS[door](server, { id, shown })).isIn, true, door)
  })
})

/** The private key of `own` that claims to belong to the public key of `victim`: OpenSSL compares no more than that. */
function mismatchedKey(victim: TestIdentity, own: TestIdentity): string {
  const der = createPrivateKey(own.key).export({ type: 'pkcs8', format: 'der' })
  // RFC 5915 §3, P-256: the public point is the last 65 bytes, here and in the SubjectPublicKeyInfo.
  Buffer.from(spkiOf(createPrivateKey(victim.key)))
    .subarray(-65)
    .copy(der, der.length - 65)
  return encodePem('PRIVATE KEY', der)
}

function tokenFor(resource: string, key: string, expiresAt: number): string {
  const audience = encodeURIComponent(resource)
  const expiry = Math.floor(expiresAt / 1000)
  const signature = createHmac('sha256', Buffer.from(key, 'base64')).update(`${audience}\n${expiry}`).digest('base64')
  return `SharedAccessSignature sr=${audience}&sig=${encodeURIComponent(signature)}&se=${expiry}`
}
