import { after, before, suite, test } from 'node:test'
import { makeIntermediate, makeLeaf, makeRoot, openProvisioning, tokenFor } from '../provisioning/fixture.ts'
import type { Authority, Provisioning } from '../provisioning/fixture.ts'
import { RefusedError } from '../../src/hub/refusals/refusals.ts'
import { refusalOf } from '../hub/workbench.ts'
import { assertExplained } from './explained.ts'
import type { Explanation } from './explained.ts'

const KEY = Buffer.alloc(32, 7).toString('base64')
const OTHER_KEY = Buffer.alloc(32, 8).toString('base64')

interface Scene {
  readonly house: Provisioning
  readonly root: Authority
  readonly line: Authority
}

interface Cause extends Explanation {
  readonly name: string
  readonly attempt: (scene: Scene) => Promise<unknown>
}

const group = (id: string, primary: string, more: object = {}) => ({
  enrollmentGroupId: id,
  attestation: { type: 'x509', x509: { caReferences: { primary } } },
  ...more,
})

const individual = (registrationId: string, certificate: Buffer, more: object = {}) => ({
  registrationId,
  attestation: {
    type: 'x509',
    x509: { clientCertificates: { primary: { certificate: certificate.toString('base64') } } },
  },
  ...more,
})

const CAUSES: readonly Cause[] = [
  {
    name: 'the id scope is another one',
    rule: 'scope-unknown',
    attempt: ({ house }) => house.authenticate('dev-1', { scope: '0ne00000000' }),
    message: /The id scope '0ne00000000' is not '0neDEADBEEF'/,
    remedy: /'0neDEADBEEF'/,
  },
  {
    name: 'the registration id cannot be one',
    rule: 'device-id-invalid',
    attempt: ({ house }) => house.authenticate('dev 1!', {}),
    message: /dev 1!|character/,
    remedy: /Use 1 to 128 letters, digits/,
  },
  {
    name: 'no group names a CA of the chain',
    rule: 'enrollment-unknown',
    attempt: async ({ house, root }) => {
      const lone = await makeRoot('Lone Root')
      await house.registerAuthority('lone', lone)
      void root
      return house.authenticate('dev-1', { chain: [await makeLeaf(lone, 'dev-1')] })
    },
    message: /'dev-1' has no individual enrollment, and no group names any CA of its chain: "CN=Lone Root"/,
    remedy: /a group whose CA signed its certificate/,
  },
  {
    name: 'there is no enrollment for a key',
    rule: 'enrollment-unknown',
    attempt: ({ house }) => house.authenticate('dev-1', { token: tokenFor('dev-1', KEY) }),
    message: /'dev-1' has no individual enrollment, and no group has a symmetric key/,
    remedy: /Enroll the device/,
  },
  {
    name: 'the group that decides is disabled',
    rule: 'enrollment-disabled',
    attempt: async ({ house }) => {
      const blocked = await makeRoot('Blocked Root')
      await house.registerAuthority('blocked', blocked)
      await house.enrollments.putGroup(group('blocked-line', 'blocked', { provisioningStatus: 'disabled' }), null)
      return house.authenticate('dev-1', { chain: [await makeLeaf(blocked, 'dev-1')] })
    },
    message: /the enrollment group 'blocked-line' is disabled/,
    remedy: /Enable the enrollment/,
  },
  {
    name: 'the common name is not the registration id',
    rule: 'registration-id-mismatch',
    attempt: async ({ house, root }) => house.authenticate('dev-2', { chain: [await makeLeaf(root, 'dev-1')] }),
    message: /that of 'dev-1', the registration id claimed is 'dev-2': they are different names/,
    remedy: /common name of the certificate as registration id/,
  },
  {
    name: 'the certificate is not the enrolled one',
    rule: 'attestation-mismatch',
    attempt: async ({ house, root }) => {
      await house.enrollments.putIndividual(individual('dev-3', await makeLeaf(root, 'dev-3')), null)
      return house.authenticate('dev-3', { chain: [await makeLeaf(root, 'dev-3')] })
    },
    message:
      /"CN=dev-3" \(SHA-256 [0-9a-f]{64}\) is neither the primary nor the secondary one of the enrollment \([0-9a-f]{64}\)/,
    remedy: /Use the certificate or key that the enrollment holds/,
  },
  {
    name: 'an intermediate is missing that another device has registered with',
    rule: 'chain:issuer-not-found',
    attempt: async ({ house, line }) => {
      await house.register('dev-4', { chain: [await makeLeaf(line, 'dev-4'), line.der] })
      return house.authenticate('dev-5', { chain: [await makeLeaf(line, 'dev-5')] })
    },
    message: /The intermediate "CN=Line 7 CA" between "CN=dev-5" and the registered CA 'root' was not sent/,
    remedy: /Append "CN=Line 7 CA" to the device's chain file/,
  },
  {
    name: 'a token is missing',
    rule: 'token-missing',
    attempt: async ({ house }) => {
      await house.enrollments.putIndividual(keyed('dev-6'), null)
      return house.authenticate('dev-6', {})
    },
    message: /asks for a symmetric key, and no token came/,
    remedy: /Send the token/,
  },
  {
    name: 'the token was signed with another key',
    rule: 'token-signature-wrong',
    attempt: async ({ house }) => {
      await house.enrollments.putIndividual(keyed('dev-7'), null)
      return house.authenticate('dev-7', { token: tokenFor('dev-7', OTHER_KEY) })
    },
    message: /no key that is enrolled for 'dev-7'/,
    remedy: /key/,
  },
  {
    name: 'the token is for another registration',
    rule: 'token-resource-mismatch',
    attempt: async ({ house }) => {
      await house.enrollments.putIndividual(keyed('dev-8'), null)
      return house.authenticate('dev-8', { token: tokenFor('dev-9', KEY) })
    },
    message: /was used at '0neDEADBEEF\/registrations\/dev-8'/,
    remedy: /Make the token for the resource \(sr\) '0neDEADBEEF\/registrations\/dev-8'/,
  },
  {
    name: 'the token names a policy that devices have not',
    rule: 'token-policy-unknown',
    attempt: async ({ house }) => {
      await house.enrollments.putIndividual(keyed('dev-10'), null)
      return house.authenticate('dev-10', { token: tokenFor('dev-10', KEY, { policy: 'owner' }) })
    },
    message: /The token names the policy 'owner'/,
    remedy: /'registration' \(skn\)/,
  },
  {
    name: 'the enrollment names a hub that is not linked',
    rule: 'allocation-failed',
    attempt: async ({ house }) => {
      const far = await makeRoot('Far Root')
      await house.registerAuthority('far', far)
      await house.enrollments.putGroup(group('far-line', 'far', { iotHubs: ['north.example'] }), null)
      await house.register('dev-12', { chain: [await makeLeaf(far, 'dev-12')] })
      return refusedLast(house, 'dev-12')
    },
    message: /names no hub that is linked to this provisioning service/,
    remedy: /Check the allocation policy and the linked hubs/,
  },
  {
    name: 'the device belongs to another enrollment',
    rule: 'attestation-mismatch',
    attempt: async ({ house, root }) => {
      const other = await makeRoot('Other Root')
      await house.registerAuthority('other', other)
      await house.enrollments.putGroup(group('other-line', 'other'), null)
      await house.register('dev-11', { chain: [await makeLeaf(root, 'dev-11')] })
      return house.register('dev-11', { chain: [await makeLeaf(other, 'dev-11')] })
    },
    message: /Device 'dev-11' of hub '\w+' belongs to group enrollment 'root-line'/,
    remedy: /Delete that device in its hub, or enroll this one individually/,
  },
]

/** A registration without a hub is answered, as failed, and not rejected. */
async function refusedLast({ registry }: Provisioning, identity: string): Promise<never> {
  const [refusal] = await registry.refusals.list({ identity, limit: 1 })
  throw refusal === undefined ? new Error('nothing was refused') : new RefusedError('allocation-failed', refusal)
}

function keyed(registrationId: string) {
  const symmetricKey = { primaryKey: KEY, secondaryKey: KEY }
  return { registrationId, attestation: { type: 'symmetricKey', symmetricKey } }
}

suite('a refused registration is explained when', () => {
  let scene: Scene

  before(async () => {
    const house = await openProvisioning()
    const root = await makeRoot('Root')
    await house.registerAuthority('root', root)
    await house.enrollments.putGroup(group('root-line', 'root'), null)
    scene = { house, root, line: await makeIntermediate(root, 'Line 7 CA') }
  })
  after(() => scene.house.close())

  for (const { name, attempt, ...explanation } of CAUSES) {
    test(name, async () => assertExplained(await refusalOf(attempt(scene)), explanation))
  }
})
