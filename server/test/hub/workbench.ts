import assert from 'node:assert/strict'
import { createHmac, randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ensurePolicies } from '../../src/hub/registry/access-policies.ts'
import { Door } from '../../src/hub/door/authenticate.ts'
import { Holders } from '../../src/hub/holders.ts'
import type { DeviceClaim } from '../../src/hub/door/authenticate.ts'
import { CertificateAuthorities } from '../../src/hub/authorities/certificate-authorities.ts'
import { Devices } from '../../src/hub/registry/devices.ts'
import { Hubs } from '../../src/hub/hubs.ts'
import { RefusedError, Refusals } from '../../src/hub/refusals/refusals.ts'
import { TrustAnchors } from '../../src/hub/authorities/trust-anchors.ts'
import { openLocalBus } from '../../src/local/bus.ts'
import { createLog } from '../../src/log.ts'
import { Metrics } from '../../src/metrics.ts'
import { DEFAULT_HUB_POLICIES, DEFAULT_PROVISIONING_POLICIES } from '../../src/model/access-policy.ts'
import { parseHubName } from '../../src/model/ids.ts'
import type { Peer } from '../../src/model/peer.ts'
import type { Refusal } from '../../src/model/refusal.ts'
import { DATA_KEYS } from '../at-rest/data-keys.ts'
import { openSqliteStores } from '../../src/sqlite/open.ts'
import { openTrust } from '../revocation/open-trust.ts'
import type { Made } from './certificates.ts'
import { makeVerification } from './certificates.ts'

export const FACTORY = parseHubName('factory')
export const LAB = parseHubName('lab')
export const HOST = 'factory.example.com'

export type Workbench = Awaited<ReturnType<typeof openWorkbench>>

/** Two hubs on the real store, and everything that the hub does; only time is in the test's hand. */
export async function openWorkbench() {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-hub-'))
  const clock = {
    time: Math.floor(Date.now() / 1000) * 1000,
    now(): number {
      return this.time
    },
  }
  const random = { bytes: (count: number) => randomBytes(count) }
  const stores = await openSqliteStores({ keys: DATA_KEYS, folder, refusalCapacity: 1_000, clock })
  const { registry, telemetryLog } = stores
  const bus = openLocalBus()
  const hubs = new Hubs([
    { name: FACTORY, hosts: [HOST, 'plant.example.com'], partitions: 4 },
    { name: LAB, hosts: ['lab.example.com'], partitions: 2 },
  ])
  for (const hub of [FACTORY, LAB]) await ensurePolicies(registry, { kind: 'hub', hub }, DEFAULT_HUB_POLICIES, random)
  await ensurePolicies(registry, { kind: 'provisioning' }, DEFAULT_PROVISIONING_POLICIES, random)
  const metrics = new Metrics()
  const log = createLog({ level: 'silent' })
  const refusals = new Refusals({ registry, bus, clock, random, metrics })
  const anchors = new TrustAnchors({ registry, hubs, bus, clock })
  const { revocations, trust, close: closeTrust } = await openTrust({ registry, bus, clock, random, log })
  const holders = new Holders({ clock, log })
  const door = new Door({
    hubs,
    registry,
    anchors,
    trust,
    refusals,
    holders,
    clock,
    provisioningHosts: ['dps.example.com'],
  })
  const devices = new Devices({ registry, bus, clock, random })
  const parts = { registry, bus, clock, random, refusals, limit: 10, codeLifetimeMs: 3_600_000 }
  const authorities = new CertificateAuthorities(parts)

  return {
    folder,
    clock,
    random,
    registry,
    telemetryLog,
    bus,
    hubs,
    metrics,
    log,
    refusals,
    anchors,
    revocations,
    trust,
    holders,
    door,
    devices,
    authorities,
    async close() {
      holders.close()
      anchors.close()
      closeTrust()
      await bus.close()
      await stores.close()
      await rm(folder, { recursive: true })
    },
  }
}

/** Registers a CA and proves possession of its key, by the code. */
export async function registerCa(bench: Workbench, name: string, ca: Made, hub = FACTORY): Promise<void> {
  const { etag } = await bench.authorities.put(hub, name, ca.der, { expected: null })
  const issued = await bench.authorities.generateVerificationCode(hub, name, { kind: 'exactly', etag })
  assert(issued.state.kind === 'code-issued')
  const proof = await makeVerification(ca, issued.state.code, bench.clock.now())
  await bench.authorities.verify(hub, name, { kind: 'exactly', etag: issued.etag }, proof)
}

export function peerWith(...chain: readonly Made[]): Peer {
  const tls = { version: 'TLSv1.3', cipher: 'TLS_AES_256_GCM_SHA384', group: null, serverName: null, resumed: false }
  return { address: '192.0.2.7', port: 40_000, protocol: 'mqtt', tls, chain: chain.map(({ der }) => der) }
}

export function claimOf(deviceId: string, more: Partial<DeviceClaim> = {}): DeviceClaim {
  return { host: HOST, deviceId, moduleId: null, token: null, modelId: null, ...more }
}

export interface TokenFields {
  /** As it shall stand in the token. */
  readonly sr: string
  readonly key: string
  /** Seconds. */
  readonly se: number | string
  readonly skn?: string
  readonly rule?: 'iot' | 'event-hubs'
}

/** A token as the SDKs make one. */
export function sasToken({ sr, key, se, skn, rule = 'iot' }: TokenFields): string {
  const bytes = Buffer.from(key, rule === 'iot' ? 'base64' : 'utf8')
  const signature = createHmac('sha256', bytes).update(`${sr}\n${se}`).digest('base64')
  return `SharedAccessSignature sr=${sr}&sig=${encodeURIComponent(signature)}&se=${se}${skn === undefined ? '' : `&skn=${skn}`}`
}

/** The refusal that the attempt ends with. */
export async function refusalOf(attempt: Promise<unknown>): Promise<Refusal & { code: string; shown: string }> {
  const error = await attempt.then(
    () => assert.fail('the attempt was let in'),
    (error: unknown) => error,
  )
  if (!(error instanceof RefusedError)) throw error
  return { ...error.refusal, code: error.code, shown: error.message }
}
