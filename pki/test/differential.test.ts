import assert from 'node:assert/strict'
import { execFile, execFileSync } from 'node:child_process'
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { after, test } from 'node:test'
import { promisify } from 'node:util'
import { bitString, explicit, implicit, octetString, sequence } from '../src/der-writer.ts'
import { keyIdentifier } from '../src/extension-writer.ts'
import {
  AnchorSet,
  encodePem,
  ExtensionOid,
  isTrustError,
  KeyPurpose,
  ParseError,
  parseCertificate,
  PathVerifier,
  spkiOf,
} from '../src/index.ts'
import type { Certificate, TrustRule } from '../src/index.ts'
import type { Entity, Wishes } from './forge.ts'
import {
  basicConstraints,
  caExtensions,
  ECDSA_SHA256,
  extendedKeyUsage,
  extension,
  forge,
  forgeCa,
  keyUsage,
  NOW,
} from './forge.ts'

/**
 * Random hierarchies, most of them wrong somewhere, judged by us and by `openssl verify`. Each disagreement is a
 * failure, but for the rules that we mean to hold more strictly.
 * HOLDFAST_FUZZ_SECONDS sets how long, and then each run goes its own way; HOLDFAST_FUZZ_SEED repeats one.
 */
const FUZZ_SECONDS = process.env['HOLDFAST_FUZZ_SECONDS']
const SECONDS = Number(FUZZ_SECONDS ?? 3)
const SEED = Number(process.env['HOLDFAST_FUZZ_SEED'] ?? (FUZZ_SECONDS === undefined ? 1 : Date.now() % 1_000_000))
const CAS = 24
const LEAVES = 200
/** The time of judgement: so crooked that no mutation of another date lands on it. */
const AT = NOW + 45_296_000

const run = promisify(execFile)
const folder = mkdtempSync(join(tmpdir(), 'holdfast-differential-'))
after(() => rmSync(folder, { recursive: true }))

function opensslVersion(): string | undefined {
  try {
    return execFileSync('openssl', ['version'], { encoding: 'utf8' })
  } catch {
    return undefined
  }
}

/** mulberry32: small, seeded, good enough to pick with. */
function makeRandom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

class Dice {
  readonly #random: () => number

  constructor(seed: number) {
    this.#random = makeRandom(seed)
  }

  one<T>(choices: readonly [T, ...T[]]): T {
    return choices[Math.floor(this.#random() * choices.length)] ?? choices[0]
  }

  chance(probability: number): boolean {
    return this.#random() < probability
  }

  below(limit: number): number {
    return Math.floor(this.#random() * limit)
  }
}

const keys = Array.from({ length: CAS }, () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey)
const rootKey = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
const strangersKey = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
const leafKey = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey

/** Properties of a CA: sound most of the time, so that trouble further down is reached. */
function caWishes(dice: Dice): Wishes {
  const constraints = dice.chance(0.85)
    ? [basicConstraints(true, dice.chance(0.7) ? undefined : dice.below(3), dice.chance(0.8))]
    : []
  const usage = dice.chance(0.8) ? [keyUsage('keyCertSign', 'cRLSign')] : dice.chance(0.7) ? [] : [keyUsage('cRLSign')]
  return {
    ...dates(dice),
    ...(dice.chance(0.03) && { version: 1 }),
    ...(dice.chance(0.04) && { signedBy: strangersKey }),
    extensions: [
      ...(constraints.length > 0 ? constraints : [basicConstraints(false)]),
      ...usage,
      ...purposes(dice),
      ...(dice.chance(0.2) ? [nameConstraints(dice)] : []),
      ...oddities(dice),
    ],
  }
}

function leafWishes(dice: Dice): Wishes {
  const usages = dice.one([
    ['digitalSignature'],
    ['digitalSignature'],
    ['keyAgreement'],
    ['keyEncipherment'],
    ['keyCertSign'],
  ] as const)
  return {
    ...dates(dice),
    ...(dice.chance(0.1) && { version: 1 }),
    ...(dice.chance(0.05) && { signedBy: strangersKey }),
    extensions: [
      ...(dice.chance(0.3) ? [] : [keyUsage(...usages)]),
      ...(dice.chance(0.8) ? [basicConstraints(dice.chance(0.1))] : []),
      ...purposes(dice),
      ...(dice.chance(0.6) ? [alternativeNames(dice)] : []),
      ...oddities(dice),
      extension('1.2.3.4.5', sequence()),
    ],
  }
}

function dates(dice: Dice): Wishes {
  // Not the very second of notAfter: OpenSSL counts it as expired already, RFC 5280 §4.1.2.5 as valid.
  if (dice.chance(0.03)) return { notAfter: AT - dice.one([1000, 60_000]) }
  if (dice.chance(0.03)) return { notBefore: AT + dice.one([0, 1000, 60_000]) }
  return {}
}

/** Without anyExtendedKeyUsage: RFC 5280 §4.2.1.12 lets it stand for every purpose, OpenSSL 3 for none. */
function purposes(dice: Dice): Uint8Array[] {
  if (dice.chance(0.7)) return []
  return [
    extendedKeyUsage(
      ...dice.one([
        [KeyPurpose.clientAuth],
        [KeyPurpose.serverAuth],
        [KeyPurpose.serverAuth, KeyPurpose.clientAuth],
        ['1.2.3'],
      ]),
    ),
  ]
}

function oddities(dice: Dice): Uint8Array[] {
  if (dice.chance(0.96)) return []
  return [extension('1.2.3.4', octetString(Buffer.from('?')), dice.chance(0.5))]
}

const DOMAINS = ['example', 'a.example', 'b.a.example', 'other', 'A.Example'] as const

function generalNames(dice: Dice, asConstraint: boolean): Uint8Array {
  const domain = dice.one(DOMAINS)
  switch (dice.below(4)) {
    case 0:
      return implicit(2, Buffer.from(asConstraint || dice.chance(0.8) ? domain : `*.${domain}`))
    case 1:
      return implicit(
        1,
        Buffer.from(
          asConstraint ? dice.one([domain, `.${domain}`, `me@${domain}`]) : dice.one([`me@${domain}`, `you@${domain}`]),
        ),
      )
    case 2:
      return implicit(
        6,
        Buffer.from(
          asConstraint ? dice.one([domain, `.${domain}`]) : dice.one([`https://${domain}/x`, `amqps://${domain}:5671`]),
        ),
      )
    default:
      return implicit(
        7,
        Buffer.from(
          asConstraint ? [10, dice.below(3), 0, 0, 255, dice.one([0, 255]), 0, 0] : [10, dice.below(3), 0, 1],
        ),
      )
  }
}

function alternativeNames(dice: Dice): Uint8Array {
  const names = Array.from({ length: 1 + dice.below(2) }, () => generalNames(dice, false))
  return extension(ExtensionOid.subjectAltName, sequence(...names))
}

function nameConstraints(dice: Dice): Uint8Array {
  const subtrees = (): Uint8Array[] =>
    Array.from({ length: 1 + dice.below(2) }, () => sequence(generalNames(dice, true)))
  const parts = dice.one([
    [explicit(0, ...subtrees())],
    [explicit(1, ...subtrees())],
    [explicit(0, ...subtrees()), explicit(1, ...subtrees())],
  ])
  return extension(ExtensionOid.nameConstraints, sequence(...parts), dice.chance(0.8))
}

/** OpenSSL follows key identifiers only, and does not try the next CA of the same name. */
function keyIdentifiers(key: KeyObject, issuerKey: KeyObject): Uint8Array[] {
  return [
    extension(ExtensionOid.subjectKeyIdentifier, octetString(keyIdentifier(spkiOf(key)))),
    extension(ExtensionOid.authorityKeyIdentifier, sequence(implicit(0, keyIdentifier(spkiOf(issuerKey))))),
  ]
}

interface Hierarchy {
  readonly root: Entity
  readonly cas: readonly Entity[]
  readonly leaves: readonly { readonly entity: Entity; readonly above: readonly Certificate[] }[]
}

function makeHierarchy(dice: Dice): Hierarchy {
  // Self-issued CAs share a name, and then OpenSSL needs the key identifiers that v1 certificates cannot carry.
  const selfIssued = dice.chance(0.5)
  const make = (wishes: Wishes, subject: string | Uint8Array, key: KeyObject, issuer: Entity): Entity => {
    const extensions = [...(wishes.extensions ?? []), ...keyIdentifiers(key, issuer.key)]
    const version = selfIssued ? 3 : (wishes.version ?? 3)
    return forge({ ...wishes, version, extensions, subject, key, issuer })
  }
  const root = forgeCa('Root', { key: rootKey, extensions: [...caExtensions(), ...keyIdentifiers(rootKey, rootKey)] })
  const chains = new Map<Entity, readonly Certificate[]>([[root, []]])
  const cas: Entity[] = []
  for (const [i, key] of keys.entries()) {
    const issuer = dice.chance(0.4) ? root : (cas[dice.below(cas.length)] ?? root)
    const ca = make(caWishes(dice), selfIssued && dice.chance(0.3) ? issuer.name : `CA ${i}`, key, issuer)
    chains.set(ca, [ca.certificate, ...(chains.get(issuer) ?? [])])
    cas.push(ca)
  }
  const leaves = Array.from({ length: LEAVES }, (_, i) => {
    const issuer = dice.chance(0.1) ? root : (cas[dice.below(cas.length)] ?? root)
    return { entity: make(leafWishes(dice), `device ${i}`, leafKey, issuer), above: chains.get(issuer) ?? [] }
  })
  return { root, cas, leaves }
}

/** For each file, whether OpenSSL accepts it, and its words. */
async function askOpenssl(root: string, untrusted: string, files: readonly string[]): Promise<Map<string, string>> {
  const options = ['-no-CApath', '-no-CAstore', '-CAfile', root, '-untrusted', untrusted, '-attime', String(AT / 1000)]
  const command = ['verify', ...options, '-purpose', 'sslclient', '-auth_level', '1', ...files]
  const { stdout, stderr } = await run('openssl', command, { maxBuffer: 1 << 26 }).catch((error: unknown) => {
    // It exits with 2 when it refuses one of them; then the answers come with the error.
    if (error instanceof Error && 'stdout' in error && 'stderr' in error) return error
    throw error
  })
  const words = new Map(files.map((file) => [file, 'unreadable']))
  for (const [, file = ''] of String(stdout).matchAll(/^(.+): OK$/gm)) words.set(file, 'OK')
  for (const [, reason = '', file = ''] of String(stderr).matchAll(
    /error \d+ at \d+ depth lookup: (.+)\nerror (.+): verification failed/g,
  ))
    words.set(file, reason)
  return words
}

/** Where we are stricter on purpose: an excluded name that a wildcard could stand for. OpenSSL compares wildcards as text. */
const STRICTER: readonly TrustRule[] = ['name-constraints']

const pem = (certificate: Certificate): string => encodePem('CERTIFICATE', certificate.der)

function store(name: string, text: string): string {
  const file = join(folder, name)
  writeFileSync(file, text)
  return file
}

async function compareHierarchy({ root, cas, leaves }: Hierarchy, tally: Map<string, number>): Promise<void> {
  const rootFile = store('root.pem', pem(root.certificate))
  const untrustedFile = store('untrusted.pem', cas.map((ca) => pem(ca.certificate)).join(''))
  const files = leaves.map(({ entity }, i) => store(`leaf${i}.pem`, pem(entity.certificate)))
  const theirs = await askOpenssl(rootFile, untrustedFile, files)
  for (const [i, { entity, above }] of leaves.entries()) {
    const ours = judge(entity.certificate, above, root)
    const words = theirs.get(files[i] ?? '') ?? 'not answered'
    count(tally, `${ours} | ${words}`)
    const chain = [entity.certificate, ...above].map(pem).join('')
    if (ours === 'accepted') assert.equal(words, 'OK', `seed ${SEED}: we accept, OpenSSL does not:\n${chain}`)
    else if (words === 'OK')
      assert.ok(STRICTER.includes(ours), `seed ${SEED}: OpenSSL accepts, we say ${ours}:\n${chain}`)
  }
}

function judge(leaf: Certificate, intermediates: readonly Certificate[], root: Entity): TrustRule | 'accepted' {
  const ours = new PathVerifier({ cacheSize: 100 }).verify({
    leaf,
    intermediates,
    anchors: new AnchorSet([root.certificate]),
    now: AT,
    profile: 'compatible',
    purpose: 'clientAuth',
    budget: { certificates: 32, pathLength: 32 },
  })
  return isTrustError(ours) ? ours.rule : 'accepted'
}

function count(tally: Map<string, number>, key: string): void {
  tally.set(key, (tally.get(key) ?? 0) + 1)
}

function report(t: TestContext, tally: Map<string, number>): void {
  t.diagnostic(`seed ${SEED}, ${version}`)
  for (const [key, times] of [...tally].sort((a, b) => b[1] - a[1])) t.diagnostic(`${times} × ours: ${key}`)
}

const version = opensslVersion()
const skip = version === undefined && 'openssl is not installed'

test('random hierarchies: we accept what OpenSSL accepts, and nothing else', { skip }, async (t) => {
  const dice = new Dice(SEED)
  const tally = new Map<string, number>()
  const end = performance.now() + SECONDS * 1000
  while (performance.now() < end) await compareHierarchy(makeHierarchy(dice), tally)
  report(t, tally)
})

/**
 * A certificate with a few bytes of its signed part changed, signed again by its true issuer: only its meaning is off. The
 * key stays: OpenSSL decodes a leaf's key, we leave that to the handshake in which the peer proves to hold it.
 */
function mutate(dice: Dice, { certificate }: Entity, issuer: Entity): Buffer {
  const tbs = Buffer.from(certificate.tbs)
  for (let changes = 1 + dice.below(2); changes > 0; changes--) {
    const keyStart = tbs.indexOf(certificate.spki)
    const choice = dice.below(tbs.length - certificate.spki.length)
    const at = choice < keyStart ? choice : choice + certificate.spki.length
    tbs[at] = dice.one([0, 1, 0x30, 0x7f, 0x80, 0xff, (tbs[at] ?? 0) ^ (1 << dice.below(8))])
  }
  return sequence(tbs, ECDSA_SHA256, bitString(sign('sha256', tbs, issuer.key)))
}

test('mutated and signed again: we accept nothing that OpenSSL refuses', { skip }, async (t) => {
  const dice = new Dice(SEED)
  const tally = new Map<string, number>()
  const root = forgeCa('Root', { key: rootKey, extensions: [...caExtensions(), ...keyIdentifiers(rootKey, rootKey)] })
  const rootFile = store('root.pem', pem(root.certificate))
  const end = performance.now() + SECONDS * 1000
  while (performance.now() < end) {
    const ders = Array.from({ length: LEAVES }, () => {
      const extensions = [keyUsage('digitalSignature'), ...purposes(dice), alternativeNames(dice)]
      return mutate(dice, forge({ subject: 'device', key: leafKey, issuer: root, extensions }), root)
    })
    const files = ders.map((der, i) => store(`leaf${i}.pem`, encodePem('CERTIFICATE', der)))
    const theirs = await askOpenssl(rootFile, rootFile, files)
    for (const [i, der] of ders.entries()) {
      const words = theirs.get(files[i] ?? '') ?? 'not answered'
      const ours = judgeBytes(der, root)
      count(tally, `${ours} | ${words}`)
      if (ours === 'accepted') assert.equal(words, 'OK', `seed ${SEED}: ${encodePem('CERTIFICATE', der)}`)
    }
  }
  report(t, tally)
})

function judgeBytes(der: Uint8Array, root: Entity): TrustRule | 'accepted' | 'unreadable' {
  try {
    return judge(parseCertificate(der), [], root)
  } catch (error) {
    if (error instanceof ParseError) return 'unreadable'
    throw error
  }
}
