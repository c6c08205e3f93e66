import { AuditLog, auditFolder } from '../audit/audit-log.ts'
import type { SecurityEvents } from '../audit/security-events.ts'
import { recordLife } from '../audit/server-life.ts'
import { recordRestore } from '../backup/restored.ts'
import { ConfigError } from '../config.ts'
import type { Config } from '../config.ts'
import { ensurePolicies } from '../hub/registry/access-policies.ts'
import { Hubs } from '../hub/hubs.ts'
import { configuredSource } from '../keys/configured-source.ts'
import { EnvelopeSealer } from '../keys/envelope.ts'
import { Keyring } from '../keys/keyring.ts'
import { SealedFiles } from '../keys/sealed-files.ts'
import { DEFAULT_HUB_POLICIES, DEFAULT_PROVISIONING_POLICIES } from '../model/access-policy.ts'
import { Operators } from '../operators/operators.ts'
import { keepOwnerToken } from '../operators/owner-token.ts'
import type { Randomness } from '../ports/clock.ts'
import type { Registry } from '../ports/registry.ts'
import { holdsSealedData, openSqliteStores } from '../sqlite/open.ts'
import type { SqliteStores } from '../sqlite/open.ts'
import type { Context } from './context.ts'

/** Everything of a server that outlives it: keys, stores, the audit log, who may run it, which hubs there are. */
export interface Kept {
  readonly keyring: Keyring
  readonly stores: SqliteStores
  /** Seals the server's own private files. */
  readonly secrets: SealedFiles
  readonly audit: AuditLog
  readonly securityEvents: SecurityEvents
  readonly operators: Operators
  readonly managementTokenFile: string
  readonly hubs: Hubs
}

export async function openKept(context: Context): Promise<Kept> {
  const { config, clock, random, log, metrics, openAuditFile, onClose, onFailure } = context
  // Before anything else is opened or changed: without its keys the folder must stay as it is.
  const keyring = await openKeyring(context)
  onClose(() => keyring.close())
  const stores = await openSqliteStores({
    folder: config.data,
    keys: keyring.dataKeys,
    admitsUnsealed: keyring.admitsUnsealed,
    onProgress: (message) => log.warn(message),
    refusalCapacity: config.limits.refusals,
    clock,
    onFailure,
    onError: (error) => log.error({ err: error }, 'a store reported an error'),
  })
  onClose(() => stores.close())
  const { registry } = stores
  const fileSealer = new EnvelopeSealer('file', keyring.dataKeys)
  const secrets = new SealedFiles(fileSealer, { admitsUnsealed: keyring.admitsUnsealed })
  keyring.onNewKey(async (key) => {
    fileSealer.add(key)
    await stores.sealing.addKey(key)
  })
  const audit = await AuditLog.open({
    folder: auditFolder(config.data),
    secrets,
    clock,
    log,
    metrics,
    openFile: openAuditFile,
  })
  const life = await recordLife(audit, { config, settings: registry.settings, log })
  onClose(() => life.close())
  await recordRestore(config.data, audit)
  const operators = await Operators.open({ settings: registry.settings, clock, random })
  const { tokenFile } = config.management
  const managementTokenFile = await keepOwnerToken({ data: config.data, configured: tokenFile }, operators)
  const hubs = await openHubs(config, registry)
  await makePolicies(config, registry, random)
  return { keyring, stores, secrets, audit, securityEvents: life.events, operators, managementTokenFile, hubs }
}

async function openKeyring({ config, clock, random, log, typed }: Context): Promise<Keyring> {
  const keyring = await Keyring.open({
    folder: config.data,
    source: configuredSource({ data: config.data, keyFile: config.keys.file, ...config.keys }, typed),
    holdsSealedData: holdsSealedData(config.data),
    clock,
    random,
  })
  const { path, kind, id } = keyring.facts().kek
  if (keyring.admitsUnsealed)
    log.info(
      { kind, id, path },
      path === null
        ? 'the data folder is sealed with a passphrase or a token: without it nothing in the folder can be read'
        : 'the data folder is sealed with the key in this file: keep a copy of it apart from the folder; without it nothing in the folder can be read',
    )
  return keyring
}

/** The partition count of a hub is written down at its first start: events are spread by it. */
async function openHubs(config: Config, registry: Registry): Promise<Hubs> {
  for (const { name, partitions } of config.hubs) {
    const key = `hub.${name}.partitions`
    const known = await registry.settings.get(key)
    if (known === null) await registry.settings.put(key, String(partitions))
    else if (known !== String(partitions)) {
      throw new ConfigError([
        `hubs: '${name}' holds events in ${known} partitions, and the number cannot be changed to ${partitions}`,
      ])
    }
  }
  return new Hubs(config.hubs)
}

async function makePolicies(config: Config, registry: Registry, random: Randomness): Promise<void> {
  for (const { name } of config.hubs)
    await ensurePolicies(registry, { kind: 'hub', hub: name }, DEFAULT_HUB_POLICIES, random)
  await ensurePolicies(registry, { kind: 'provisioning' }, DEFAULT_PROVISIONING_POLICIES, random)
}
