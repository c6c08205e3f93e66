import { after, before, beforeEach, suite, test } from 'node:test'
import { parseCertificate } from '@holdfast/pki'
import { Door } from '../../src/hub/door/authenticate.ts'
import { Hubs } from '../../src/hub/hubs.ts'
import { authorityTarget, certificateTarget } from '../../src/hub/revoke.ts'
import { DAY, makeDevice, makeIntermediate, makeRoot } from '../hub/certificates.ts'
import type { Made } from '../hub/certificates.ts'
import { claimOf, FACTORY, HOST, LAB, openWorkbench, peerWith, refusalOf, registerCa } from '../hub/workbench.ts'
import type { Workbench } from '../hub/workbench.ts'
import { assertExplained } from './explained.ts'
import type { Explanation } from './explained.ts'
import {
  CRL_SIGN_ONLY,
  ENCIPHER_ONLY,
  makeOdd,
  makeRsaLeaf,
  NO_PURPOSE,
  ONLY_ELSEWHERE,
  POLICY_REQUIRED,
  SERVER_ONLY,
  UNKNOWN_CRITICAL,
} from './odd-certificates.ts'

interface Cause extends Explanation {
  readonly name: string
  /** The chain that the device shows, leaf first. */
  readonly shows: (plant: Plant) => Promise<readonly Made[]> | readonly Made[]
  /** Id that it claims; `a` unless given. */
  readonly claims?: string
  /** At a hub of the strict profile. */
  readonly strict?: true
}

/** A hub that trusts one root, with one intermediate that devices have been seen with. */
interface Plant {
  readonly bench: Workbench
  readonly now: number
  readonly root: Made
  readonly line: Made
  readonly leaf: (id?: string, parent?: Made) => Promise<Made>
}

const HOUR = 60 * 60 * 1000

const CAUSES: readonly Cause[] = [
  {
    name: 'an intermediate that was never seen is missing',
    rule: 'chain:issuer-not-found',
    shows: async ({ root, now, leaf }) => [await leaf('a', await makeIntermediate(root, 'Acme Line 9', now))],
    message: [/"CN=a"/, /issued by "CN=Acme Line 9", which was not sent/],
    remedy: /If "Acme Line 9" is an intermediate, append it to the device's chain file/,
  },
  {
    name: 'an intermediate that other devices send is missing',
    rule: 'chain:issuer-not-found',
    shows: async ({ leaf }) => [await leaf()],
    message: /The intermediate "CN=Acme Line 7" between "CN=a" and the registered CA 'acme' was not sent/,
    remedy: /Append "CN=Acme Line 7" to the device's chain file/,
  },
  {
    name: 'two intermediates are missing',
    rule: 'chain:issuer-not-found',
    shows: async ({ root, now, bench, leaf }) => {
      const upper = await makeOdd({ names: ['Acme Upper'], issuer: root, now, ca: true })
      const lower = await makeOdd({ names: ['Acme Lower'], issuer: upper, now, ca: true })
      await bench.door.device(claimOf('b'), peerWith(await leaf('b', lower), lower, upper))
      return [await leaf('a', lower)]
    },
    message: /The intermediates "CN=Acme Lower" and "CN=Acme Upper" between "CN=a" and the registered CA 'acme' were/,
    remedy: /Append "CN=Acme Lower" and "CN=Acme Upper"/,
  },
  {
    name: 'the CA was registered and not proven',
    rule: 'authority-unverified',
    shows: async ({ bench, now, leaf }) => {
      const unproven = await makeRoot('Unproven Root', now)
      await bench.authorities.put(FACTORY, 'unproven', unproven.der, { expected: null })
      return [await leaf('a', unproven)]
    },
    message: /the CA 'unproven' \("CN=Unproven Root"\), whose possession was never proven/,
    remedy: /verification code/,
  },
  {
    name: 'the CA belongs to another hub',
    rule: 'authority-of-another-hub',
    shows: async ({ bench, now, leaf }) => {
      const elsewhere = await makeRoot('Lab Root', now)
      await registerCa(bench, 'lab-root', elsewhere, LAB)
      return [await leaf('a', elsewhere)]
    },
    message: /"CN=Lab Root", which is verified at hub 'lab' and not at 'factory'/,
    remedy: /register the CA at this hub/,
  },
  {
    name: 'the root was sent and is not registered',
    rule: 'chain:untrusted-root',
    shows: async ({ now, leaf }) => {
      const stranger = await makeRoot('Stranger Root', now)
      return [await leaf('a', stranger), stranger]
    },
    message: /"CN=Stranger Root" was sent as the root, but is not a registered and verified CA/,
    remedy: /Register the CA "CN=Stranger Root" and prove its possession/,
  },
  {
    name: 'the leaf is self-signed',
    rule: 'chain:untrusted-root',
    shows: async ({ now }) => [await makeOdd({ names: ['a'], now })],
    message: /"CN=a" is self-signed, so no CA vouches for it/,
    remedy: /enrol this certificate by its thumbprint/,
  },
  {
    name: 'a CA of the same name has another key',
    rule: 'chain:anchor-key-mismatch',
    shows: async ({ now, leaf }) => [await leaf('a', await makeRoot('Acme Root', now))],
    message: /"CN=a" was issued by a CA named "CN=Acme Root", but the registered CA of that name has another key/,
    remedy: /Find out which of the two CAs is yours/,
    evidence: { registered: /^[0-9a-f]{64}$/ },
  },
  {
    name: 'an intermediate was made anew under its old name',
    rule: 'chain:signature-invalid',
    shows: async ({ root, now, leaf }) => [await leaf(), await makeIntermediate(root, 'Acme Line 7', now)],
    message: /"CN=a" carries a signature that was not made by its issuer "CN=Acme Line 7"/,
    remedy: /Issue it again from the true "CN=Acme Line 7"/,
  },
  {
    name: 'the leaf has expired',
    rule: 'chain:expired',
    shows: async ({ line, now }) => [
      await makeOdd({ names: ['a'], issuer: line, now, term: [-9 * DAY, -3 * DAY - HOUR] }),
      line,
    ],
    message: /"CN=a" expired at .*; it is .* now \(3 d 1 h too late\)/,
    remedy: /Issue a new certificate/,
  },
  {
    name: 'the intermediate has expired, and not the leaf',
    rule: 'chain:expired',
    shows: async ({ root, now, leaf }) => {
      const old = await makeOdd({ names: ['Old Line'], issuer: root, now, ca: true, term: [-9 * DAY, -DAY] })
      return [await makeOdd({ names: ['a'], issuer: old, now }), old, await leaf('b')]
    },
    message: /CA certificate "CN=Old Line" expired/,
    remedy: /Issue a new certificate/,
  },
  {
    name: 'the leaf is not valid yet',
    rule: 'chain:not-yet-valid',
    shows: async ({ line, now }) => [
      await makeOdd({ names: ['a'], issuer: line, now, term: [2 * HOUR + 60_000, DAY] }),
      line,
    ],
    message: /"CN=a" is not valid before .*; it is .* now \(2 h 1 min too early\)/,
    remedy: /Compare the clock of the machine that issued it/,
  },
  {
    name: 'the extended key usage is that of servers',
    rule: 'chain:extended-key-usage',
    shows: async ({ line, now }) => [
      await makeOdd({ names: ['a'], issuer: line, now, extensions: [SERVER_ONLY] }),
      line,
    ],
    message: /"CN=a" has an extendedKeyUsage that does not allow clientAuth/,
    remedy: /Issue it again with extendedKeyUsage clientAuth/,
  },
  {
    name: 'the extended key usage is empty',
    rule: 'chain:extended-key-usage',
    shows: async ({ line, now }) => [
      await makeOdd({ names: ['a'], issuer: line, now, extensions: [NO_PURPOSE] }),
      line,
    ],
    message: /"CN=a" has an extendedKeyUsage that is empty/,
    remedy: /clientAuth/,
  },
  {
    name: 'the key usage lets the device sign nothing',
    rule: 'chain:key-usage',
    shows: async ({ line, now }) => [
      await makeOdd({ names: ['a'], issuer: line, now, extensions: [ENCIPHER_ONLY] }),
      line,
    ],
    message: /"CN=a" has a keyUsage that does not allow a TLS client to sign/,
    remedy: /keyUsage digitalSignature/,
  },
  {
    name: 'a CA may not sign certificates',
    rule: 'chain:key-usage',
    shows: async ({ root, now }) => {
      const mute = await makeOdd({ names: ['Mute CA'], issuer: root, now, ca: true, extensions: [CRL_SIGN_ONLY] })
      return [await makeOdd({ names: ['a'], issuer: mute, now }), mute]
    },
    message: /"CN=Mute CA" is a CA whose keyUsage does not allow it to sign certificates/,
    remedy: /keyUsage keyCertSign/,
  },
  {
    name: 'a device certificate was used as a CA',
    rule: 'chain:not-a-ca',
    shows: async ({ line, now, leaf }) => {
      const device = await leaf('b')
      return [await makeOdd({ names: ['a'], issuer: device, now }), device, line]
    },
    message: /"CN=b" was used to issue another certificate but is not a CA/,
    remedy: /Issue the device certificate from a CA certificate/,
  },
  {
    name: 'more CAs follow than one above allows',
    rule: 'chain:path-length-exceeded',
    shows: async ({ root, now }) => {
      const upper = await makeOdd({ names: ['Leaves only'], issuer: root, now, ca: true, pathLength: 0 })
      const lower = await makeOdd({ names: ['One too many'], issuer: upper, now, ca: true })
      return [await makeOdd({ names: ['a'], issuer: lower, now }), lower, upper]
    },
    message: /"CN=Leaves only" allows 0 intermediate CAs below itself, but 1 follow/,
    remedy: /larger path length/,
  },
  {
    name: 'the name is outside of the constraints of its CA',
    rule: 'chain:name-constraints',
    shows: async ({ root, now }) => {
      const narrow = await makeOdd({ names: ['Narrow CA'], issuer: root, now, ca: true, extensions: [ONLY_ELSEWHERE] })
      return [await makeOdd({ names: ['a'], issuer: narrow, now }), narrow]
    },
    message: /"CN=a" has the name .*CN=a.* the name constraints of "CN=Narrow CA"/,
    remedy: /a name that this CA may issue for/,
  },
  {
    name: 'a policy is required and none is there',
    rule: 'chain:certificate-policy',
    shows: async ({ root, now }) => {
      const strict = await makeOdd({ names: ['Policy CA'], issuer: root, now, ca: true, extensions: [POLICY_REQUIRED] })
      return [await makeOdd({ names: ['a'], issuer: strict, now }), strict]
    },
    message: /policy/,
    remedy: /certificate policy/,
  },
  {
    name: 'a critical extension is unknown',
    rule: 'chain:unknown-critical-extension',
    shows: async ({ line, now }) => [
      await makeOdd({ names: ['a'], issuer: line, now, extensions: [UNKNOWN_CRITICAL] }),
      line,
    ],
    message: /"CN=a" has the critical extension 1\.3\.6\.1\.4\.1\.55555\.1/,
    remedy: /without this extension/,
  },
  {
    name: 'an extension is there twice',
    rule: 'chain:duplicate-extension',
    shows: async ({ line, now }) => [
      await makeOdd({ names: ['a'], issuer: line, now, extensions: [SERVER_ONLY, SERVER_ONLY] }),
      line,
    ],
    message: /"CN=a" contains extension 2\.5\.29\.37 more than once/,
    remedy: /each extension once/,
  },
  {
    name: 'the key is too short',
    rule: 'chain:weak-key',
    shows: async ({ now }) => [await makeRsaLeaf('a', 1024, 'SHA-256', now)],
    message: /"CN=a" .*1024/,
    remedy: /2048/,
  },
  {
    name: 'the signature is of a broken digest',
    rule: 'chain:weak-signature',
    shows: async ({ now }) => [await makeRsaLeaf('a', 2048, 'SHA-1', now)],
    message: /"CN=a" is signed with .*[sS][hH][aA]-?1.*, which is broken/,
    remedy: /SHA-256 or better/,
  },
  {
    name: 'a certificate names two signature algorithms',
    rule: 'chain:algorithm-mismatch',
    shows: async ({ line, leaf }) => {
      const made = await leaf()
      return [{ ...made, der: withOuterAlgorithm(made.der) }, line]
    },
    message: /"CN=a" names one signature algorithm inside of its signed part and another one outside/,
    remedy: /Issue it again/,
  },
  {
    name: 'the key is on a curve that nobody should use',
    rule: 'chain:unsupported-algorithm',
    shows: async ({ line, leaf }) => {
      const made = await leaf()
      return [{ ...made, der: withOtherCurve(made.der) }, line]
    },
    message: /"CN=a" .*(curve|key|1\.2\.840\.10045\.3\.1\.6)/,
    remedy: /ECDSA on P-256, P-384 or P-521/,
  },
  {
    name: 'the hub is strict, and the leaf is of an old kind',
    rule: 'chain:profile-violation',
    shows: async ({ line, now }) => [await makeOdd({ names: ['a'], issuer: line, now }), line],
    strict: true,
    message: /"CN=a"/,
    remedy: /./,
  },
  {
    name: 'a certificate cannot be read',
    rule: 'chain:malformed-certificate',
    shows: async ({ leaf, line }) => [await leaf(), { ...line, der: line.der.subarray(0, 100) }],
    message: /Certificate 2 of the chain is malformed: /,
    remedy: /Replace it in the device's chain file/,
  },
  {
    name: 'the device shows the certificate of its CA',
    rule: 'chain:anchor-as-leaf',
    shows: ({ root }) => [root],
    message: /"CN=Acme Root" is a registered CA itself and was presented as a device certificate/,
    remedy: /Issue a device certificate from this CA/,
  },
  {
    name: 'far too many certificates are sent',
    rule: 'chain:budget-exceeded',
    shows: async ({ leaf, now }) => {
      const strays = await Promise.all(Array.from({ length: 12 }, (_, index) => makeRoot(`Stray ${index}`, now)))
      return [await leaf(), ...strays]
    },
    message: /the chain of certificate "CN=a" was given up/i,
    remedy: /Send the leaf and the intermediates up to the registered CA, each once/,
  },
  {
    name: 'the leaf was revoked',
    rule: 'chain:revoked',
    shows: async ({ bench, leaf, line, now }) => {
      const lost = await leaf()
      const order = { reason: 'keyCompromise', by: 'ann', revokedAt: now - HOUR } as const
      await bench.revocations.revoke(FACTORY, certificateTarget(parseCertificate(lost.der)), order)
      return [lost, line]
    },
    message: /"CN=a" was revoked at \d{4}-\d\d-\d\dT\S+ \(keyCompromise; .*ann/,
    remedy: /Issue the device a new certificate with a new key/,
  },
  {
    name: 'the intermediate was revoked',
    rule: 'chain:revoked',
    shows: async ({ bench, root, now }) => {
      const stolen = await makeIntermediate(root, 'Stolen Line', now)
      const order = { reason: 'cACompromise', by: 'ann' } as const
      await bench.revocations.revoke(FACTORY, authorityTarget(parseCertificate(stolen.der)), order)
      return [await makeDevice(stolen, 'a', now), stolen]
    },
    message: /"CN=Stolen Line" was revoked at .*cACompromise/,
    remedy: /Issue the devices below this CA from another CA/,
  },
  {
    name: 'the CA must be asked about revocation and has no list',
    rule: 'chain:revocation-unknown',
    shows: async ({ bench, root, now }) => {
      const careful = await makeIntermediate(root, 'Careful Line', now)
      await bench.revocations.setRule(FACTORY, parseCertificate(careful.der), { policy: 'require' })
      return [await makeDevice(careful, 'a', now), careful]
    },
    message: /"CN=a" may have been revoked: no CRL of its issuer is at hand/,
    remedy: /Import a current CRL of its issuer "CN=Careful Line"/,
  },
  {
    name: 'the common name differs in case',
    claims: 'Pump-1',
    rule: 'common-name-mismatch',
    shows: async ({ leaf, line }) => [await leaf('pump-1'), line],
    message: /that of 'pump-1', the device id claimed is 'Pump-1': they differ in case only/,
    remedy: /case included/,
    evidence: { commonName: /^pump-1$/, claimed: /^Pump-1$/ },
  },
  {
    name: 'the common name has a blank at its end',
    rule: 'common-name-mismatch',
    shows: async ({ line, now }) => [await makeOdd({ names: ['a '], issuer: line, now }), line],
    message: /blanks at an end/,
    remedy: /common name equals its id/,
  },
  {
    name: 'the common name has a letter that looks alike',
    rule: 'common-name-mismatch',
    shows: async ({ line, now }) => [await makeOdd({ names: ['\u0430'], issuer: line, now }), line],
    message: /letters that look alike/,
    remedy: /common name equals its id/,
  },
  {
    name: 'the common name has an invisible character',
    rule: 'common-name-mismatch',
    shows: async ({ line, now }) => [await makeOdd({ names: ['a\u200b'], issuer: line, now }), line],
    message: /invisible characters/,
    remedy: /common name equals its id/,
  },
  {
    name: 'the certificate is that of another device',
    claims: 'b',
    rule: 'common-name-mismatch',
    shows: async ({ leaf, line }) => [await leaf('a'), line],
    message: /that of 'a', the device id claimed is 'b': they are different names/,
    remedy: /common name equals its id/,
  },
  {
    name: 'there are two common names',
    rule: 'common-name-not-single',
    shows: async ({ line, now }) => [await makeOdd({ names: ['a', 'b'], issuer: line, now }), line],
    message: /"CN=b,CN=a" has 2 common names instead of one|"CN=a,CN=b" has 2 common names instead of one/,
    remedy: /exactly one common name/,
  },
]

/** P-256 in the key becomes prime239v3 (1.2.840.10045.3.1.6), which is as long in bytes. */
function withOtherCurve(der: Uint8Array): Uint8Array {
  const changed = Buffer.from(der)
  const oid = Buffer.from('2a8648ce3d030107', 'hex')
  changed[changed.indexOf(oid) + oid.length - 1] = 6
  return changed
}

/** ecdsa-with-SHA256 outside becomes ecdsa-with-SHA384: 1.2.840.10045.4.3.2 and .3, told apart by their last byte. */
function withOuterAlgorithm(der: Uint8Array): Uint8Array {
  const changed = Buffer.from(der)
  const oid = Buffer.from('2a8648ce3d040302', 'hex')
  changed[changed.lastIndexOf(oid) + oid.length - 1] = 3
  return changed
}

suite('a refused chain is explained when', () => {
  let plant: Plant

  before(async () => {
    const bench = await openWorkbench()
    const now = bench.clock.now()
    const root = await makeRoot('Acme Root', now, 365)
    const line = await makeIntermediate(root, 'Acme Line 7', now)
    await registerCa(bench, 'acme', root)
    for (const deviceId of ['a', 'b', 'seen', 'Pump-1'])
      await bench.devices.create(FACTORY, { deviceId, authentication: { type: 'certificateAuthority' } })
    const leaf = (id = 'a', parent = line) => makeDevice(parent, id, now)
    plant = { bench, now, root, line, leaf }
    await bench.door.device(claimOf('seen'), peerWith(await leaf('seen'), line))
  })
  beforeEach(() => {
    plant.bench.clock.time = plant.now
  })
  after(() => plant.bench.close())

  const strictDoor = (): Door => {
    const { bench } = plant
    const hubs = new Hubs([{ name: FACTORY, hosts: [HOST], partitions: 4, profile: 'strict' }])
    return new Door({ ...bench, hubs, provisioningHosts: [] })
  }

  for (const { name, shows, claims = 'a', strict, ...explanation } of CAUSES) {
    test(name, async () => {
      const chain = await shows(plant)
      const door = strict ? strictDoor() : plant.bench.door
      assertExplained(await refusalOf(door.device(claimOf(claims), peerWith(...chain))), explanation)
    })
  }
})
