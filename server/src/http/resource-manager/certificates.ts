import { Type } from 'typebox'
import { HubError } from '../../errors.ts'
import { parseIfMatch } from '../../model/etag.ts'
import type { ExpectedEtag } from '../../model/etag.ts'
import type { HubName } from '../../model/ids.ts'
import type { DangerousActs, HarmlessAuthorities } from '../../operators/dangerous-acts/dangerous-acts.ts'
import { askerOf } from '../asker.ts'
import { peerOfRequest } from '../request-peer.ts'
import type { Routes } from '../routes.ts'
import type { Act } from '../stated-access.ts'
import type { ManagementAccess } from '../management/access.ts'
import { certificateFromText } from './certificate-text.ts'
import { certificateJson, certificateWithCodeJson } from './certificate-json.ts'
import { ResourceParams, resourceId } from './resource-paths.ts'

const CertificateParams = Type.Object({ ...ResourceParams.properties, certificate: Type.String() })
const CertificateBody = Type.Object({
  properties: Type.Object({
    certificate: Type.String(),
    isVerified: Type.Optional(Type.Union([Type.Boolean(), Type.Null()])),
  }),
})
const VerificationBody = Type.Object({ certificate: Type.String() })
const tags = ['resource manager API']

/** Where a register of CAs is shown: a hub's own, or the home hub's through the provisioning service. */
export interface CertificateCollection {
  /** Path of the resource that it belongs to, e.g. `…/Microsoft.Devices/IotHubs/:resource`. */
  readonly base: string
  readonly collection: 'IotHubs' | 'provisioningServices'
  /** The hub whose register is meant. Throws `hub-not-found`. */
  readonly registerOf: (resource: string) => HubName
}

export interface CertificateParts {
  readonly authorities: HarmlessAuthorities
  readonly dangerous: Pick<DangerousActs, 'authorities'>
  readonly access: ManagementAccess
}

/** The register of certificate authorities. */
export function certificateRoutes(
  routes: Routes,
  parts: CertificateParts,
  { base, collection, registerOf }: CertificateCollection,
): void {
  const { authorities, dangerous, access } = parts
  const one = `${base}/certificates/:certificate`
  const place = placeIn(collection)
  const before = stateIn(authorities, { collection, registerOf })

  routes.get(
    `${base}/certificates`,
    { ...access.may('authorities.read'), schema: { tags, summary: 'List certificates', params: ResourceParams } },
    async ({ params }) => {
      const list = await authorities.list(registerOf(params.resource))
      return { value: list.map((authority) => certificateJson(authority, place(params))) }
    },
  )
  routes.get(
    one,
    { ...access.may('authorities.read'), schema: { tags, summary: 'Show a certificate', params: CertificateParams } },
    async ({ params }) =>
      certificateJson(await authorities.get(registerOf(params.resource), params.certificate), place(params)),
  )
  routes.put(
    one,
    {
      ...access.may('authorities.write', { name: 'authority.register', before }),
      schema: { tags, summary: 'Upload a certificate', params: CertificateParams, body: CertificateBody },
    },
    async (request) => {
      const { params, body, headers } = request
      const der = certificateFromText(body.properties.certificate)
      const ifMatch = headers['if-match']
      const authority = await dangerous.authorities.put(
        askerOf(request),
        registerOf(params.resource),
        params.certificate,
        der,
        {
          expected: ifMatch === undefined ? null : parseIfMatch(ifMatch),
          verifiedByOperator: body.properties.isVerified === true,
          peer: peerOfRequest(request),
        },
      )
      // The provisioning service's SDK knows 200 alone, also for a certificate that is new.
      return certificateJson(authority, place(params))
    },
  )
  routes.delete(
    one,
    {
      ...access.may('authorities.write', { name: 'authority.delete', before }),
      schema: { tags, summary: 'Delete a certificate', params: CertificateParams },
    },
    async (request, reply) => {
      const { params, headers } = request
      const expected = requiredEtag(headers['if-match'])
      await dangerous.authorities.delete(askerOf(request), registerOf(params.resource), params.certificate, expected)
      return reply.code(204).send()
    },
  )
}

/** The two steps that prove possession of a CA's key. */
export function possessionRoutes(
  routes: Routes,
  parts: CertificateParts,
  { base, collection, registerOf }: CertificateCollection,
): void {
  const { authorities, access } = parts
  const one = `${base}/certificates/:certificate`
  const place = placeIn(collection)
  const before = stateIn(authorities, { collection, registerOf })

  routes.post(
    `${one}/generateVerificationCode`,
    {
      ...access.may('authorities.write', { name: 'authority.issue-code', before }),
      schema: { tags, summary: 'Issue a verification code', params: CertificateParams },
    },
    async ({ params, headers }) => {
      const hub = registerOf(params.resource)
      const expected = requiredEtag(headers['if-match'])
      const authority = await authorities.generateVerificationCode(hub, params.certificate, expected)
      return certificateWithCodeJson(authority, place(params))
    },
  )
  routes.post(
    `${one}/verify`,
    {
      ...access.may('authorities.write', { name: 'authority.prove', before }),
      schema: { tags, summary: 'Prove possession', params: CertificateParams, body: VerificationBody },
    },
    async (request) => {
      const { params, body, headers } = request
      const hub = registerOf(params.resource)
      const expected = requiredEtag(headers['if-match'])
      const proof = certificateFromText(body.certificate)
      const peer = peerOfRequest(request)
      return certificateJson(await authorities.verify(hub, params.certificate, expected, proof, peer), place(params))
    },
  )
}

/** The entry as it stands before an act. */
function stateIn(
  authorities: HarmlessAuthorities,
  { collection, registerOf }: Pick<CertificateCollection, 'collection' | 'registerOf'>,
): NonNullable<Act['before']> {
  const place = placeIn(collection)
  return async ({ subscription = '', group = '', resource = '', certificate = '' }) =>
    certificateJson(await authorities.get(registerOf(resource), certificate), place({ subscription, group, resource }))
}

function placeIn(collection: CertificateCollection['collection']) {
  return (params: { subscription: string; group: string; resource: string }) => ({
    id: resourceId(params, collection),
    type: `Microsoft.Devices/${collection}/Certificates`,
  })
}

function requiredEtag(ifMatch: string | undefined): ExpectedEtag {
  if (ifMatch !== undefined) return parseIfMatch(ifMatch)
  throw new HubError('argument-invalid', 'This operation needs the header If-Match with the current etag.')
}
