import { Type } from 'typebox'
import type { Static } from 'typebox'
import { HubError } from '../../errors.ts'
import type { Hubs } from '../../hub/hubs.ts'
import { tokenSource } from '../../keys/configured-source.ts'
import type { KekSource } from '../../keys/kek-source.ts'
import { parsePkcs11Uri } from '../../keys/pkcs11-uri.ts'
import { parseDeviceId } from '../../model/ids.ts'
import type { ServerIdentity } from '../../net/server-identity.ts'
import type { DangerousActs, HarmlessKeyOperations } from '../../operators/dangerous-acts/dangerous-acts.ts'
import { askerOf } from '../asker.ts'
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
    keyToken: Type.Optional(
      Type.String({
        pattern: '^pkcs11:',
        maxLength: 4_096,
        description:
          'PKCS #11 URI (RFC 7512) of a secret key in a token of the server; it locks the keyring from now on.',
      }),
    ),
    tokenPin: Type.Optional(
      Type.String({ minLength: 1, maxLength: MAX_PASSPHRASE, description: 'PIN of the token, unless a file has it.' }),
    ),
  },
  {
    additionalProperties: false,
    description:
      'Empty: a new key in the same file. Else one of the places, a token with its PIN unless the URI has it.',
  },
)

export interface KeyParts {
  readonly keyOperations: HarmlessKeyOperations
  readonly dangerous: Pick<DangerousActs, 'keys'>
  readonly identity: Pick<ServerIdentity, 'renew' | 'material'>
  readonly hubs: Hubs
  readonly access: ManagementAccess
}

/** Judges what is named; the file with a PIN is read when the answer is called. undefined: where the key is now. */
function placeIn({ passphrase, keyFile, keyToken, tokenPin }: Static<typeof KekBody>): () => KekSource | undefined {
  const places = [passphrase, keyFile, keyToken].filter((place) => place !== undefined)
  if (places.length > 1 || (tokenPin !== undefined && keyToken === undefined))
    throw new HubError(
      'argument-invalid',
      'Name one place for the key-encryption key: a passphrase, a file or a token.',
    )
  if (passphrase !== undefined) return () => ({ kind: 'passphrase', passphrase })
  if (keyToken === undefined) return () => (keyFile === undefined ? undefined : { kind: 'file', path: keyFile })
  const token = parsePkcs11Uri(keyToken)
  return () => tokenSource(token, { tokenPin })
}

/** Keys of the server itself, turned over while it runs. */
export function keyRoutes(routes: Routes, { keyOperations, dangerous, identity, hubs, access }: KeyParts): void {
  routes.get(
    '/holdfast/v1/keys',
    { ...access.may('keys.read'), schema: { tags, summary: 'Show what seals the data' } },
    async () => keyOperations.facts(),
  )
  routes.post(
    '/holdfast/v1/keys/kek/rotate',
    {
      ...access.may('keys.rotate', { name: 'keys.rotate-kek' }),
      schema: { tags, summary: 'Wrap the data keys with a new key-encryption key', body: KekBody },
    },
    async (request) => {
      await dangerous.keys.rotateKek(askerOf(request), placeIn(request.body))
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
      ...access.may('keys.rotate', { name: 'keys.erase' }),
      schema: {
        tags,
        summary: 'Begin to empty the stored events of a deleted device',
        params: Type.Object({ hub: Type.String(), deviceId: Type.String() }),
      },
    },
    async (request, reply) => {
      const { hub, deviceId } = request.params
      await dangerous.keys.startErasure(askerOf(request), hubNamed(hubs, hub).name, parseDeviceId(deviceId))
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
