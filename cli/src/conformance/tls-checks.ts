import { X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { connect } from 'node:tls'
import type { ConnectionOptions, TLSSocket } from 'node:tls'
import { verdict } from './check.ts'
import type { Check, Site } from './check.ts'

const TIMEOUT_MS = 10_000
/** RFC 9325 §4.1 and §4.2: no forward secrecy, or no authenticated encryption. Offered one by one, at TLS 1.2. */
const WEAK_SUITES = [
  'AES128-SHA',
  'AES256-GCM-SHA384',
  'ECDHE-RSA-AES128-SHA256',
  'ECDHE-ECDSA-AES128-SHA256',
  'ECDHE-RSA-AES256-SHA',
  'DHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES128-CCM8',
]
const WEAK_GROUPS_BITS = 2048

export const TLS_CHECKS: readonly Check[] = [
  {
    name: 'TLS 1.2 and 1.3 are spoken, older versions are refused, on every port',
    clauses: [
      'RFC 9325 §3.1.1',
      'ETSI EN 303 645 5.5-1',
      'IEC 62443-4-2 CR 3.1',
      'IEC 62443-4-2 CR 4.3',
      'CRA I.1(2)(e)',
    ],
    run: async (site) => {
      const problems: string[] = []
      for (const [name, port] of Object.entries(site.ports)) {
        for (const version of ['TLSv1.2', 'TLSv1.3'] as const)
          if ((await shake(site, port, { minVersion: version, maxVersion: version })) !== version)
            problems.push(`${name} does not speak ${version}`)
        for (const version of ['TLSv1', 'TLSv1.1'] as const) {
          const ciphers = 'ALL:@SECLEVEL=0'
          const answer = await shake(site, port, { minVersion: version, maxVersion: version, ciphers })
          if (answer !== 'declined') problems.push(`${name} and ${version}: ${answer}`)
        }
      }
      return verdict(problems, `real handshakes on ports ${Object.values(site.ports).join(', ')}`)
    },
  },
  {
    name: 'only suites with forward secrecy and authenticated encryption',
    clauses: ['RFC 9325 §4.1', 'RFC 9325 §4.2', 'IEC 62443-4-2 CR 4.3', 'ETSI EN 303 645 5.5-1'],
    run: async (site) => {
      const problems: string[] = []
      for (const [name, port] of Object.entries(site.ports)) {
        for (const suite of WEAK_SUITES) {
          const ciphers = `${suite}:@SECLEVEL=0`
          const answer = await shake(site, port, { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2', ciphers })
          if (answer !== 'declined') problems.push(`${name} and ${suite}: ${answer}`)
        }
      }
      return verdict(problems, `${WEAK_SUITES.length} weak suites offered on each port, each declined by an alert`)
    },
  },
  {
    name: 'the server proves its name with a certificate of adequate strength',
    clauses: ['RFC 9325 §4.5', 'RFC 9325 §7.1', 'IEC 62443-4-2 CR 1.8', 'ETSI EN 303 645 5.5-1'],
    run: async (site) => {
      const problems: string[] = []
      const seen = new Set<string>()
      for (const [name, port] of Object.entries(site.ports)) {
        const socket = await open(site, port, {})
        if (socket instanceof Error) {
          problems.push(`${name}: ${socket.message}`)
          continue
        }
        const certificate = new X509Certificate(socket.getPeerCertificate().raw)
        socket.destroy()
        const { asymmetricKeyType: type, asymmetricKeyDetails: details } = certificate.publicKey
        if (type === 'rsa' && (details?.modulusLength ?? 0) < WEAK_GROUPS_BITS)
          problems.push(`${name}: a short RSA key`)
        const { host } = site
        const named = isIP(host) === 0 ? certificate.checkHost(host) : certificate.checkIP(host)
        if (named === undefined) problems.push(`${name}: not for ${host}`)
        seen.add(`${type} key, valid until ${certificate.validTo}`)
      }
      return verdict(problems, [...seen].join('; '))
    },
  },
]

/**
 * The version that was agreed on; `declined` when the server said so by an alert (RFC 8446 §6), so that a server that cannot be
 * reached, or an offer that was never made, is not taken for a refusal; else what went wrong.
 */
async function shake(site: Site, port: number, options: ConnectionOptions): Promise<string | null> {
  const socket = await open(site, port, options)
  if (socket instanceof Error)
    return /_ALERT_/.test((socket as NodeJS.ErrnoException).code ?? '') ? 'declined' : socket.message
  const version = socket.getProtocol()
  socket.destroy()
  return version
}

/** A handshake as the options say; verified by the name and roots of the site. */
export function open(site: Site, port: number, options: ConnectionOptions): Promise<TLSSocket | Error> {
  const { promise, resolve } = Promise.withResolvers<TLSSocket | Error>()
  const { ca } = site.access
  // RFC 6066 §3: an address is no server name.
  const name = isIP(site.host) === 0 ? { servername: site.host } : {}
  const place = { host: site.access.url.hostname, port, ...name, ...(ca === undefined ? {} : { ca }) }
  let socket: TLSSocket
  try {
    socket = connect({ ...place, ...options }, () => resolve(socket))
  } catch (error) {
    // This OpenSSL cannot offer it at all.
    return Promise.resolve(error as Error)
  }
  socket.setTimeout(TIMEOUT_MS, () => socket.destroy(new Error('no answer')))
  socket.once('error', resolve)
  return promise
}
