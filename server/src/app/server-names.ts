import { isIP } from 'node:net'
import type { Config } from '../config.ts'

/** Names that every server certificate carries besides the configured ones. */
const LOOPBACK_NAMES = ['localhost', '127.0.0.1', '::1'] as const

const EVERY_ADDRESS = new Set(['0.0.0.0', '::'])

/** What the server certificate is for. */
export function serverNames(config: Config): readonly [string, ...string[]] {
  const configured = [...config.hubs.flatMap((hub) => hub.hosts), ...config.provisioning.hosts]
  const [first = 'localhost', ...others] = new Set([
    ...configured.map((name) => name.toLowerCase()),
    reachedAt(config),
    ...LOOPBACK_NAMES,
  ])
  return [first, ...others]
}

/** What a client on this machine dials, whatever the host names resolve to: localhost unless one address alone is listened on. */
export function reachedAt({ listen: { address } }: Config): string {
  return address !== null && isIP(address) !== 0 && !EVERY_ADDRESS.has(address) ? address : 'localhost'
}

/** Nobody else can verify a server that only answers to localhost, so nobody else may reach it. */
export function listenAddress(config: Config): string {
  if (config.listen.address !== null) return config.listen.address
  const names = [...config.hubs.flatMap((hub) => hub.hosts), ...config.provisioning.hosts]
  return names.every((name) => name === 'localhost') ? 'localhost' : '::'
}
