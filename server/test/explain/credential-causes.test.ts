import { after, before, suite, test } from 'node:test'
import { parseCertificate } from '@holdfast/pki'
import type { DeviceClaim } from '../../src/hub/door/authenticate.ts'
import { deviceTarget } from '../../src/hub/revocation/revocations.ts'
import { parseDeviceId } from '../../src/model/ids.ts'
import { DAY, makeDevice, makeIntermediate, makeRoot } from '../hub/certificates.ts'
import type { Made } from '../hub/certificates.ts'
import { claimOf, FACTORY, HOST, openWorkbench, peerWith, refusalOf, registerCa, sasToken } from '../hub/workbench.ts'
import type { Workbench } from '../hub/workbench.ts'
import { assertExplained } from './explained.ts'
import type { Explanation } from './explained.ts'
import { makeOdd } from './odd-certificates.ts'

const KEY = Buffer.alloc(32, 7).toString('base64')
const OTHER_KEY = Buffer.alloc(32, 8).toString('base64')

interface Cause extends Explanation {
  readonly name: string
  readonly attempt: (scene: Scene) => Promise<unknown>
}

interface Scene {
  readonly bench: Workbench
  readonly now: number
  /** Seconds. */
  readonly soon: number
  readonly line: Made
  /** With the certificate of `signed`. */
  readonly signed: Made
  readonly selfSigned: Made
  readonly enter: (deviceId: string, chain?: readonly Made[], more?: Partial<DeviceClaim>) => Promise<unknown>
}

const device = (id: string): string => `${HOST}/devices/${id}`

const CAUSES: readonly Cause[] = [
  {
    name: 'the hub name is unknown',
    rule: 'hub-name-unknown',
    attempt: ({ enter }) => enter('signed', [], { host: 'factori.example.com' }),
    message: /No hub of this server is called 'factori\.example\.com'; its names are factory\.example\.com, plant/,
    remedy: /add the name to the hub's hosts/,
  },
  {
    name: 'the device id has a character that none may have',
    rule: 'device-id-invalid',
    attempt: ({ enter }) => enter('pump/1'),
    message: /pump\/1|slash|character/,
    remedy: /1 to 128/,
  },
  {
    name: 'the device is unknown',
    rule: 'device-unknown',
    attempt: ({ enter, signed, line }) => enter('Signed', [signed, line]),
    message: /Hub 'factory' has no device 'Signed'/,
    remedy: /correct its id: case matters/,
  },
  {
    name: 'a module is unknown',
    rule: 'device-unknown',
    attempt: ({ enter }) => enter('signed', [], { moduleId: 'camera' }),
    message: /no device 'signed' with a module 'camera'/,
    remedy: /Provision or create/,
  },
  {
    name: 'the device is disabled',
    rule: 'device-disabled',
    attempt: ({ enter }) =>
      enter('disabled', [], { token: sasToken({ sr: device('disabled'), key: KEY, se: 9_999_999_999 }) }),
    message: /Device 'disabled' is disabled: sold/,
    remedy: /Enable the device/,
  },
  {
    name: 'the device was revoked',
    rule: 'device-revoked',
    attempt: async ({ bench, enter, line, now }) => {
      const { generationId } = await bench.devices.get(FACTORY, parseDeviceId('revoked'))
      const target = deviceTarget(parseDeviceId('revoked'), generationId)
      await bench.revocations.revoke(FACTORY, target, { reason: 'privilegeWithdrawn', by: 'ann' })
      return enter('revoked', [await makeDevice(line, 'revoked', now), line])
    },
    message: /Device 'revoked' was revoked at .* \(privilegeWithdrawn\) by ann/,
    remedy: /delete the identity and make it anew/,
  },
  {
    name: 'no client certificate came',
    rule: 'client-certificate-missing',
    attempt: ({ enter }) => enter('signed'),
    message: /Device 'signed' authenticates by certificate; none came/,
    remedy: /a proxy that ends TLS on the way removes them/,
  },
  {
    name: 'neither token nor certificate came',
    rule: 'credential-missing',
    attempt: ({ enter }) => enter('keyed'),
    message: /Device 'keyed' authenticates by key and sent no token/,
    remedy: /Give the device its key/,
  },
  {
    name: 'a certificate came where a key is expected',
    rule: 'credential-kind-mismatch',
    attempt: ({ enter, signed, line }) => enter('keyed', [signed, line]),
    message: /set up for a symmetric key \(sas\), and the device showed a certificate/,
    remedy: /change the identity's authentication type/,
  },
  {
    name: 'a token came where a certificate is expected',
    rule: 'credential-kind-mismatch',
    attempt: ({ enter, soon }) =>
      enter('signed', [], { token: sasToken({ sr: device('signed'), key: KEY, se: soon }) }),
    message: /set up for a certificate of a registered CA .*, and the device showed a shared access signature/,
    remedy: /change the identity's authentication type/,
  },
  {
    name: 'the thumbprint is another one',
    rule: 'thumbprint-mismatch',
    attempt: ({ enter, signed }) => enter('pinned', [signed]),
    message: [/"CN=signed" has the thumbprint SHA-256 [0-9a-f]{64}; registered is [0-9a-f]{64}/],
    remedy: /Set the thumbprint of the certificate/,
    evidence: { registered: /^[0-9a-f]{64}$/, sha256: /^[0-9a-f]{64}$/ },
  },
  {
    name: 'the thumbprint is another one, in SHA-1',
    rule: 'thumbprint-mismatch',
    attempt: ({ enter, signed }) => enter('pinned-sha1', [signed]),
    message: /"CN=signed" has the thumbprint SHA-1 [0-9a-f]{40}; registered is (ab){20} and (cd){20}/,
    remedy: /Set the thumbprint of the certificate/,
  },
  {
    name: 'no thumbprint is set',
    rule: 'thumbprint-mismatch',
    attempt: ({ enter, signed }) => enter('unpinned', [signed]),
    message: /No thumbprint is set for this device, so "CN=signed" does not fit/,
    remedy: /Set the primary thumbprint of the device to [0-9a-f]{64}/,
  },
  {
    name: 'the pinned certificate has expired',
    rule: 'certificate-expired',
    attempt: async ({ bench, now, enter }) => {
      const old = await makeOdd({ names: ['old'], now, term: [-3 * DAY, -DAY] })
      await pin(bench, 'pinned-old', old)
      return enter('pinned-old', [old])
    },
    message: /"CN=old" expired at .*; it is .* now \(1 d too late\)/,
    remedy: /set its thumbprint as the secondary one/,
  },
  {
    name: 'the pinned certificate is not valid yet',
    rule: 'certificate-not-yet-valid',
    attempt: async ({ bench, now, enter }) => {
      const early = await makeOdd({ names: ['early'], now, term: [60_000, DAY] })
      await pin(bench, 'pinned-early', early)
      return enter('pinned-early', [early])
    },
    message: /"CN=early" is valid only from .*; it is .* now \(1 min too early\)/,
    remedy: /Check the clocks/,
  },
  {
    name: 'the token is none',
    rule: 'token-malformed',
    attempt: ({ enter }) => enter('keyed', [], { token: 'SharedAccessSignature sr=x&sig=y' }),
    message: /se|part|expiry/,
    remedy: /Send `SharedAccessSignature sr=/,
  },
  {
    name: 'the token has expired',
    rule: 'token-expired',
    attempt: ({ enter, soon }) =>
      enter('keyed', [], { token: sasToken({ sr: device('keyed'), key: KEY, se: soon - 7_200 }) }),
    message: /The token expired at .*; it is .* now \(1 h too late\)/,
    remedy: /check the clock of the machine that made it/,
  },
  {
    name: 'the token was signed with another key',
    rule: 'token-signature-wrong',
    attempt: ({ enter, soon }) =>
      enter('keyed', [], { token: sasToken({ sr: device('keyed'), key: OTHER_KEY, se: soon }) }),
    message: /The token was signed with neither key of device 'keyed'/,
    remedy: /present primary or secondary key/,
  },
  {
    name: 'the token is for another device',
    rule: 'token-resource-mismatch',
    attempt: ({ enter, soon }) => enter('keyed', [], { token: sasToken({ sr: device('other'), key: KEY, se: soon }) }),
    message: /is for 'factory\.example\.com\/devices\/other' and was used at 'factory\.example\.com\/devices\/keyed'/,
    remedy: /Make the token for this hub's host name/,
  },
  {
    name: 'the token names a policy that is not there',
    rule: 'token-policy-unknown',
    attempt: ({ enter, soon }) =>
      enter('keyed', [], { token: sasToken({ sr: HOST, key: KEY, se: soon, skn: 'devize' }) }),
    message: /devize/,
    remedy: /Correct the policy name \(skn\)/,
  },
  {
    name: 'the policy of the token lacks the right',
    rule: 'token-right-missing',
    attempt: async ({ bench, soon }) => {
      const policy = await bench.registry.policies.get({ kind: 'hub', hub: FACTORY }, 'registryRead')
      const token = sasToken({ sr: HOST, key: policy?.primaryKey ?? '', se: soon, skn: 'registryRead' })
      return bench.door.service(HOST, token, 'RegistryWrite', peerWith())
    },
    message: [/registryRead/, /RegistryWrite/],
    remedy: /a policy that carries the right/,
  },
  {
    name: 'a service sends no token',
    rule: 'token-missing',
    attempt: ({ bench }) => bench.door.service(HOST, null, 'ServiceConnect', peerWith()),
    message: /token|shared access signature/,
    remedy: /Authorization header/,
  },
]

async function pin(bench: Workbench, deviceId: string, certificate: Made): Promise<void> {
  const primaryThumbprint = parseCertificate(certificate.der).sha256
  await bench.devices.create(FACTORY, {
    deviceId,
    authentication: { type: 'selfSigned', x509Thumbprint: { primaryThumbprint } },
  })
}

suite('a refused credential is explained when', () => {
  let scene: Scene

  before(async () => {
    const bench = await openWorkbench()
    const now = bench.clock.now()
    const root = await makeRoot('Acme Root', now, 365)
    const line = await makeIntermediate(root, 'Acme Line 7', now)
    await registerCa(bench, 'acme', root)
    const byCa = { authentication: { type: 'certificateAuthority' } } as const
    const byKey = { authentication: { type: 'sas', symmetricKey: { primaryKey: KEY, secondaryKey: KEY } } } as const
    for (const deviceId of ['signed', 'revoked']) await bench.devices.create(FACTORY, { deviceId, ...byCa })
    await bench.devices.create(FACTORY, { deviceId: 'keyed', ...byKey })
    await bench.devices.create(FACTORY, { deviceId: 'disabled', ...byKey, status: 'disabled', statusReason: 'sold' })
    const selfSigned = await makeOdd({ names: ['pinned'], now })
    await pin(bench, 'pinned', selfSigned)
    const sha1 = { primaryThumbprint: 'AB'.repeat(20), secondaryThumbprint: 'CD'.repeat(20) }
    await bench.devices.create(FACTORY, {
      deviceId: 'pinned-sha1',
      authentication: { type: 'selfSigned', x509Thumbprint: sha1 },
    })
    await bench.devices.create(FACTORY, { deviceId: 'unpinned', authentication: { type: 'selfSigned' } })
    scene = {
      bench,
      now,
      soon: now / 1000 + 3_600,
      line,
      signed: await makeDevice(line, 'signed', now),
      selfSigned,
      enter: (deviceId, chain = [], more = {}) => bench.door.device(claimOf(deviceId, more), peerWith(...chain)),
    }
  })
  after(() => scene.bench.close())

  for (const { name, attempt, ...explanation } of CAUSES) {
    test(name, async () => assertExplained(await refusalOf(attempt(scene)), explanation))
  }
})
