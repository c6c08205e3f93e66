import type { Config } from '../config.ts'

/** Names that every server certificate carries besides the configured ones. */
const LOOPBACK_NAMES = ['localhost', '127.0.0.1', '::1'] as const

/** What the server certificate is for. */
export function serverNames(config: Config): readonly [string, ...string[]] {
  const configured = [...config.hubs.flatMap((hub) => hub.hosts), ...config.provisioning.hosts]
  const [first = 'localhost', ...others] = new Set([...configured.map((name) => name.toLowerCase()), ...LOOPBACK_NAMES])
  return [first, ...others]
}

/** Nobody else can verify a server that only answers to localhost, so nobody else may reach it. */
export function listenAddress(config: Config): string {
  if (config.listen.address !== null) return config.listen.address
  const names = [...config.hubs.flatMap((hub) => hub.hosts), ...config.provisioning.hosts]
  return names.every((name) => name === 'localhost') ? 'localhost' : '::'
}
