import { decodePem, parseCertificate, ParseError } from '@holdfast/pki'
import type { Certificate } from '@holdfast/pki'
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { Static } from 'typebox'
import { HubError } from '../../errors.ts'
import type { Crls } from '../../hub/revocation/crls.ts'
import { MAX_CRL_BYTES } from '../../hub/revocation/crls.ts'
import type { Devices } from '../../hub/registry/devices.ts'
import { isDownloadable } from '../../hub/revocation/download.ts'
import type { HubDefinition, Hubs } from '../../hub/hubs.ts'
import { authorityTarget, certificateTarget, serialTarget, thumbprintTarget } from '../../hub/revoke.ts'
import type { Revoked } from '../../hub/revoke.ts'
import type { RevocationOrder, Revocations } from '../../hub/revocation/revocations.ts'
import type { HubName } from '../../model/ids.ts'
import { parseDeviceId } from '../../model/ids.ts'
import type { Revocation, RevocationRule, RevocationTarget, StoredCrl } from '../../model/revocation.ts'
import { describeTarget, REVOCATION_REASONS } from '../../model/revocation.ts'
import type { DangerousActs, HarmlessAuthorities } from '../../operators/dangerous-acts/dangerous-acts.ts'
import type { Clock } from '../../ports/clock.ts'
import { askerOf } from '../asker.ts'
import { crlAnswer } from '../publication/crl-answer.ts'
import type { ServedPorts } from '../publication/crl-server.ts'
import { certificateFromText } from '../resource-manager/certificate-text.ts'
import { hubNamed } from '../resource-manager/iot-hubs.ts'
import type { Routes } from '../routes.ts'
import { FOR_EVERYBODY, actorOf } from '../stated-access.ts'
import type { ManagementAccess } from './access.ts'

const tags = ['management: revocation']
const HubParams = Type.Object({ hub: Type.String() })
const CERTIFICATE = { description: 'PEM, or base64 of PEM or DER.' }
const URL_TEXT = Type.String({ maxLength: 2_000 })

const RevokeBody = Type.Object(
  {
    certificate: Type.Optional(Type.String({ ...CERTIFICATE, title: 'One certificate; of a CA, its subtree too' })),
    thumbprint: Type.Optional(Type.String({ description: 'SHA-1 or SHA-256 of a certificate, hex.' })),
    issuer: Type.Optional(Type.String({ ...CERTIFICATE, title: 'With `serial`: the CA that issued it' })),
    serial: Type.Optional(Type.String({ description: 'Serial number, hex.' })),
    authority: Type.Optional(Type.String({ ...CERTIFICATE, title: 'A CA, by its key: every certificate under it' })),
    device: Type.Optional(Type.String({ description: 'Id of a device: its identity and its certificates.' })),
    reason: Type.Optional(Type.Union(REVOCATION_REASONS.map((reason) => Type.Literal(reason)))),
    revokedAt: Type.Optional(Type.String({ format: 'date-time' })),
    by: Type.Optional(Type.String({ maxLength: 128, description: 'Who decided, for the record.' })),
  },
  { additionalProperties: false },
)
const LiftBody = Type.Object({ id: Type.String() }, { additionalProperties: false })
const CrlBody = Type.Object({ crl: Type.String({ description: 'PEM, or base64 of DER.' }) })
const RuleBody = Type.Object(
  {
    authority: Type.String({ description: 'Name of a registered CA, or the certificate of any CA.' }),
    policy: Type.Optional(Type.Union([Type.Literal('require'), Type.Literal('prefer'), Type.Literal('off')])),
    fetch: Type.Optional(Type.Boolean({ description: 'Fetch from the distribution points its certificates name.' })),
    crlUrls: Type.Optional(Type.Array(URL_TEXT, { maxItems: 16 })),
    ocsp: Type.Optional(Type.Union([Type.Object({ url: Type.Union([URL_TEXT, Type.Null()]) }), Type.Null()])),
  },
  { additionalProperties: false },
)

export interface RevocationRoutesParts {
  readonly hubs: Hubs
  readonly devices: Devices
  readonly authorities: HarmlessAuthorities
  readonly revocations: Pick<Revocations, 'facts'>
  readonly dangerous: Pick<DangerousActs, 'revocations'>
  readonly crls: Crls
  readonly ports: () => ServedPorts
  readonly access: ManagementAccess
}

/** What is revoked, by whom and why. A revocation has its effect before the answer is sent. */
export function revocationRoutes(routes: Routes, parts: RevocationRoutesParts): void {
  const { hubs, revocations, dangerous, access } = parts
  const all = '/holdfast/v1/hubs/:hub/revocations'

  routes.get(
    all,
    { ...access.may('revocations.read'), schema: { tags, summary: 'List', params: HubParams } },
    async ({ params }) => ({
      value: revocations.facts(hubNamed(hubs, params.hub).name).rows().map(revocationJson),
    }),
  )
  routes.post(
    all,
    {
      ...access.may('revocations.write', { name: 'revocation.revoke' }),
      schema: { tags, summary: 'Revoke', params: HubParams, body: RevokeBody },
    },
    async (request) => {
      const { params, body } = request
      const revoked = await revoke(request, hubNamed(hubs, params.hub).name, body, parts)
      return { revocations: revoked.revocations.map(revocationJson), closedSessions: revoked.closed }
    },
  )
  routes.post(
    `${all}/lift`,
    {
      ...access.may('revocations.write', {
        name: 'revocation.lift',
        before: async ({ hub = '' }, { body }) => {
          const { id } = body as Static<typeof LiftBody>
          const found = revocations
            .facts(hubNamed(hubs, hub).name)
            .rows()
            .find((row) => row.id === id)
          return found === undefined ? null : revocationJson(found)
        },
      }),
      schema: { tags, summary: 'Lift a certificateHold', params: HubParams, body: LiftBody },
    },
    async (request) => {
      const { name } = hubNamed(hubs, request.params.hub)
      return revocationJson(await dangerous.revocations.lift(askerOf(request), name, request.body.id))
    },
  )
}

/** CRLs, and how each CA's certificates are checked. */
export function crlRoutes(routes: Routes, parts: RevocationRoutesParts): void {
  const { hubs, crls, revocations, dangerous, access } = parts
  const all = '/holdfast/v1/hubs/:hub/crls'
  const rules = '/holdfast/v1/hubs/:hub/revocation-rules'

  routes.get(
    all,
    { ...access.may('revocations.read'), schema: { tags, summary: 'List CRLs', params: HubParams } },
    async ({ params }) => {
      const hub = hubNamed(hubs, params.hub)
      return { value: crls.list(hub.name).map((crl) => crlJson(crl, addressOf(hub, parts))) }
    },
  )
  routes.post(
    all,
    {
      ...access.may('revocations.write', { name: 'crl.import' }),
      bodyLimit: MAX_CRL_BYTES * 2,
      schema: { tags, summary: 'Import a CRL', params: HubParams, body: CrlBody },
    },
    async ({ params, body }) => {
      const hub = hubNamed(hubs, params.hub)
      return crlJson(await crls.import(hub.name, crlFromText(body.crl)), addressOf(hub, parts))
    },
  )
  routes.get(
    rules,
    { ...access.may('revocations.read'), schema: { tags, summary: 'List rules', params: HubParams } },
    async ({ params }) => ({
      value: revocations.facts(hubNamed(hubs, params.hub).name).rules().map(ruleJson),
    }),
  )
  routes.put(
    rules,
    {
      ...access.may('revocations.write', {
        name: 'revocation-rule.set',
        before: async ({ hub = '' }, { body }) => {
          const { name } = hubNamed(hubs, hub)
          const issuer = await authorityOf(name, (body as Static<typeof RuleBody>).authority, parts)
          const rule = revocations.facts(name).ruleOf(issuer)
          return rule === undefined ? null : ruleJson(rule)
        },
      }),
      schema: { tags, summary: 'Set the rule of a CA', params: HubParams, body: RuleBody },
    },
    async (request) => {
      const { params, body } = request
      const { authority, ...changes } = body
      const urls = [...(changes.crlUrls ?? []), ...(changes.ocsp?.url ? [changes.ocsp.url] : [])]
      for (const url of urls)
        if (!isDownloadable(url)) throw new HubError('argument-invalid', `'${url}' is no http or https address.`)
      const hub = hubNamed(hubs, params.hub).name
      const certificate = await authorityOf(hub, authority, parts)
      return ruleJson(await dangerous.revocations.setRule(askerOf(request), hub, certificate, changes))
    },
  )
}

/** For everybody, as RFC 5280 §4.2.1.13 has it: a CRL is signed and holds no secret. */
export function publishedCrlRoutes(
  routes: Routes,
  { crls, clock }: Pick<RevocationRoutesParts, 'crls'> & { readonly clock: Clock },
): void {
  const params = Type.Object({ file: Type.String({ maxLength: 200 }) })
  const schema = { tags: ['certificate revocation lists'], summary: 'Download a CRL', params }
  routes.get('/crl/:file', { config: FOR_EVERYBODY, schema }, async (request, reply) => {
    const crl = crls.published(request.params.file.toLowerCase())
    if (crl === null) throw new HubError('certificate-not-found', 'There is no such CRL.')
    const { status, headers, body } = crlAnswer(crl, request.headers, clock.now())
    return reply
      .code(status)
      .headers(headers)
      .send(status === 304 ? undefined : body)
  })
}

type RevokeRequest = Static<typeof RevokeBody>

async function revoke(
  request: FastifyRequest,
  hub: HubName,
  body: RevokeRequest,
  { devices, dangerous }: RevocationRoutesParts,
): Promise<Revoked> {
  const order: RevocationOrder = {
    by: body.by === undefined ? actorOf(request).name : `${body.by} (logged in as ${actorOf(request).name})`,
    reason: body.reason ?? 'unspecified',
    ...(body.revokedAt !== undefined && { revokedAt: Date.parse(body.revokedAt) }),
  }
  const named = (['certificate', 'thumbprint', 'serial', 'authority', 'device'] as const).filter(
    (member) => body[member] !== undefined,
  )
  if (named.length !== 1 || (body.serial === undefined) !== (body.issuer === undefined))
    throw new HubError(
      'argument-invalid',
      'Name one thing to revoke: certificate, thumbprint, issuer and serial, authority, or device.',
    )
  if (body.device !== undefined)
    return dangerous.revocations.revokeDevice(hub, await devices.get(hub, parseDeviceId(body.device)), order)
  const certificate = body.certificate === undefined ? null : certificateOf(body.certificate)
  return dangerous.revocations.revoke(askerOf(request), hub, targetOf(body), order, certificate)
}

function targetOf({ certificate, thumbprint, issuer, serial, authority }: RevokeRequest): RevocationTarget {
  if (certificate !== undefined) return certificateTarget(certificateOf(certificate))
  if (authority !== undefined) return authorityTarget(certificateOf(authority))
  if (thumbprint !== undefined) return thumbprintTarget(thumbprint)
  return serialTarget(certificateOf(issuer ?? ''), serial ?? '')
}

function certificateOf(text: string): Certificate {
  return parseCertificate(certificateFromText(text))
}

async function authorityOf(hub: HubName, text: string, { authorities }: RevocationRoutesParts): Promise<Certificate> {
  const isName = /^[\w.-]{1,64}$/.test(text)
  const certificate = isName ? parseCertificate((await authorities.get(hub, text)).certificate) : certificateOf(text)
  if (!certificate.isCa) throw new HubError('argument-invalid', `"${certificate.subject.toString()}" is no CA.`)
  return certificate
}

function crlFromText(text: string): Uint8Array {
  if (!text.includes('-----BEGIN')) return Buffer.from(text, 'base64')
  try {
    const [block] = decodePem(text, { maxLength: MAX_CRL_BYTES * 2 })
    if (block?.label === 'X509 CRL') return block.der
  } catch (error) {
    if (!(error instanceof ParseError)) throw error
  }
  throw new HubError('argument-invalid', 'The CRL cannot be read: send PEM, or base64 of DER.')
}

function revocationJson({ id, target, reason, revokedAt, by, because, liftedAt }: Revocation) {
  const [revoked, lifted] = [iso(revokedAt), liftedAt === null ? null : iso(liftedAt)]
  return { id, target, what: describeTarget(target), reason, revokedAt: revoked, by, because, liftedAt: lifted }
}

/** Where certificates may say that the lists are; null while they are not served over plain HTTP. */
function addressOf({ hosts }: HubDefinition, { ports }: RevocationRoutesParts): string | null {
  const { crl } = ports()
  if (crl === null) return null
  return `http://${hosts[0] ?? 'localhost'}${crl === 80 ? '' : `:${crl}`}`
}

function crlJson(crl: StoredCrl, address: string | null) {
  return {
    issuer: crl.issuer,
    number: crl.number,
    baseNumber: crl.baseNumber,
    entries: crl.entries,
    thisUpdate: iso(crl.thisUpdate),
    nextUpdate: crl.nextUpdate === null ? null : iso(crl.nextUpdate),
    receivedAt: iso(crl.receivedAt),
    fetchedFrom: crl.url,
    path: `/crl/${crl.file}`,
    url: address === null ? null : `${address}/crl/${crl.file}`,
  }
}

function ruleJson({ id, subject, policy, fetch, crlUrls, ocsp }: RevocationRule) {
  return { key: id, subject, policy, fetch, crlUrls, ocsp }
}

function iso(ms: number): string {
  return new Date(ms).toISOString()
}
