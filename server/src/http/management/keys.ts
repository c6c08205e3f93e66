import { Type } from 'typebox'
import type { Hubs } from '../../hub/hubs.ts'
import type { KeyOperations } from '../../keys/key-operations.ts'
import { parseDeviceId } from '../../model/ids.ts'
import type { ServerIdentity } from '../../net/server-identity.ts'
import { hubNamed } from '../resource-manager/iot-hubs.ts'
import type { Routes } from '../routes.ts'
import type { ManagementAccess } from './access.ts'

const tags = ['management: keys']
const MAX_PASSPHRASE = 1_024

const KekBody = Type.Object(
  {
    passphrase: Type.Optional(
      Type.String({ minLength: 12, maxLength: MAX_PASSPHRASE, description: 'Locks the keyring from now on.' }),
    ),
    keyFile: Type.Optional(
      Type.String({
        pattern: '^/',
        maxLength: 4_096,
        description: 'Absolute path on the server of a key file to be made; it locks the keyring from now on.',
      }),
    ),
  },
  { additionalProperties: false, description: 'Empty: a new key in the same file. Else one of the members.' },
)

export interface KeyParts {
  readonly keyOperations: Pick<KeyOperations, 'facts' | 'rotateKek' | 'rotateDataKey' | 'startReseal' | 'startErasure'>
  readonly identity: Pick<ServerIdentity, 'renew' | 'material'>
  readonly hubs: Hubs
  readonly access: ManagementAccess
}

/** Keys of the server itself, turned over while it runs. */
export function keyRoutes(routes: Routes, { keyOperations, identity, hubs, access }: KeyParts): void {
  routes.get(
    '/holdfast/v1/keys',
    { ...access.may('keys.read'), schema: { tags, summary: 'Show what seals the data' } },
    async () => keyOperations.facts(),
  )
  routes.post(
    '/holdfast/v1/keys/kek/rotate',
    {
      ...access.may('keys.rotate', { name: 'keys.rotate-kek', isDangerous: () => true }),
      schema: { tags, summary: 'Wrap the data keys with a new key-encryption key', body: KekBody },
    },
    async ({ body: { passphrase, keyFile } }) => {
      if (passphrase !== undefined) await keyOperations.rotateKek({ kind: 'passphrase', passphrase })
      else await keyOperations.rotateKek(keyFile === undefined ? undefined : { kind: 'file', path: keyFile })
      return keyOperations.facts()
    },
  )
  routes.post(
    '/holdfast/v1/keys/data/rotate',
    {
      ...access.may('keys.rotate', { name: 'keys.rotate-data' }),
      schema: { tags, summary: 'Seal with a new data key from now on' },
    },
    async () => {
      await keyOperations.rotateDataKey()
      return keyOperations.facts()
    },
  )
  routes.post(
    '/holdfast/v1/keys/reseal',
    {
      ...access.may('keys.rotate', { name: 'keys.reseal' }),
      schema: { tags, summary: 'Begin to seal stored rows with the present data key' },
    },
    async () => {
      keyOperations.startReseal()
      return keyOperations.facts()
    },
  )
  routes.post(
    '/holdfast/v1/hubs/:hub/devices/:deviceId/erase-events',
    {
      ...access.may('keys.rotate', { name: 'keys.erase', isDangerous: () => true }),
      schema: {
        tags,
        summary: 'Begin to empty the stored events of a deleted device',
        params: Type.Object({ hub: Type.String(), deviceId: Type.String() }),
      },
    },
    async ({ params }, reply) => {
      keyOperations.startErasure(hubNamed(hubs, params.hub).name, parseDeviceId(params.deviceId))
      return reply.code(202).send(keyOperations.facts().erasure)
    },
  )
  routes.post(
    '/holdfast/v1/keys/server-certificate/renew',
    {
      ...access.may('keys.rotate', { name: 'server-certificate.renew' }),
      schema: { tags, summary: 'Renew the server certificate and its key at once' },
    },
    async () => {
      await identity.renew()
      return { certificates: identity.material.map(({ certificates }) => certificates) }
    },
  )
}
