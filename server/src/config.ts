import { readFileSync } from 'node:fs'
import { Type } from 'typebox'
import type { Static } from 'typebox'
import { Value } from 'typebox/value'
import { MAX_HUB_NAME_LENGTH, operationsStreamOf } from './hub/hubs.ts'
import { DUPLICATE_POLICIES } from './model/device.ts'
import { parseHubName } from './model/ids.ts'
import type { HubName } from './model/ids.ts'
import { EVENT_CATEGORIES } from './model/message.ts'

const port = (description: string, fallback: number) =>
  Type.Integer({ minimum: 0, maximum: 65535, default: fallback, description })
const HOST_NAME =
  '^(?=.{1,253}$)[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*$'
const hosts = (description: string) =>
  Type.Array(Type.String({ pattern: HOST_NAME }), { minItems: 1, maxItems: 16, description })

const certificateFiles = {
  certificate: Type.String({ description: 'PEM file: server certificate, then its intermediates.' }),
  key: Type.String({ description: 'PEM file: private key of the certificate.' }),
  passphraseFile: Type.Optional(Type.String({ description: 'File that holds the passphrase of the key.' })),
}

const HubSettings = Type.Object(
  {
    name: Type.String({ description: 'Name of the hub: the first label of its host name unless given.' }),
    hosts: hosts('Host names under which devices and services reach this hub; the first is told to devices.'),
    partitions: Type.Integer({
      minimum: 1,
      maximum: 32,
      default: 4,
      description: 'Partitions of the event stream; fixed once the hub holds data.',
    }),
    profile: Type.Union([Type.Literal('compatible'), Type.Literal('strict')], {
      default: 'compatible',
      description:
        'compatible accepts version 1 and extension-less device certificates as SDK tools make them; strict demands RFC 5280 profiles.',
    }),
    duplicates: Type.Union(
      DUPLICATE_POLICIES.map((policy) => Type.Literal(policy)),
      {
        default: 'take-over',
        description:
          'What a second session of an identity meets: it takes over, is refused while the first one lives, or puts the identity into quarantine. A device may have its own.',
      },
    ),
    events: Type.Array(Type.Union(EVENT_CATEGORIES.map((category) => Type.Literal(category))), {
      default: [],
      uniqueItems: true,
      description:
        'Events besides telemetry that go into the telemetry stream too. The stream {name}-operations always has them.',
    }),
    weight: Type.Integer({
      minimum: 1,
      maximum: 1000,
      default: 1,
      description: 'Share of this hub in hashed allocation.',
    }),
    latency: Type.Union([Type.Number({ minimum: 0 }), Type.Null()], {
      default: null,
      description: 'Latency in ms for geo-latency allocation; null when not configured.',
    }),
  },
  { additionalProperties: false },
)

/** Every setting, its meaning and its default; docs/configuration.md is generated from this schema. */
export const ConfigFile = Type.Object(
  {
    data: Type.String({ default: 'data', description: 'Folder of everything that is kept. Made with mode 0700.' }),
    hubs: Type.Array(HubSettings, {
      minItems: 1,
      maxItems: 16,
      description:
        'The hubs of this server. The first is the home hub: its register of CAs is shared with the provisioning service.',
    }),
    provisioning: Type.Object(
      { hosts: hosts('Host names of the provisioning service.') },
      { additionalProperties: false },
    ),
    listen: Type.Object(
      {
        address: Type.Union([Type.String(), Type.Null()], {
          default: null,
          description:
            'Address to listen on. Null: loopback alone while every host name is localhost, else all addresses.',
        }),
        mqtt: port('MQTT over TLS.', 8883),
        https: port('HTTPS, and MQTT and AMQP over WebSocket.', 443),
        amqp: port('AMQP over TLS: the Event Hubs-compatible endpoint and provisioning.', 5671),
        plainAmqp: Type.Union([Type.Integer({ minimum: 0, maximum: 65535 }), Type.Null()], {
          default: null,
          description: 'AMQP without TLS on loopback, for clients with UseDevelopmentEmulator=true; null is off.',
        }),
        crl: Type.Union([Type.Integer({ minimum: 0, maximum: 65535 }), Type.Null()], {
          default: null,
          description:
            'CRLs over plain HTTP, at /crl/…, where certificates can name them: they are signed, and TLS would lead in a circle (RFC 5280 §8). Nothing else is served there; null is off.',
        }),
      },
      { additionalProperties: false, default: {} },
    ),
    tls: Type.Union(
      [
        Type.Object(
          {
            ...certificateFiles,
            alternative: Type.Optional(
              Type.Object(certificateFiles, {
                additionalProperties: false,
                description:
                  'A second certificate with a key of the other type (RSA or ECDSA), for clients that need it.',
              }),
            ),
          },
          { additionalProperties: false },
        ),
        Type.Null(),
      ],
      {
        default: null,
        description: 'A bought or company server certificate. Null: Holdfast makes its own and renews it.',
      },
    ),
    retention: Type.Object(
      {
        hours: Type.Integer({
          minimum: 1,
          maximum: 24 * 365,
          default: 24,
          description: 'Events older than this are dropped.',
        }),
        megabytes: Type.Integer({
          minimum: 16,
          default: 10_240,
          description: 'The oldest events are dropped beyond this size.',
        }),
      },
      { additionalProperties: false, default: {} },
    ),
    limits: Type.Object(
      {
        connections: Type.Integer({ minimum: 1, default: 100_000, description: 'Open connections over all ports.' }),
        unauthenticated: Type.Integer({
          minimum: 1,
          default: 8_000,
          description: 'Connections that have not proven themselves yet.',
        }),
        unauthenticatedPerAddress: Type.Integer({
          minimum: 1,
          default: 4_000,
          description: 'The same, from one address.',
        }),
        requestsPerMinute: Type.Integer({
          minimum: 1,
          default: 60_000,
          description: 'HTTP requests of one address. A fleet behind one router is one address.',
        }),
        handshakeSeconds: Type.Integer({
          minimum: 1,
          maximum: 120,
          default: 10,
          description: 'Time for the TLS handshake and the first request.',
        }),
        ocspSeconds: Type.Integer({
          minimum: 1,
          maximum: 30,
          default: 3,
          description:
            "Time for a CA's OCSP responder to answer while a device waits. After it the policy of the CA decides: `require` refuses the device, `prefer` lets it in, counted in holdfast_ocsp_questions_total.",
        }),
        ocspQuestions: Type.Integer({
          minimum: 1,
          maximum: 1_000,
          default: 64,
          description: "Questions to one CA's responder at the same time. Others wait for their turn within that time.",
        }),
        authorities: Type.Integer({ minimum: 1, default: 1_000, description: 'Registered CAs per hub.' }),
        refusals: Type.Integer({
          minimum: 100,
          default: 100_000,
          description: 'Refusals that are kept; the oldest go first.',
        }),
        verificationCodeMinutes: Type.Integer({
          minimum: 1,
          maximum: 7 * 24 * 60,
          default: 60,
          description: 'Life of a verification code for proof of possession.',
        }),
      },
      { additionalProperties: false, default: {} },
    ),
    keys: Type.Object(
      {
        file: Type.Union([Type.String(), Type.Null()], {
          default: null,
          description:
            'File of the key-encryption key, made at the first start; keep it apart from the data folder. Null: beside the data folder, as <data>.key.',
        }),
        passphraseFile: Type.Union([Type.String(), Type.Null()], {
          default: null,
          description: 'File whose first line is a passphrase that takes the place of the key file.',
        }),
        token: Type.Union(
          [
            Type.Object(
              {
                module: Type.String({ description: "Path of the token's PKCS#11 library." }),
                token: Type.String({ description: 'Label of the token.' }),
                key: Type.String({
                  pattern: '^(?:[0-9A-Fa-f]{2}){1,32}$',
                  description:
                    'Id (CKA_ID, hex) of an AES-256 key in it: sensitive, never extractable, allowed to encrypt.',
                }),
                pinFile: Type.Optional(
                  Type.String({ description: 'File whose first line is the PIN; it is asked for otherwise.' }),
                ),
              },
              { additionalProperties: false },
            ),
            Type.Null(),
          ],
          { default: null, description: 'A PKCS#11 token that takes the place of the key file; needs pkcs11-tool.' },
        ),
      },
      { additionalProperties: false, default: {} },
    ),
    management: Type.Object(
      {
        secondPerson: Type.Boolean({
          default: false,
          description:
            'Whether another operator must approve what cuts devices off or weakens a check, such as deleting or revoking a CA.',
        }),
        tokenFile: Type.Union([Type.String(), Type.Null()], {
          default: null,
          description:
            "File of the owner's token, made at the first start; keep it outside of the data folder. Null: beside the data folder, as <data>.token.",
        }),
      },
      { additionalProperties: false, default: {} },
    ),
    webhooks: Type.Object(
      {
        timeoutSeconds: Type.Integer({
          minimum: 1,
          maximum: 60,
          default: 10,
          description: 'Time for a receiver of events to answer.',
        }),
        disableAfterHours: Type.Integer({
          minimum: 1,
          maximum: 24 * 30,
          default: 24,
          description: 'A webhook of events that has failed for so long is disabled.',
        }),
      },
      { additionalProperties: false, default: {} },
    ),
    log: Type.Object(
      {
        level: Type.Union(
          (['fatal', 'error', 'warn', 'info', 'debug', 'silent'] as const).map((level) => Type.Literal(level)),
          { default: 'info', description: 'Structured log on standard error.' },
        ),
      },
      { additionalProperties: false, default: {} },
    ),
  },
  { additionalProperties: false },
)

type Parsed = Static<typeof ConfigFile>
type DeepReadonly<T> = T extends (infer E)[]
  ? readonly DeepReadonly<E>[]
  : T extends object
    ? { readonly [K in keyof T]: DeepReadonly<T[K]> }
    : T

/** The settings of one server: checked, completed, frozen. */
export type Config = DeepReadonly<Omit<Parsed, 'hubs'>> & { readonly hubs: readonly HubConfig[] }
export type HubConfig = DeepReadonly<Omit<Parsed['hubs'][number], 'name'>> & { readonly name: HubName }

/** Thrown for settings that cannot stand; `problems` are whole sentences for the operator. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly problems: readonly string[]

  constructor(problems: readonly string[]) {
    super(problems.join('\n'))
    this.problems = problems
  }
}

/** Checks a plain object (a parsed file, completed by command-line options) and makes it the server's settings. */
export function readConfig(input: unknown): Config {
  const completed = Value.Default(ConfigFile, withHubNames(structuredClone(input)))
  if (!Value.Check(ConfigFile, completed)) throw new ConfigError(describeProblems(completed))
  const hubs = completed.hubs.map((hub) => ({
    ...hub,
    name: parseHubName(hub.name),
    hosts: hub.hosts.map((host) => host.toLowerCase()),
  }))
  refuseOverlaps(hubs)
  return deepFreeze({ ...completed, hubs }) as Config
}

/** What a child process gets: the environment of this one and some more. */
export function environmentWith(more: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  return { ...process.env, ...more }
}

export function readConfigFile(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'))
  } catch (cause) {
    throw new ConfigError([`${path}: ${unreadable(cause)}`])
  }
}

function unreadable(cause: unknown): string {
  const { code, message } = cause as NodeJS.ErrnoException
  if (code === 'ENOENT') return 'there is no such file'
  return code === undefined ? `it is not valid JSON: ${message}` : `it cannot be read (${code})`
}

function withHubNames(input: unknown): unknown {
  const hubs = (input as { hubs?: unknown } | null)?.hubs
  if (!Array.isArray(hubs)) return input
  for (const hub of hubs as { name?: unknown; hosts?: unknown }[]) {
    const first: unknown = Array.isArray(hub?.hosts) ? hub.hosts[0] : undefined
    if (hub && hub.name === undefined && typeof first === 'string') hub.name = first.split('.')[0]
  }
  return input
}

function describeProblems(value: unknown): string[] {
  return Value.Errors(ConfigFile, value)
    .filter((error) => error.keyword !== 'boolean')
    .slice(0, 10)
    .map((error) => {
      const where = error.instancePath.replaceAll('/', '.').slice(1) || 'the configuration'
      const extra =
        error.keyword === 'additionalProperties' ? `: unknown ${error.params.additionalProperties.join(', ')}` : ''
      return `${where} ${error.message}${extra}`
    })
}

function refuseOverlaps(hubs: readonly HubConfig[]): void {
  const owners = new Map<string, string>()
  const names = new Set<string>()
  for (const hub of hubs) {
    if (names.has(hub.name)) throw new ConfigError([`hubs: two hubs are named '${hub.name}'`])
    if (hub.name.length > MAX_HUB_NAME_LENGTH)
      throw new ConfigError([`hubs: the name '${hub.name}' is longer than ${MAX_HUB_NAME_LENGTH} characters`])
    names.add(hub.name)
    for (const host of hub.hosts) {
      const other = owners.get(host)
      if (other) throw new ConfigError([`hubs: '${host}' is a host name of both '${other}' and '${hub.name}'`])
      owners.set(host, hub.name)
    }
  }
  const taken = hubs.find((hub) => names.has(operationsStreamOf(hub.name)))
  if (taken)
    throw new ConfigError([
      `hubs: no hub may be named '${operationsStreamOf(taken.name)}': it is a stream of '${taken.name}'`,
    ])
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    for (const member of Object.values(value)) deepFreeze(member)
    Object.freeze(value)
  }
  return value
}
