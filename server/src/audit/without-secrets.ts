import { createHash, createHmac } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { canonicalJson, plainJson } from './canonical-json.ts'
import type { Json } from './canonical-json.ts'

/** Members that hold a key, or what devices and back ends tell each other: neither is the log's business. */
const SECRET = new Set([
  'primarykey',
  'secondarykey',
  'passphrase',
  'tokenpin',
  'secret',
  'token',
  'verificationcode',
  'tags',
  'desired',
  'reported',
  'initialtwin',
  'optionaldeviceinformation',
  'payload',
  'additionaldatajson',
])
/** Addresses may carry a key in their path or query: many a receiver knows those who may post by nothing else. */
const ADDRESS = new Set(['url', 'webhookurl'])
const MAX_TEXT = 1_024
const MAX_VALUE_BYTES = 64 * 1024

/**
 * A value as the log may show it. A secret becomes a digest under a key of this run of the server: the same secret shows the
 * same digest, and nobody can guess at it afterwards. What is long becomes its SHA-256.
 */
export function withoutSecrets(value: unknown, digestKey: KeyObject): Json {
  const shown = reduce(plainJson(value), digestKey)
  const text = canonicalJson(shown)
  if (Buffer.byteLength(text) <= MAX_VALUE_BYTES) return shown
  return { sha256: sha256(text), bytes: Buffer.byteLength(text) }
}

function reduce(value: Json, digestKey: KeyObject): Json {
  if (typeof value === 'string') return value.length > MAX_TEXT ? `sha256:${sha256(value)} of ${value.length}` : value
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map((item: Json) => reduce(item, digestKey))
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [name, reduceMember(name.toLowerCase(), member ?? null, digestKey)]),
  )
}

function reduceMember(name: string, value: Json, digestKey: KeyObject): Json {
  if (SECRET.has(name) && value !== null) return digested(value, digestKey)
  if (ADDRESS.has(name) && typeof value === 'string') return reduceAddress(value, digestKey)
  return reduce(value, digestKey)
}

function reduceAddress(address: string, digestKey: KeyObject): string {
  const url = URL.parse(address)
  if (url === null) return digested(address, digestKey)
  return url.href === `${url.origin}/` ? url.origin : `${url.origin}/${digested(address, digestKey)}`
}

function digested(value: Json, digestKey: KeyObject): string {
  const digest = createHmac('sha256', digestKey).update(canonicalJson(value), 'utf8').digest('hex')
  return `(secret ${digest.slice(0, 16)})`
}

function sha256(text: string): string {
  return createHash('sha256').update(text, 'utf8').digest('hex')
}
