import { fail, notChecked, pass, verdict } from './check.ts'
import type { Check, Site } from './check.ts'
import { ask } from './requests.ts'
import { open } from './tls-checks.ts'

const LARGE_BYTES = 2 * 1024 * 1024
const PATIENCE_MS = 8_000

export const RESOURCE_CHECKS: readonly Check[] = [
  {
    name: 'whoever has not proven himself gets no memory: a huge first packet ends the connection',
    clauses: ['IEC 62443-4-2 CR 7.1', 'IEC 62443-4-2 CR 7.2', 'ETSI EN 303 645 5.13-1', 'CRA I.1(2)(h)'],
    run: async (site) => {
      const took = await closesOn(site, Buffer.from([0x10, 0xff, 0xff, 0xff, 0x7f, 0, 4]))
      return took === null
        ? fail(`open after ${PATIENCE_MS} ms`)
        : pass(`a CONNECT of 256 MB announced: closed after ${took} ms`)
    },
  },
  {
    name: 'what is no MQTT ends the connection',
    clauses: ['ETSI EN 303 645 5.13-1', 'IEC 62443-4-2 CR 7.1'],
    run: async (site) => {
      const took = await closesOn(site, Buffer.from('GET / HTTP/1.1\r\n\r\n'))
      return took === null ? fail(`open after ${PATIENCE_MS} ms`) : pass(`closed after ${took} ms`)
    },
  },
  {
    name: 'a request that is too large is refused',
    clauses: ['IEC 62443-4-2 CR 7.2', 'ETSI EN 303 645 5.13-1'],
    run: async (site) => {
      const path = `/holdfast/v1/hubs/${site.hub}/devices/conformance-large`
      const headers = { 'content-type': 'application/json' }
      const { status } = await ask(site, path, headers, { announced: LARGE_BYTES, as: site.access })
      return status === 413 ? pass(`${LARGE_BYTES} bytes announced: status 413`) : fail(`status ${status}`)
    },
  },
  {
    name: 'strangers learn that it is up, and nothing of what it is',
    clauses: ['ETSI EN 303 645 5.6-2', 'CRA I.1(2)(j)'],
    run: async (site) => {
      const { status, headers } = await ask(site, '/healthz', {})
      const telling = ['server', 'x-powered-by', 'via'].filter((name) => headers[name] !== undefined)
      return verdict(
        [...telling.map((name) => `the header ${name} names it`), ...(status === 200 ? [] : [`/healthz: ${status}`])],
        'no header names product or version',
      )
    },
  },
  {
    name: 'it tells its own state',
    clauses: ['NIST IR 8259A: cybersecurity state awareness', 'ETSI EN 303 645 5.10-1', 'CRA I.1(2)(l)'],
    run: async (site) => {
      const { status } = await ask(site, '/metrics', {}, { as: site.access })
      const ready = await ask(site, '/readyz', {})
      return verdict(
        [
          ...(status === 200 ? [] : [`/metrics: ${status}`]),
          ...(ready.status === 200 ? [] : [`/readyz: ${ready.status}`]),
        ],
        '/metrics answers, and /readyz says that it can keep what it is given',
      )
    },
  },
  unproven(
    'IEC 62443-4-2 CR 2.9',
    'capacity of the audit log: shown only by filling the disk, which the tests of the audit log do',
  ),
  unproven('IEC 62443-4-2 CR 2.10', 'response to an audit log that cannot be written: the same'),
  unproven('ETSI EN 303 645 5.3-1', "updates: how this server is updated is its operator's doing"),
  unproven('CRA I.2', 'handling of vulnerabilities: a process of the maintainers, told in SECURITY.md'),
]

/** A clause that asks for what no probe of a running server can show. */
function unproven(clause: string, why: string): Check {
  return { name: why.split(':')[0] ?? why, clauses: [clause], run: async () => notChecked(why) }
}

/** Milliseconds until the server closes a connection that sends this first; null when it does not in time. */
async function closesOn(site: Site, bytes: Buffer): Promise<number | null> {
  const socket = await open(site, site.ports.mqtts, {})
  if (socket instanceof Error) throw socket
  const { promise, resolve } = Promise.withResolvers<number | null>()
  const started = performance.now()
  const timer = setTimeout(() => resolve(null), PATIENCE_MS)
  for (const end of ['close', 'end', 'error'] as const)
    socket.once(end, () => resolve(Math.round(performance.now() - started)))
  socket.resume()
  socket.write(bytes)
  try {
    return await promise
  } finally {
    clearTimeout(timer)
    socket.destroy()
  }
}
