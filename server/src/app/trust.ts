import { PathVerifier } from '@holdfast/pki'
import { CrlFetcher } from '../hub/revocation/crl-fetcher.ts'
import { Crls } from '../hub/revocation/crls.ts'
import type { Hubs } from '../hub/hubs.ts'
import { OcspClient } from '../hub/revocation/ocsp-client.ts'
import { PathTrust } from '../hub/revocation/path-trust.ts'
import { Revocations } from '../hub/revocation/revocations.ts'
import type { Bus } from '../ports/bus.ts'
import type { Registry } from '../ports/registry.ts'
import type { Context } from './context.ts'

/** Verified CA keys and signatures kept for the next connect. */
const VERIFIER_CACHE = 10_000
/** Good signatures of device certificates kept for their next connect; an entry takes about 200 bytes. */
const LEAF_CACHE = 32_768

/** Paths and what is revoked on them; CRLs are fetched from then on where the operator asked for it. */
export async function openTrust(
  { config, clock, random, log, metrics, onClose }: Context,
  stored: { registry: Registry; hubs: Hubs; bus: Bus },
): Promise<{ trust: PathTrust; crls: Crls }> {
  const parts = { ...stored, clock, random, log }
  const verifier = new PathVerifier({ cacheSize: VERIFIER_CACHE, leafCacheSize: LEAF_CACHE })
  const revocations = await Revocations.open(parts)
  onClose(() => revocations.close())
  const { ocspSeconds, ocspQuestions } = config.limits
  const ocspLimits = { timeoutMs: ocspSeconds * 1_000, atOnce: ocspQuestions }
  const ocsp = new OcspClient({ ...parts, verifier, metrics }, ocspLimits)
  onClose(() => ocsp.close())
  const trust = new PathTrust({ verifier, revocations, ocsp })
  const crls = new Crls({ ...parts, revocations, verifier })
  const fetcher = new CrlFetcher({ ...parts, revocations, crls })
  trust.onVerified((hub, path) => fetcher.notice(hub, path))
  onClose(() => fetcher.close())
  return { trust, crls }
}
