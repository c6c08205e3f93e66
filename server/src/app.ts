import { openAppendFile } from './audit/append-file.ts'
import type { OpenAppendFile } from './audit/append-file.ts'
import type { Context } from './app/context.ts'
import { openHub } from './app/hub.ts'
import { openKept } from './app/kept.ts'
import { openProvisioning } from './app/provisioning.ts'
import { systemRandomness } from './app/randomness.ts'
import { openServing } from './app/serving.ts'
import { reachedAt } from './app/server-names.ts'
import { ConfigError } from './config.ts'
import type { Config, HubConfig } from './config.ts'
import type { TypedSecrets } from './keys/configured-source.ts'
import { createLog } from './log.ts'
import type { Log } from './log.ts'
import { Metrics } from './metrics.ts'
import type { Clock, Randomness } from './ports/clock.ts'

export interface RunningServer {
  readonly ports: {
    readonly mqtt: number
    readonly https: number
    readonly amqp: number
    readonly plainAmqp: number | null
    readonly crl: number | null
  }
  /** A name or address that reaches this server from this machine, and that its own certificate carries. */
  readonly reachedAt: string
  /** The home hub. */
  readonly hub: HubConfig
  readonly idScope: string
  /** PEM file of the root that signed the server certificate; null when the operator brought one. */
  readonly rootFile: string | null
  /** Holds the key that the data folder is sealed with; null when a passphrase does. */
  readonly keyFile: string | null
  /** Mode 0600; holds the token of the management API. */
  readonly managementTokenFile: string
  /** Rejects when the server can acknowledge nothing any more; settles in no other way. */
  readonly failed: Promise<never>
  /** Stops accepting, finishes what is in flight, closes the stores. */
  close(): Promise<void>
}

/** What a test may replace, and what only a terminal can tell. */
export interface Environment extends TypedSecrets {
  readonly clock?: Clock
  readonly random?: Randomness
  readonly log?: Log
  /** How the audit log opens its files. */
  readonly openAuditFile?: OpenAppendFile
}

/**
 * Starts a server: the one place where its parts are made and joined, in four stages: what is kept, the hubs, the
 * provisioning service, the heads. Each stage is a file in `app/`.
 * @throws ConfigError for settings that cannot stand, HubError when a port or the data folder cannot be had.
 */
export async function startServer(config: Config, environment: Environment = {}): Promise<RunningServer> {
  const closers: (() => Promise<void> | void)[] = []
  const close = async (): Promise<void> => {
    for (const closer of closers.splice(0).toReversed()) await closer()
  }
  const failure = Promise.withResolvers<never>()
  let hasFailed = false
  // Whoever runs the server may look at it late or never.
  failure.promise.catch(() => {})
  const context: Context = {
    config,
    clock: environment.clock ?? { now: () => Date.now() },
    random: environment.random ?? systemRandomness(),
    log: environment.log ?? createLog({ level: config.log.level }),
    metrics: new Metrics(),
    typed: environment,
    openAuditFile: environment.openAuditFile ?? openAppendFile,
    onClose: (closer) => closers.push(closer),
    onFailure: (error) => {
      hasFailed = true
      failure.reject(error)
    },
    hasFailed: () => hasFailed,
  }
  try {
    return { ...(await assemble(context)), failed: failure.promise, close }
  } catch (error) {
    await close()
    throw error
  }
}

async function assemble(context: Context): Promise<Omit<RunningServer, 'failed' | 'close'>> {
  const kept = await openKept(context)
  const hub = await openHub(context, kept)
  const provisioning = await openProvisioning(context, kept, hub)
  const { ports, identity } = await openServing(context, kept, hub, provisioning)
  return {
    ports: {
      mqtt: ports.mqtts ?? 0,
      https: ports.https ?? 0,
      amqp: ports.amqps ?? 0,
      plainAmqp: ports.amqp,
      crl: ports.crl,
    },
    reachedAt: reachedAt(context.config),
    hub: homeHub(context.config),
    idScope: provisioning.idScope,
    rootFile: identity.rootFile,
    keyFile: kept.keyring.facts().kek.path,
    managementTokenFile: kept.managementTokenFile,
  }
}

function homeHub(config: Config): HubConfig {
  const [home] = config.hubs
  if (!home) throw new ConfigError(['hubs: at least one hub is needed'])
  return home
}
