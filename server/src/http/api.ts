import rateLimit from '@fastify/rate-limit'
import swagger from '@fastify/swagger'
import { TypeBoxValidatorCompiler } from '@fastify/type-provider-typebox'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import fastify, { LogController } from 'fastify'
import type { FastifyBaseLogger, FastifyRequest } from 'fastify'
import type { Server } from 'node:https'
import type { AuditLog } from '../audit/audit-log.ts'
import type { Backups } from '../backup/take.ts'
import { HubError } from '../errors.ts'
import type { Alarms } from '../hub/alarms.ts'
import type { Door } from '../hub/door/authenticate.ts'
import type { AuthorityUsage } from '../hub/authorities/authority-usage.ts'
import type { TrustAnchors } from '../hub/authorities/trust-anchors.ts'
import type { Crls } from '../hub/revocation/crls.ts'
import type { PathTrust } from '../hub/revocation/path-trust.ts'
import type { Revocations } from '../hub/revocation/revocations.ts'
import type { Holders } from '../hub/holders.ts'
import type { Consumers } from '../hub/telemetry/consumers.ts'
import type { Devices } from '../hub/registry/devices.ts'
import type { ExpiryWatch } from '../hub/authorities/expiry-watch.ts'
import type { Hubs } from '../hub/hubs.ts'
import type { Operations } from '../hub/operations/operations.ts'
import type { Quarantine } from '../hub/sessions/quarantine.ts'
import type { Refusals } from '../hub/refusals/refusals.ts'
import type { Sessions } from '../hub/sessions/sessions.ts'
import type { Telemetry } from '../hub/telemetry/telemetry.ts'
import type { Webhooks } from '../hub/operations/webhooks.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { ServedPorts } from './publication/crl-server.ts'
import type {
  DangerousActs,
  HarmlessAuthorities,
  HarmlessEnrollments,
  HarmlessKeyOperations,
  HarmlessOperators,
} from '../operators/dangerous-acts/dangerous-acts.ts'
import type { SecondPerson } from '../operators/second-person.ts'
import type { Bus } from '../ports/bus.ts'
import type { Clock, Randomness } from '../ports/clock.ts'
import type { PolicyStore, SettingStore } from '../ports/registry.ts'
import type { Registrar } from '../provisioning/register.ts'
import type { RehearsalParts } from '../provisioning/rehearsal.ts'
import { deviceApi } from './device/device-api.ts'
import { parseJsonBody } from '../model/json-body.ts'
import { judgeLateBodies } from './late-bodies.ts'
import { ManagementAccess } from './management/access.ts'
import type { KeyParts } from './management/keys.ts'
import { managementApi } from './management/management-api.ts'
import { managementFailure } from './management/management-failure.ts'
import { provisioningApi } from './provisioning/provisioning-api.ts'
import { provisioningFailure } from './provisioning/provisioning-failure.ts'
import { armFailure } from './resource-manager/arm-failure.ts'
import type { ProvisioningServiceFacts } from './resource-manager/provisioning-services.ts'
import { recordActs } from './recorded-acts.ts'
import { resourceManagerApi } from './resource-manager/resource-manager-api.ts'
import { traceRequests } from './request-spans.ts'
import { sendFailure } from './routes.ts'
import type { FailureWording, Routes } from './routes.ts'
import { hubFailure } from './service/hub-failure.ts'
import { serviceApi } from './service/service-api.ts'
import { demandStatedAccess } from './stated-access.ts'

/** Everything that the HTTP heads use of the server. */
export interface HttpParts {
  readonly door: Door
  readonly hubs: Hubs
  readonly devices: Devices
  readonly sessions: Sessions
  readonly holders: Holders
  readonly telemetry: Telemetry
  readonly consumers: Consumers
  readonly anchors: TrustAnchors
  readonly trust: PathTrust
  readonly authorities: HarmlessAuthorities
  readonly revocations: Pick<Revocations, 'facts'>
  readonly dangerous: DangerousActs
  readonly crls: Crls
  readonly usage: AuthorityUsage
  readonly expiry: ExpiryWatch
  readonly rehearsing: RehearsalParts
  readonly refusals: Refusals
  readonly alarms: Alarms
  readonly operations: Operations
  readonly webhooks: Webhooks
  readonly quarantine: Quarantine
  readonly enrollments: HarmlessEnrollments
  readonly registrar: Registrar
  readonly policies: PolicyStore
  readonly bus: Bus
  readonly operators: HarmlessOperators
  readonly secondPerson: SecondPerson
  readonly audit: AuditLog
  readonly keyOperations: HarmlessKeyOperations
  readonly backups: Backups
  readonly identity: KeyParts['identity']
  readonly settings: SettingStore
  readonly service: ProvisioningServiceFacts
  /** As bound; asked only once the server listens. */
  readonly ports: () => ServedPorts
  /** Whether the server can keep what it would be given. */
  readonly isReady: () => Promise<boolean>
  readonly retentionHours: number
  readonly clock: Clock
  readonly random: Randomness
  readonly log: Log
  readonly metrics: Metrics
  /** Requests of one address in a minute. A fleet behind one router is one address. */
  readonly requestsPerMinute: number
}

const REMEMBERED_ADDRESSES = 10_000
const BODY_BYTES = 256 * 1024
/** 128 characters of an id, each percent-encoded. */
const MAX_PARAMETER_LENGTH = 512

/**
 * All HTTP heads on one HTTPS server that `net/` made and owns. Resolves when it may listen; `close` ends waiting
 * requests and leaves the server's connections to their owner.
 */
export async function serveHttp(server: Server, parts: HttpParts): Promise<{ close(): Promise<void> }> {
  const app = createApp(server, parts)
  traceRequests(app)
  judgeBodies(app)
  answerStrays(app, parts.clock)
  await limitRates(app, parts.requestsPerMinute)
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Holdfast', version: '1', description: 'The HTTP APIs of a Holdfast server.' },
    },
  })
  demandStatedAccess(app)
  judgeLateBodies(app)
  recordActs(app, parts)
  // One door for both of the operator's APIs, so that a guesser is counted once.
  const withAccess = { ...parts, access: new ManagementAccess(parts) }
  for (const head of [serviceApi, deviceApi, provisioningApi, resourceManagerApi, managementApi])
    await app.register(async (routes) => head(routes as Routes, withAccess))
  await app.ready()
  return { close: () => app.close() }
}

function createApp(server: Server, { clock, log, random }: HttpParts): Routes {
  const loggerInstance: FastifyBaseLogger = log
  const app = fastify({
    loggerInstance,
    logController: new LogController({ disableRequestLogging: true }),
    genReqId: () => Buffer.from(random.bytes(16)).toString('hex'),
    requestIdHeader: false,
    bodyLimit: BODY_BYTES,
    // Case and outer slashes are free on fixed words; the parameters between them keep their case.
    routerOptions: { caseSensitive: false, ignoreTrailingSlash: true, maxParamLength: MAX_PARAMETER_LENGTH },
    serverFactory: (handler) => {
      server.on('request', handler)
      return server
    },
    frameworkErrors: (error, request, reply) => {
      sendFailure(error, request, reply, wordingOf(request), clock)
    },
  }).withTypeProvider<TypeBoxTypeProvider>()
  app.addHook('onRequest', async (request, reply) => {
    void reply.header('x-ms-request-id', request.id).header('x-content-type-options', 'nosniff')
  })
  endConnectionsWhenClosing(app)
  return app
}

/** A request that was under way when the server began to close must not leave its connection standing. */
function endConnectionsWhenClosing(app: Routes): void {
  let closing = false
  app.addHook('preClose', async () => {
    closing = true
  })
  app.addHook('onSend', async (_request, reply) => {
    if (closing) void reply.header('connection', 'close')
  })
}

/** Bodies are JSON within a budget, checked against the route's schema as they are: nothing is converted or dropped. */
function judgeBodies(app: Routes): void {
  app.setValidatorCompiler(TypeBoxValidatorCompiler)
  // Response schemas document; what is sent is what the route made.
  app.setSerializerCompiler(() => (body) => JSON.stringify(body))
  app.removeAllContentTypeParsers()
  app.addContentTypeParser(
    /^application\/([\w.-]+\+)?json\b/,
    { parseAs: 'buffer' },
    async (_request: FastifyRequest, body: Buffer) => parseJsonBody(body),
  )
}

/** Requests that reach no route of a head are answered in the words of the head that they were meant for. */
function answerStrays(app: Routes, clock: Clock): void {
  app.setErrorHandler((thrown, request, reply) => sendFailure(thrown, request, reply, wordingOf(request), clock))
  app.setNotFoundHandler((request, reply) =>
    sendFailure(unknownPath(request), request, reply, wordingOf(request), clock),
  )
}

async function limitRates(app: Routes, requestsPerMinute: number): Promise<void> {
  await app.register(rateLimit, {
    global: false,
    max: requestsPerMinute,
    timeWindow: 60_000,
    cache: REMEMBERED_ADDRESSES,
    addHeaders: { 'x-ratelimit-limit': false, 'x-ratelimit-remaining': false, 'x-ratelimit-reset': false },
    errorResponseBuilder: (_request, { ttl }) =>
      new HubError('throttled', 'Too many requests from this address.', { retryAfter: ttl / 1000 }),
  })
  // Before any route's own steps, so that attempts to authenticate count too.
  app.addHook('onRequest', app.rateLimit())
}

/** The wording of the head that a path belongs to, for requests that reach no route of it. */
function wordingOf(request: FastifyRequest): FailureWording {
  const [first = '', second = ''] = request.url.split('?', 1)[0]?.toLowerCase().split('/').slice(1) ?? []
  if (first === 'subscriptions') return armFailure
  if (['holdfast', 'crl', 'healthz', 'readyz', 'metrics'].includes(first)) return managementFailure
  if (second === 'registrations' || ['enrollments', 'enrollmentgroups', 'registrations'].includes(first))
    return provisioningFailure
  return hubFailure
}

function unknownPath(request: FastifyRequest): Error {
  const message = `There is no ${request.method} at this path.`
  return Object.assign(new Error(message), { statusCode: 404 })
}
