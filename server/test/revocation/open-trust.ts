import { PathVerifier } from '@holdfast/pki'
import { OcspClient } from '../../src/hub/revocation/ocsp-client.ts'
import type { OcspLimits } from '../../src/hub/revocation/ocsp-client.ts'
import { Metrics } from '../../src/metrics.ts'
import { PathTrust } from '../../src/hub/revocation/path-trust.ts'
import { Revocations } from '../../src/hub/revocation/revocations.ts'
import type { RevocationsParts } from '../../src/hub/revocation/revocations.ts'

export interface OpenTrust {
  readonly revocations: Revocations
  readonly trust: PathTrust
  readonly verifier: PathVerifier
  readonly metrics: Metrics
  close(): void
}

/** Path validation with revocation, on the registry that is given. */
export async function openTrust(
  parts: RevocationsParts & { verifier?: PathVerifier },
  ocspLimits: OcspLimits = { timeoutMs: 3_000, atOnce: 64 },
): Promise<OpenTrust> {
  const verifier = parts.verifier ?? new PathVerifier({ cacheSize: 1_000 })
  const revocations = await Revocations.open(parts)
  const metrics = new Metrics()
  const ocsp = new OcspClient({ ...parts, verifier, metrics }, ocspLimits)
  const trust = new PathTrust({ verifier, revocations, ocsp })
  const close = (): void => {
    revocations.close()
    ocsp.close()
  }
  return { revocations, trust, verifier, metrics, close }
}
