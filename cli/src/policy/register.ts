import { Option } from 'commander'
import type { Command } from 'commander'
import { addAccessOptions, addHubOption, serverOf } from '../access-options.ts'
import type { RemoteOptions } from '../access-options.ts'
import { CommandError } from '../command-error.ts'
import { addConfirmOption, confirm } from '../confirm.ts'
import type { ConfirmOptions } from '../confirm.ts'
import { print, printJson } from '../output.ts'
import { findHub } from '../resource-manager.ts'
import { callApi } from '../server-access.ts'
import type { ServerAccess } from '../server-access.ts'

interface PolicyOptions extends RemoteOptions {
  readonly provisioning?: true
}

interface PolicyResource {
  readonly name: string
  readonly rights: readonly string[]
  readonly primaryKey: string
  readonly secondaryKey: string
}

/** A policy's owner, as the management API and connection strings name it. */
interface Owner {
  readonly access: ServerAccess
  readonly path: string
  readonly host: string
  readonly events: { readonly endpoint: string; readonly path: string } | null
}

/** `holdfast policy …`: the shared access policies by which services, not devices, authenticate. */
export function register(group: Command): void {
  addList(group)
  addShow(group)
  addRenew(group)
}

function addList(group: Command): void {
  const command = group
    .command('list')
    .description('the policies of a hub, and what each may do')
    .action(async (options: PolicyOptions) => {
      const policies = await policiesOf(await ownerOf(options))
      if (options.json) return printJson(policies.map(({ name, rights }) => ({ name, rights })))
      for (const { name, rights } of policies) print(`${name.padEnd(24)} ${rights.join(', ')}`)
    })
  addOwnerOptions(command)
}

function addShow(group: Command): void {
  const command = group
    .command('show <name>')
    .description('the connection strings of one policy; they hold its primary key')
    .action(async (name: string, options: PolicyOptions) => {
      const owner = await ownerOf(options)
      const policy = (await policiesOf(owner)).find((each) => each.name === name)
      if (!policy) throw new CommandError(`there is no policy '${name}': see holdfast policy list`)
      if (options.json) return printJson({ ...policy, ...connectionStrings(owner, policy) })
      for (const text of Object.values(connectionStrings(owner, policy))) print(text)
    })
  addOwnerOptions(command).addHelpText(
    'after',
    `
Examples:
  holdfast policy show service                    for service SDKs, and for Event Hubs clients
  holdfast policy show provisioningserviceowner --provisioning`,
  )
}

function addRenew(group: Command): void {
  const command = group
    .command('renew <name>')
    .description('replace one key of a policy; whoever uses the old one is refused from then on')
    .addOption(new Option('--key <which>', 'which key').choices(['primary', 'secondary']).makeOptionMandatory())
    .action(async (name: string, options: PolicyOptions & ConfirmOptions & { readonly key: string }) => {
      const { access, path } = await ownerOf(options)
      await confirm(`Every service that uses the ${options.key} key of '${name}' is refused from then on.`, options)
      const policy = await callApi<PolicyResource>(access, {
        method: 'POST',
        path: `${path}/${encodeURIComponent(name)}/rotate`,
        body: { key: options.key },
      })
      if (options.json) return printJson(policy)
      print(`the ${options.key} key of '${name}' is a new one`)
    })
  addOwnerOptions(addConfirmOption(command)).addHelpText(
    'after',
    `
Example, without an interruption: let services use the other key first, then
  holdfast policy renew service --key primary`,
  )
}

function addOwnerOptions(command: Command): Command {
  return addHubOption(addAccessOptions(command)).option('--provisioning', 'of the provisioning service, not of a hub')
}

async function ownerOf(options: PolicyOptions): Promise<Owner> {
  const access = serverOf(options)
  if (options.provisioning) {
    const { provisioning } = await callApi<{ provisioning: { host: string } }>(access, {
      method: 'GET',
      path: '/holdfast/v1/status',
    })
    return { access, path: '/holdfast/v1/provisioning/policies', host: provisioning.host, events: null }
  }
  const { name, properties } = await findHub(access, options.hub)
  const path = `/holdfast/v1/hubs/${encodeURIComponent(name)}/policies`
  return { access, path, host: properties.hostName, events: properties.eventHubEndpoints.events }
}

async function policiesOf({ access, path }: Owner): Promise<readonly PolicyResource[]> {
  return (await callApi<{ value: PolicyResource[] }>(access, { method: 'GET', path })).value
}

/** What SDKs take: one for the service SDKs, and for a hub's policy that may read events one for Event Hubs clients. */
function connectionStrings({ host, events }: Owner, { name, rights, primaryKey }: PolicyResource) {
  const key = `SharedAccessKeyName=${name};SharedAccessKey=${primaryKey}`
  const connectionString = `HostName=${host};${key}`
  if (events === null || !rights.includes('ServiceConnect')) return { connectionString }
  const eventHubConnectionString = `Endpoint=${events.endpoint};${key};EntityPath=${events.path}`
  return { connectionString, eventHubConnectionString }
}
