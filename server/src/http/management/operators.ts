import { parseCertificate } from '@holdfast/pki'
import { Type } from 'typebox'
import { HubError } from '../../errors.ts'
import { ROLES } from '../../model/operator.ts'
import type { Operator, OperatorCredential } from '../../model/operator.ts'
import type { Approval } from '../../model/approval.ts'
import { DANGEROUS_ACTS } from '../../model/dangerous-act.ts'
import type { DangerousActs, HarmlessOperators } from '../../operators/dangerous-acts/dangerous-acts.ts'
import type { SecondPerson } from '../../operators/second-person.ts'
import type { Clock } from '../../ports/clock.ts'
import { askerOf } from '../asker.ts'
import { certificateFromText } from '../resource-manager/certificate-text.ts'
import type { Routes } from '../routes.ts'
import type { Act } from '../stated-access.ts'
import type { ManagementAccess } from './access.ts'

const tags = ['management: operators']
const YEAR_SECONDS = 366 * 24 * 60 * 60
const DEFAULT_SECONDS = 90 * 24 * 60 * 60
const NameParams = Type.Object({ name: Type.String({ maxLength: 64 }) })
const CredentialParams = Type.Object({ name: Type.String({ maxLength: 64 }), id: Type.String({ maxLength: 64 }) })
const ApprovalParams = Type.Object({ id: Type.String({ maxLength: 64 }) })
const OperatorBody = Type.Object(
  { role: Type.Union(ROLES.map((role) => Type.Literal(role))) },
  { additionalProperties: false },
)
const TokenBody = Type.Object(
  {
    expiresIn: Type.Optional(
      Type.Integer({ minimum: 1, maximum: YEAR_SECONDS, description: 'Seconds; 90 days unless given.' }),
    ),
  },
  { additionalProperties: false },
)
const CertificateBody = Type.Object(
  { certificate: Type.String({ description: 'PEM, or base64 of PEM or DER.' }) },
  { additionalProperties: false },
)

const ALL = '/holdfast/v1/operators'
const ONE = `${ALL}/:name`

export interface OperatorRoutesParts {
  readonly operators: HarmlessOperators
  readonly dangerous: Pick<DangerousActs, 'operators'>
  readonly secondPerson: SecondPerson
  readonly clock: Clock
  readonly access: ManagementAccess
}

/** Who runs the server, in which role, and how they log in. */
export function operatorRoutes(routes: Routes, { operators, dangerous, access }: OperatorRoutesParts): void {
  const before: Act['before'] = async ({ name = '' }) => operatorJson(operators.get(name))
  const change = (name: string): ReturnType<typeof access.may> => access.may('operators.write', { name, before })

  routes.get(ALL, { ...access.may('operators.read'), schema: { tags, summary: 'List' } }, async () => ({
    value: operators.list().map(operatorJson),
  }))
  routes.put(
    ONE,
    { ...change('operator.create'), schema: { tags, summary: 'Create', params: NameParams, body: OperatorBody } },
    async (request) => {
      const { params, body } = request
      return operatorJson(await dangerous.operators.create(askerOf(request), params.name, body.role))
    },
  )
  routes.delete(
    ONE,
    { ...change('operator.revoke'), schema: { tags, summary: 'End at once', params: NameParams } },
    async ({ params }, reply) => {
      await operators.revoke(params.name)
      return reply.code(204).send()
    },
  )
  routes.delete(
    `${ONE}/credentials/:id`,
    {
      ...change('operator.revoke-credential'),
      schema: { tags, summary: 'End one credential', params: CredentialParams },
    },
    async ({ params }, reply) => {
      await operators.revoke(params.name, params.id)
      return reply.code(204).send()
    },
  )
}

/** Ways to log in. The text of a token is told once, when it is made. */
export function operatorCredentialRoutes(routes: Routes, parts: OperatorRoutesParts): void {
  const { operators, dangerous, clock, access } = parts
  routes.post(
    `${ONE}/tokens`,
    {
      ...access.may('operators.write', { name: 'operator.issue-token' }),
      schema: { tags, summary: 'Make a token', params: NameParams, body: TokenBody },
    },
    async (request, reply) => {
      const { params, body } = request
      const expires = clock.now() + (body.expiresIn ?? DEFAULT_SECONDS) * 1000
      const { token, credential } = await dangerous.operators.issueToken(askerOf(request), params.name, expires)
      return reply.code(201).send({ token, ...credentialJson(credential) })
    },
  )
  routes.post(
    '/holdfast/v1/own-token/renew',
    {
      ...access.may('own-token.renew', { name: 'operator.renew-token' }),
      schema: { tags, summary: 'Another token in the place of the one that is shown' },
    },
    async (request) => {
      const { token, credential } = await operators.renewToken(access.operatorOf(request))
      return { token, ...credentialJson(credential) }
    },
  )
  routes.post(
    `${ONE}/certificates`,
    {
      ...access.may('operators.write', { name: 'operator.add-certificate' }),
      schema: { tags, summary: 'Add a client certificate', params: NameParams, body: CertificateBody },
    },
    async (request, reply) => {
      const { params, body } = request
      const { der, subject, notAfter, isCa } = parseCertificate(certificateFromText(body.certificate))
      if (isCa) throw new HubError('argument-invalid', 'A CA certificate logs nobody in: give the one of the operator.')
      const certificate = { der, subject: subject.toString(), expires: notAfter }
      const added = await dangerous.operators.addCertificate(askerOf(request), params.name, certificate)
      return reply.code(201).send(credentialJson(added))
    },
  )
}

/** Dangerous acts that wait for a second person. */
export function approvalRoutes(routes: Routes, { secondPerson, access }: OperatorRoutesParts): void {
  const before: Act['before'] = async ({ id = '' }) => approvalJson(secondPerson.get(id))
  const one = '/holdfast/v1/approvals/:id'
  routes.get(
    '/holdfast/v1/approvals',
    { ...access.may('approvals.read'), schema: { tags, summary: 'List what waits for a second person' } },
    async () => ({ value: secondPerson.list().map(approvalJson) }),
  )
  routes.post(
    `${one}/approve`,
    {
      ...access.may('approvals.decide', { name: 'approval.approve', before }),
      schema: { tags, summary: 'Let the act be done, once', params: ApprovalParams },
    },
    async (request) => approvalJson(await secondPerson.approve(request.params.id, access.operatorOf(request))),
  )
  routes.post(
    `${one}/deny`,
    {
      ...access.may('approvals.decide', { name: 'approval.deny', before }),
      schema: { tags, summary: 'Deny', params: ApprovalParams },
    },
    async ({ params }, reply) => {
      await secondPerson.deny(params.id)
      return reply.code(204).send()
    },
  )
}

function operatorJson({ name, role, created, madeBy, credentials }: Operator) {
  return { name, role, created: iso(created), madeBy: madeBy ?? null, credentials: credentials.map(credentialJson) }
}

function credentialJson(credential: OperatorCredential) {
  const { id, kind, created, expires, madeBy } = credential
  return {
    id,
    kind,
    created: iso(created),
    madeBy: madeBy ?? null,
    expires: expires === null ? null : iso(expires),
    ...(credential.kind === 'certificate' && { subject: credential.subject, sha256: credential.sha256 }),
  }
}

function approvalJson({ request: _request, state: _state, requestedAt, expires, ...approval }: Approval) {
  return { ...approval, does: DANGEROUS_ACTS[approval.act], requestedAt: iso(requestedAt), expires: iso(expires) }
}

function iso(ms: number): string {
  return new Date(ms).toISOString()
}
