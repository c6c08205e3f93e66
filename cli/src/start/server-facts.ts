import type { RunningServer } from '@holdfast/server'
import { readFileSync } from 'node:fs'
import { isIPv6 } from 'node:net'
import type { ServerAccess } from '../server-access.ts'
import type { AccessFacts } from './quickstart-env.ts'

/** What a client on this machine dials: the first host name of the home hub. */
export function managementUrlOf(server: RunningServer): string {
  const port = server.ports.https === 443 ? '' : `:${server.ports.https}`
  return `https://${server.hub.hosts[0]}${port}`
}

export function accessFactsOf(server: RunningServer): AccessFacts {
  return { managementUrl: managementUrlOf(server), tokenFile: server.managementTokenFile, serverRoot: server.rootFile }
}

/** Access for this very process, which may not be able to resolve the public host name. */
export function accessTo(server: RunningServer): ServerAccess {
  return {
    url: new URL(
      `https://${isIPv6(server.reachedAt) ? `[${server.reachedAt}]` : server.reachedAt}:${server.ports.https}`,
    ),
    token: readFileSync(server.managementTokenFile, 'utf8').trim(),
    ca: server.rootFile === null ? undefined : readFileSync(server.rootFile, 'utf8'),
  }
}
