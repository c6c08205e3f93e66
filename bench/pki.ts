import { createPublicKey, randomBytes, verify as cryptoVerify } from 'node:crypto'
import { pathToFileURL } from 'node:url'
import {
  AnchorSet,
  generateKey,
  issueDevice,
  issueIntermediate,
  issueRoot,
  issuerOf,
  keySigner,
  parseCertificate,
  PathVerifier,
  VerifiedPath,
} from '@holdfast/pki'
import type { PathRequest } from '@holdfast/pki'

export interface PkiMarks {
  /** Microseconds for one operation, the median of several rounds. */
  readonly rawSignatureCheck: number
  readonly parse: number
  /** As the server meets it: the leaf comes as bytes, the CA certificates behind it are shared with the devices before. */
  readonly leafUnderCachedCa: number
  /** The same of a leaf whose signature is remembered. */
  readonly knownLeaf: number
  readonly threeCertificatesUncached: number
  readonly amongTenAnchors: number
  readonly amongTenThousandAnchors: number
}

const NOW = Date.UTC(2026, 0, 1)
const term = { now: NOW, lifetime: 365 * 86_400_000 }

async function makeChain(): Promise<{ root: Buffer; intermediate: Buffer; leaf: Buffer }> {
  const [rootKey, intermediateKey, leafKey] = [generateKey('p256'), generateKey('p256'), generateKey('p256')].map(
    keySigner,
  )
  if (rootKey === undefined || intermediateKey === undefined || leafKey === undefined) throw new Error('no keys')
  const root = await issueRoot(rootKey, { subject: { commonName: 'Bench Root' }, term }, randomBytes)
  const rootIssuer = issuerOf(parseCertificate(root), rootKey)
  const { spki } = intermediateKey
  const profile = { subject: { commonName: 'Bench Line CA' }, spki, term }
  const intermediate = await issueIntermediate(rootIssuer, profile, randomBytes)
  const lineIssuer = issuerOf(parseCertificate(intermediate), intermediateKey)
  const leaf = await issueDevice(lineIssuer, { id: 'bench-device', spki: leafKey.spki, term }, randomBytes)
  return { root, intermediate, leaf }
}

async function makeAnchors(count: number): Promise<AnchorSet> {
  const signer = keySigner(generateKey('p256'))
  const anchors = new AnchorSet()
  for (let i = 0; i < count; i++) {
    const subject = { commonName: `Bench CA ${i}` }
    anchors.add(parseCertificate(await issueRoot(signer, { subject, term }, randomBytes)))
  }
  return anchors
}

function microseconds(operation: () => unknown, iterations: number): number {
  const rounds = Array.from({ length: 7 }, () => {
    const start = performance.now()
    for (let i = 0; i < iterations; i++) operation()
    return ((performance.now() - start) * 1000) / iterations
  })
  return rounds.toSorted((a, b) => a - b)[3] ?? Number.NaN
}

/** Measures what a connect costs in the trust core: certificates in, a verified path out. */
export async function measurePki(): Promise<PkiMarks> {
  const { root, intermediate, leaf } = await makeChain()
  const shared = [parseCertificate(intermediate)]
  const verify = (verifier: PathVerifier, anchors: AnchorSet, intermediates = shared): void => {
    const request: PathRequest = {
      leaf: parseCertificate(leaf),
      intermediates,
      anchors,
      now: NOW + 1000,
      profile: 'compatible',
      purpose: 'clientAuth',
    }
    if (!(verifier.verify(request) instanceof VerifiedPath)) throw new Error('the chain was refused')
  }
  const anchor = parseCertificate(root)
  const among = async (others: number): Promise<number> => {
    const anchors = await makeAnchors(others)
    anchors.add(anchor)
    const verifier = new PathVerifier({ cacheSize: 1000 })
    return microseconds(() => verify(verifier, anchors), 1000)
  }
  const alone = new AnchorSet([anchor])
  const cached = new PathVerifier({ cacheSize: 1000 })
  const remembering = new PathVerifier({ cacheSize: 1000, leafCacheSize: 1000 })
  const device = parseCertificate(leaf)
  const issuerKey = createPublicKey({
    key: Buffer.from(parseCertificate(intermediate).spki),
    format: 'der',
    type: 'spki',
  })
  return {
    rawSignatureCheck: microseconds(() => cryptoVerify('sha256', device.tbs, issuerKey, device.signature), 1000),
    parse: microseconds(() => parseCertificate(leaf), 5000),
    leafUnderCachedCa: microseconds(() => verify(cached, alone), 1000),
    knownLeaf: microseconds(() => verify(remembering, alone), 1000),
    threeCertificatesUncached: microseconds(() => {
      const uncached = new PathVerifier({ cacheSize: 1000 })
      parseCertificate(root)
      verify(uncached, alone, [parseCertificate(intermediate)])
    }, 500),
    amongTenAnchors: await among(9),
    amongTenThousandAnchors: await among(9_999),
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const marks = await measurePki()
  for (const [name, us] of Object.entries(marks)) console.log(`${name.padEnd(28)} ${us.toFixed(1)} µs`)
}
