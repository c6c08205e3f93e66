import { createPublicKey, randomBytes } from 'node:crypto'
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
  spkiOf,
} from '@holdfast/pki'
import type { KeyType } from '@holdfast/pki'
import { generateConsumerKey, isSealError, openSealed, readSealed, seal, verifySealed } from '@holdfast/seal'
import type { SealRequest, VerifyRequest } from '@holdfast/seal'

export interface SealMarks {
  /** Messages per second and core, of 1 KiB payload; CAs are known, every device certificate is checked anew. */
  readonly seal: number
  readonly sealFor: number
  readonly read: number
  readonly verify: number
  readonly open: number
  /** Bytes around the payload: thumbprint alone, with a chain of two, encrypted and with a thumbprint. */
  readonly overhead: { readonly thumbprint: number; readonly chain: number; readonly encrypted: number }
}

const NOW = Date.UTC(2026, 0, 1)
const term = { now: NOW, lifetime: 365 * 86_400_000 }
const PAYLOAD = randomBytes(1024)

async function makeDevice(type: KeyType): Promise<{ request: SealRequest; trust: VerifyRequest }> {
  const [rootKey, lineKey, key] = [generateKey('p256'), generateKey('p256'), generateKey(type)] as const
  const root = parseCertificate(
    await issueRoot(keySigner(rootKey), { subject: { commonName: 'Bench Root' }, term }, randomBytes),
  )
  const profile = { subject: { commonName: 'Bench Line' }, spki: spkiOf(lineKey), term }
  const line = parseCertificate(await issueIntermediate(issuerOf(root, keySigner(rootKey)), profile, randomBytes))
  const holder = { id: 'bench-device', spki: spkiOf(key), term }
  const leaf = parseCertificate(await issueDevice(issuerOf(line, keySigner(lineKey)), holder, randomBytes))
  return {
    request: {
      payload: PAYLOAD,
      device: 'bench-device',
      counter: 1,
      time: NOW,
      chain: [leaf, line],
      signer: keySigner(key),
    },
    trust: {
      trust: { kind: 'authorities', anchors: new AnchorSet([root]) },
      verifier: new PathVerifier({ cacheSize: 100 }),
      now: NOW,
    },
  }
}

async function perSecond(operation: () => unknown, seconds: number): Promise<number> {
  const rates: number[] = []
  for (let round = 0; round < 5; round++) {
    const start = performance.now()
    let count = 0
    for (; performance.now() - start < (seconds * 1000) / 5; count++) await operation()
    rates.push((count * 1000) / (performance.now() - start))
  }
  return Math.round(rates.toSorted((a, b) => a - b)[2] ?? 0)
}

function demandGood(verdict: object): void {
  if (isSealError(verdict)) throw new Error(verdict.message)
}

/** What sealing costs with a key of that type. Each rate is the median of five rounds. */
export async function measureSeal({
  type = 'p256',
  seconds = 1,
}: { type?: KeyType; seconds?: number } = {}): Promise<SealMarks> {
  const { request, trust } = await makeDevice(type)
  const consumer = generateConsumerKey()
  const secret = { ...request, recipient: createPublicKey(consumer) }
  const [clear, sealed] = [await seal(request), await seal(secret)]
  const small = { ...request, thumbprintOnly: true }
  return {
    seal: await perSecond(() => seal(request), seconds),
    sealFor: await perSecond(() => seal(secret), seconds),
    read: await perSecond(() => demandGood(readSealed(clear)), seconds),
    verify: await perSecond(() => demandGood(verifySealed(clear, trust)), seconds),
    open: await perSecond(() => demandGood(openSealed(sealed, { ...trust, recipientKey: consumer })), seconds),
    overhead: {
      thumbprint: (await seal(small)).length - PAYLOAD.length,
      chain: clear.length - PAYLOAD.length,
      encrypted: (await seal({ ...secret, thumbprintOnly: true })).length - PAYLOAD.length,
    },
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  for (const type of ['p256', 'p384', 'ed25519', 'ml-dsa-65'] as const) console.log(type, await measureSeal({ type }))
}
