import { Argument } from 'commander'
import type { Command } from 'commander'
import { addAccessOptions, addHubOption, serverOf } from '../access-options.ts'
import type { RemoteOptions } from '../access-options.ts'
import { print, printJson } from '../output.ts'
import { callApi } from '../server-access.ts'

type DevicePath = (options: RemoteOptions, id: string) => Promise<{ readonly path: string }>

/** What a second connection of the device meets, and the way out of quarantine. */
export function addDuplicates(group: Command, deviceAt: DevicePath): void {
  const policy = group
    .command('duplicates <id>')
    .description('what a second connection of the device meets while the first one lives')
    .addArgument(new Argument('<policy>').choices(['take-over', 'refuse-new', 'quarantine', 'as-hub']))
    .action(async (id: string, wanted: string, options: RemoteOptions) => {
      const { path } = await deviceAt(options, id)
      const body = { policy: wanted === 'as-hub' ? null : wanted }
      const state = await callApi(serverOf(options), { method: 'PUT', path: `${path}/duplicates`, body })
      if (options.json) return printJson(state)
      print(`'${id}': ${wanted}`)
    })
  addHubOption(addAccessOptions(policy))
  const release = group
    .command('release <id>')
    .description('let a device in again that is in quarantine')
    .action(async (id: string, options: RemoteOptions) => {
      const { path } = await deviceAt(options, id)
      const state = await callApi(serverOf(options), { method: 'POST', path: `${path}/release` })
      if (options.json) return printJson(state)
      print(`'${id}' is released`)
    })
  addHubOption(addAccessOptions(release))
}
