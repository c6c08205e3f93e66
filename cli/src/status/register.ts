import type { Command } from 'commander'
import { addAccessOptions, serverOf } from '../access-options.ts'
import type { RemoteOptions } from '../access-options.ts'
import { print } from '../output.ts'
import { callApi } from '../server-access.ts'

interface Status {
  readonly startedAt: string
  readonly hubs: readonly {
    readonly name: string
    readonly hosts: readonly string[]
    readonly devices: { readonly total: number; readonly enabled: number; readonly disabled: number }
    readonly connected: number
    readonly authorities: { readonly total: number; readonly verified: number }
  }[]
  readonly provisioning: { readonly idScope: string; readonly host: string }
  readonly refusalsOfLastDay: readonly { readonly rule: string; readonly count: number }[]
}

/** `holdfast status`: a running server at a glance. */
export function register(command: Command): void {
  addAccessOptions(command).action(async (options: RemoteOptions) => {
    const status = await callApi<Status>(serverOf(options), { method: 'GET', path: '/holdfast/v1/status' })
    if (options.json) return print(JSON.stringify(status))
    print(`up since ${status.startedAt}`)
    for (const { name, hosts, devices, connected, authorities } of status.hubs) {
      print(
        `hub ${name} (${hosts.join(', ')}): ${connected} connected of ${devices.total} devices, ${devices.disabled} disabled; ${authorities.verified} of ${authorities.total} CAs verified`,
      )
    }
    print(`provisioning service ${status.provisioning.host}, id scope ${status.provisioning.idScope}`)
    const refused = status.refusalsOfLastDay.map(({ rule, count }) => `${count} × ${rule}`)
    print(`refused in the last day: ${refused.length === 0 ? 'nothing' : refused.join(', ')}`)
  })
}
