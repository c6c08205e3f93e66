import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setDefaultCACertificates } from 'node:tls'
import { startServer } from '../../src/app.ts'
import type { RunningServer } from '../../src/app.ts'
import { readConfig } from '../../src/config.ts'
import { DOMAIN, resolveNamesTo } from './host-names.ts'
import { Operator } from './operator.ts'

export const HUB = 'plant'
export const HUB_HOST = `plant.${DOMAIN}`
export const PROVISIONING_HOST = `dps.${DOMAIN}`

export interface WholeServerOptions {
  /** An address of its own lets a test have the ports that SDKs cannot be told to change. */
  readonly address?: string
  readonly standardPorts?: boolean
  readonly hubs?: readonly { readonly name: string; readonly hosts: readonly string[]; readonly partitions?: number }[]
  readonly limits?: object
}

export interface WholeServer {
  readonly operator: Operator
  readonly idScope: string
  readonly ports: RunningServer['ports']
  /** ms that the server's clock is ahead of the real one. */
  skew: number
  /** Stops it and starts it again on the same data and the same ports. */
  restart(): Promise<void>
  close(): Promise<void>
}

/**
 * The server as `holdfast start` runs it, in this process, on a folder of its own. From then on the process trusts it
 * and knows its host names.
 */
export async function startWholeServer(options: WholeServerOptions = {}): Promise<WholeServer> {
  const { address = '127.0.0.1', standardPorts = false, limits = {} } = options
  const hubs = options.hubs ?? [{ name: HUB, hosts: [HUB_HOST] }]
  const data = mkdtempSync(join(tmpdir(), 'holdfast-whole-'))
  const time = { skew: 0 }
  const start = (ports: object) =>
    startServer(
      readConfig({
        data,
        hubs,
        provisioning: { hosts: [PROVISIONING_HOST] },
        listen: { address, ...ports },
        limits,
        log: { level: 'error' },
      }),
      { clock: { now: () => Date.now() + time.skew } },
    )
  let running = await start(standardPorts ? {} : { mqtt: 0, https: 0, amqp: 0 })
  const { ports, idScope } = running
  resolveNamesTo(address)
  const operator = new Operator(running, PROVISIONING_HOST)
  setDefaultCACertificates([operator.ca])
  return {
    operator,
    idScope,
    ports,
    get skew() {
      return time.skew
    },
    set skew(ms: number) {
      time.skew = ms
    },
    restart: async () => {
      await running.close()
      running = await start({ mqtt: ports.mqtt, https: ports.https, amqp: ports.amqp })
    },
    close: async () => {
      operator.close()
      await running.close()
      rmSync(data, { recursive: true, force: true })
    },
  }
}

/** Why the standard ports of an address cannot be had here, or false: the answer for `skip`. */
export async function standardPortsMissing(address: string): Promise<string | false> {
  const { createServer } = await import('node:net')
  for (const port of [443, 5671, 8883]) {
    const server = createServer()
    const { promise, resolve } = Promise.withResolvers<string | null>()
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'unknown'))
    server.listen(port, address, () => server.close(() => resolve(null)))
    const problem = await promise
    if (problem !== null)
      return `port ${port} of ${address} cannot be had (${problem}): run as root, or lower net.ipv4.ip_unprivileged_port_start`
  }
  return false
}
