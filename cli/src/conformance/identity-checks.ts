import { randomBytes } from 'node:crypto'
import {
  encodePem,
  generateKey,
  issueDevice,
  issueRoot,
  issuerOf,
  keySigner,
  parseCertificate,
  spkiOf,
} from '@holdfast/pki'
import { callApi } from '../server-access.ts'
import { fail, notChecked, pass, verdict } from './check.ts'
import type { Check, Outcome, Site } from './check.ts'
import { ask } from './requests.ts'
import { open } from './tls-checks.ts'

const CLAUSES = [
  'IEC 62443-4-2 CR 1.2',
  'IEC 62443-4-2 CR 1.9',
  'ETSI EN 303 645 5.5-5',
  'NIST IR 8259A: logical access to interfaces',
]
const random = (size: number): Buffer => randomBytes(size)
const HOUR_MS = 3_600_000
/** A CRL is public by its nature, signed by its CA; the document of the API is the same for everybody. */
const PUBLIC = /\/crls?\/|\/openapi\.json$/

export const IDENTITY_CHECKS: readonly Check[] = [
  {
    name: 'a device that shows nothing is refused',
    clauses: [...CLAUSES, 'CRA I.1(2)(d)'],
    run: async (site) => refused(await mqttConnect(site, 'conformance-nobody', {})),
  },
  {
    name: 'a device of a CA that nobody registered is refused, and the refusal is on record',
    clauses: [...CLAUSES, 'IEC 62443-4-2 CR 1.8', 'IEC 62443-4-2 CR 2.8'],
    run: async (site) => {
      const id = `conformance-${randomBytes(6).toString('hex')}`
      const { identity } = await strangers(id)
      const told = refused(await mqttConnect(site, id, identity))
      if (told.result !== 'pass') return told
      const path = `/holdfast/v1/refusals?identity=${id}&after=0&wait=5&limit=1`
      const { value } = await callApi<{ value: { rule: string; trackingId: string }[] }>(site.access, {
        method: 'GET',
        path,
      })
      const [refusal] = value
      return refusal === undefined
        ? fail('refused, but no record of it')
        : pass(`${told.evidence}; recorded as ${refusal.rule} under ${refusal.trackingId}`)
    },
  },
  {
    name: 'a CA authenticates nobody before possession of its key is proven',
    clauses: ['IEC 62443-4-2 CR 1.8', 'IEC 62443-4-2 CR 1.9', 'ETSI EN 303 645 5.4-2', 'CRA I.1(2)(d)'],
    run: async (site) => {
      if (!site.mayChange) return notChecked('it would register a CA for a moment: allow that with --with-changes')
      const id = `conformance-${randomBytes(6).toString('hex')}`
      const { identity, root } = await strangers(id)
      const path = `/holdfast/v1/hubs/${site.hub}/authorities/${id}`
      const body = { certificate: encodePem('CERTIFICATE', root) }
      const { etag } = await callApi<{ etag: string }>(site.access, { method: 'PUT', path, body })
      try {
        return refused(await mqttConnect(site, id, identity))
      } finally {
        await callApi(site.access, { method: 'DELETE', path, headers: { 'if-match': `"${etag}"` } })
      }
    },
  },
  {
    name: 'no operator gets in without a log-in, on any route; guessing is slowed',
    clauses: ['IEC 62443-4-2 CR 1.2', 'IEC 62443-4-2 CR 3.9', 'ETSI EN 303 645 5.1-5', 'CRA I.1(2)(d)'],
    run: async (site) => {
      const { paths } = await callApi<{ paths: Record<string, Record<string, unknown>> }>(site.access, {
        method: 'GET',
        path: '/holdfast/v1/openapi.json',
      })
      const problems: string[] = []
      let slowed = false
      let tried = 0
      for (const [path, methods] of Object.entries(paths)) {
        if (!path.startsWith('/holdfast/') && path !== '/metrics') continue
        if (PUBLIC.test(path) || methods['get'] === undefined) continue
        const { status } = await ask(site, path.replaceAll(/\{[^}]+\}/g, 'x'), { authorization: 'Bearer wrong' })
        tried += 1
        slowed ||= status === 429
        if (status !== 401 && status !== 429) problems.push(`${path} answers ${status}`)
      }
      if (!slowed) problems.push(`${tried} wrong tokens in a row and none was put off`)
      return verdict(problems, `${tried} routes asked with a wrong token: all refused, later ones put off`)
    },
  },
  {
    name: 'no default credential: every key of the service is long and its own',
    clauses: ['IEC 62443-4-2 CR 1.5', 'ETSI EN 303 645 5.1-1', 'CRA I.1(2)(b)'],
    run: async (site) => {
      const path = `/holdfast/v1/hubs/${site.hub}/policies`
      const { value } = await callApi<{ value: { primaryKey?: string; secondaryKey?: string }[] }>(site.access, {
        method: 'GET',
        path,
      })
      const keys = value
        .flatMap(({ primaryKey, secondaryKey }) => [primaryKey, secondaryKey])
        .filter((key) => key !== undefined)
      if (keys.length === 0) return notChecked('this operator may not see the keys: log in as owner or operator')
      const problems = keys.flatMap((key) =>
        Buffer.from(key, 'base64').length >= 32 ? [] : ['a key of less than 256 bits'],
      )
      if (new Set(keys).size !== keys.length) problems.push('two policies have the same key')
      if (
        site.access.token !== null &&
        Buffer.from(site.access.token.replace(/^holdfast_/, ''), 'base64url').length < 32
      )
        problems.push('the management token has less than 256 bits')
      return verdict(problems, `${keys.length} keys of 256 bits or more, all different`)
    },
  },
]

/** A device below a root that was made for this check and is forgotten after it. */
async function strangers(id: string): Promise<{ identity: { cert: string; key: string }; root: Buffer }> {
  const term = { now: Date.now(), lifetime: HOUR_MS }
  const rootKey = generateKey('p256')
  const root = await issueRoot(keySigner(rootKey), { subject: { commonName: 'Conformance check' }, term }, random)
  const key = generateKey('p256')
  const issuer = issuerOf(parseCertificate(root), keySigner(rootKey))
  const leaf = await issueDevice(issuer, { id, spki: spkiOf(key), term }, random)
  const cert = encodePem('CERTIFICATE', leaf) + encodePem('CERTIFICATE', root)
  return { identity: { cert, key: key.export({ type: 'pkcs8', format: 'pem' }) }, root }
}

function refused(answer: number | null): Outcome {
  if (answer === 0) return fail('it was let in')
  return pass(answer === null ? 'the connection was closed' : `CONNACK with return code ${answer}`)
}

/** Return code of the CONNACK; null when the connection is closed without one. */
async function mqttConnect(site: Site, id: string, identity: { cert?: string; key?: string }): Promise<number | null> {
  const socket = await open(site, site.ports.mqtts, identity)
  // Not a refusal: the check cannot be made.
  if (socket instanceof Error) throw socket
  const { promise, resolve } = Promise.withResolvers<number | null>()
  socket.once('data', (bytes: Buffer) => resolve(bytes[3] ?? null))
  for (const end of ['error', 'close'] as const) socket.once(end, () => resolve(null))
  socket.write(connectPacket(id, `${site.host}/${id}/?api-version=2021-04-12`))
  try {
    return await promise
  } finally {
    socket.destroy()
  }
}

/** MQTT-3.1.1 §3.1, with a user name and a clean session. */
function connectPacket(clientId: string, userName: string): Buffer {
  const body = Buffer.concat([text('MQTT'), Buffer.from([4, 0b1000_0010, 0, 60]), text(clientId), text(userName)])
  const length = body.length < 128 ? [body.length] : [(body.length & 127) | 128, body.length >> 7]
  return Buffer.concat([Buffer.from([0x10, ...length]), body])
}

function text(value: string): Buffer {
  return Buffer.concat([Buffer.from([value.length >> 8, value.length & 255]), Buffer.from(value)])
}
