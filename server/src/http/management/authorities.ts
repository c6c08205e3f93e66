import { parseCertificate } from '@holdfast/pki'
import { Type } from 'typebox'
import type { Hubs } from '../../hub/hubs.ts'
import type { CertificateAuthority } from '../../model/certificate-authority.ts'
import { parseIfMatch } from '../../model/etag.ts'
import type { ExpectedEtag } from '../../model/etag.ts'
import type { DangerousActs, HarmlessAuthorities } from '../../operators/dangerous-acts/dangerous-acts.ts'
import { askerOf } from '../asker.ts'
import { certificateFromText } from '../resource-manager/certificate-text.ts'
import { hubNamed } from '../resource-manager/iot-hubs.ts'
import { peerOfRequest } from '../request-peer.ts'
import type { Routes } from '../routes.ts'
import type { Act } from '../stated-access.ts'
import type { ManagementAccess } from './access.ts'

const tags = ['management: certificate authorities']
const HubParams = Type.Object({ hub: Type.String() })
const AuthorityParams = Type.Object({ hub: Type.String(), name: Type.String() })
const AuthorityBody = Type.Object(
  {
    certificate: Type.String({ description: 'PEM, or base64 of PEM or DER.' }),
    verified: Type.Optional(Type.Boolean({ description: 'The operator vouches for the key; no proof is asked.' })),
  },
  { additionalProperties: false },
)
const ProofBody = Type.Object({ certificate: Type.String() }, { additionalProperties: false })

const ALL = '/holdfast/v1/hubs/:hub/authorities'
const ONE = `${ALL}/:name`

export interface AuthorityParts {
  readonly hubs: Hubs
  readonly authorities: HarmlessAuthorities
  readonly dangerous: Pick<DangerousActs, 'authorities'>
  readonly access: ManagementAccess
}

/** The register of CAs for the operator. Without If-Match a change goes to whatever version is there. */
export function authorityRoutes(routes: Routes, { hubs, authorities, dangerous, access }: AuthorityParts): void {
  const before = stateIn(hubs, authorities)
  routes.get(
    ALL,
    { ...access.may('authorities.read'), schema: { tags, summary: 'List', params: HubParams } },
    async (request) => {
      const found = await authorities.list(hubNamed(hubs, request.params.hub).name)
      const mayProve = access.allows(request, 'authorities.write')
      return { value: found.map((authority) => hideCode(authorityJson(authority), mayProve)) }
    },
  )
  routes.get(
    ONE,
    { ...access.may('authorities.read'), schema: { tags, summary: 'Show', params: AuthorityParams } },
    async (request) => {
      const { hub, name } = request.params
      const found = authorityJson(await authorities.get(hubNamed(hubs, hub).name, name))
      return hideCode(found, access.allows(request, 'authorities.write'))
    },
  )
  routes.put(
    ONE,
    {
      ...access.may('authorities.write', { name: 'authority.register', before }),
      schema: { tags, summary: 'Register', params: AuthorityParams, body: AuthorityBody },
    },
    async (request) => {
      const { params, body, headers } = request
      const ifMatch = headers['if-match']
      const authority = await dangerous.authorities.put(
        askerOf(request),
        hubNamed(hubs, params.hub).name,
        params.name,
        certificateFromText(body.certificate),
        {
          expected: ifMatch === undefined ? null : parseIfMatch(ifMatch),
          verifiedByOperator: body.verified === true,
          peer: peerOfRequest(request),
        },
      )
      return authorityJson(authority)
    },
  )
  routes.delete(
    ONE,
    {
      ...access.may('authorities.write', { name: 'authority.delete', before }),
      schema: { tags, summary: 'Delete', params: AuthorityParams },
    },
    async (request, reply) => {
      const { params, headers } = request
      await dangerous.authorities.delete(
        askerOf(request),
        hubNamed(hubs, params.hub).name,
        params.name,
        expectedOf(headers),
      )
      return reply.code(204).send()
    },
  )
}

/** The two steps that prove possession of a CA's key. */
export function authorityProofRoutes(routes: Routes, { hubs, authorities, access }: AuthorityParts): void {
  const before = stateIn(hubs, authorities)
  routes.post(
    `${ONE}/code`,
    {
      ...access.may('authorities.write', { name: 'authority.issue-code', before }),
      schema: { tags, summary: 'Issue a verification code', params: AuthorityParams },
    },
    async ({ params, headers }) => {
      const hub = hubNamed(hubs, params.hub).name
      return authorityJson(await authorities.generateVerificationCode(hub, params.name, expectedOf(headers)))
    },
  )
  routes.post(
    `${ONE}/proof`,
    {
      ...access.may('authorities.write', { name: 'authority.prove', before }),
      schema: { tags, summary: 'Prove possession', params: AuthorityParams, body: ProofBody },
    },
    async (request) => {
      const { params, body, headers } = request
      const hub = hubNamed(hubs, params.hub).name
      const proof = certificateFromText(body.certificate)
      return authorityJson(
        await authorities.verify(hub, params.name, expectedOf(headers), proof, peerOfRequest(request)),
      )
    },
  )
}

/** The entry as it stands before an act. */
function stateIn(hubs: Hubs, authorities: AuthorityParts['authorities']): NonNullable<Act['before']> {
  return async ({ hub = '', name = '' }) => authorityJson(await authorities.get(hubNamed(hubs, hub).name, name))
}

function expectedOf(headers: { 'if-match'?: string | undefined }): ExpectedEtag {
  return parseIfMatch(headers['if-match'] ?? '*')
}

/** The code is for those who may prove with it. */
function hideCode<Shown extends { verificationCode?: string }>(
  shown: Shown,
  mayProve: boolean,
): Omit<Shown, 'verificationCode'> {
  if (mayProve) return shown
  const { verificationCode: _, ...rest } = shown
  return rest
}

function authorityJson(authority: CertificateAuthority) {
  const certificate = parseCertificate(authority.certificate)
  const { state } = authority
  return {
    hub: authority.hub as string,
    name: authority.name as string,
    etag: authority.etag,
    subject: certificate.subject.toString(),
    issuer: certificate.issuer.toString(),
    serial: certificate.serialHex,
    sha256: authority.sha256,
    sha1: certificate.sha1,
    notBefore: new Date(certificate.notBefore).toISOString(),
    notAfter: new Date(certificate.notAfter).toISOString(),
    created: new Date(authority.created).toISOString(),
    updated: new Date(authority.updated).toISOString(),
    certificate: Buffer.from(authority.certificate).toString('base64'),
    state: state.kind,
    ...(state.kind === 'code-issued'
      ? { verificationCode: state.code, verificationCodeExpires: new Date(state.expires).toISOString() }
      : {}),
    ...(state.kind === 'verified' ? { verifiedSince: new Date(state.since).toISOString(), verifiedBy: state.by } : {}),
  }
}
