import type { Command } from 'commander'
import { addAccessOptions, addHubOption, serverOf } from '../access-options.ts'
import type { RemoteOptions } from '../access-options.ts'
import { addConfirmOption, confirm } from '../confirm.ts'
import type { ConfirmOptions } from '../confirm.ts'
import { print, printJson } from '../output.ts'
import { findHub } from '../resource-manager.ts'
import { callApi } from '../server-access.ts'

interface ShownWebhook {
  readonly id: string
  readonly url: string
  readonly events: readonly string[]
  readonly disabled: string | null
  readonly lastError: string | null
  readonly failingSince: string | null
  readonly lastDelivered: string | null
}

/** `holdfast webhook …`: where the events of a hub are posted to. */
export function register(group: Command): void {
  addAdd(group)
  addList(group)
  addEnable(group)
  addDelete(group)
}

function addAdd(group: Command): void {
  const command = group
    .command('add <url>')
    .description('post what happens from now on to an https address; prints the secret that signs it, once')
    .option('--events <list>', 'of security, connection and lifecycle, with commas between them', 'security')
    .action(async (url: string, options: RemoteOptions & { readonly events: string }) => {
      const body = { url, events: options.events.split(',').map((word) => word.trim()) }
      const webhook = await callApi<ShownWebhook & { readonly secret: string }>(serverOf(options), {
        method: 'POST',
        path: await webhooksOf(options),
        body,
      })
      if (options.json) return printJson(webhook)
      print(`added '${webhook.id}' (${webhook.events.join(', ')})`)
      print(`  secret ${webhook.secret}`)
      print('  It is not shown again: give it to the receiver, which checks webhook-signature with it.')
    })
  addHubOption(addAccessOptions(command)).addHelpText(
    'after',
    `
Example:
  holdfast webhook add https://soc.example.com/holdfast --events security,connection`,
  )
}

function addList(group: Command): void {
  const command = group
    .command('list')
    .description('the webhooks of a hub and how they fare')
    .action(async (options: RemoteOptions) => {
      const path = await webhooksOf(options)
      const { value } = await callApi<{ value: ShownWebhook[] }>(serverOf(options), { method: 'GET', path })
      for (const webhook of value) {
        if (options.json) printJson(webhook)
        else print(`${webhook.id} ${webhook.url} (${webhook.events.join(', ')}) ${stateOf(webhook)}`)
      }
      if (value.length === 0 && !options.json) print('no webhook')
    })
  addHubOption(addAccessOptions(command))
}

function stateOf({ disabled, failingSince, lastError, lastDelivered }: ShownWebhook): string {
  if (disabled !== null) return `disabled: ${disabled}`
  if (failingSince !== null) return `failing since ${failingSince}: ${lastError ?? 'unknown'}`
  return lastDelivered === null ? 'nothing delivered yet' : `last delivered ${lastDelivered}`
}

function addEnable(group: Command): void {
  const command = group
    .command('enable <id>')
    .description('go on with a disabled webhook, where it stopped')
    .action(async (id: string, options: RemoteOptions) => {
      const path = `${await webhooksOf(options)}/${encodeURIComponent(id)}/enable`
      const webhook = await callApi<ShownWebhook>(serverOf(options), { method: 'POST', path })
      if (options.json) return printJson(webhook)
      print(`'${id}' is enabled`)
    })
  addHubOption(addAccessOptions(command))
}

function addDelete(group: Command): void {
  const command = group
    .command('delete <id>')
    .description('post nothing more to it')
    .action(async (id: string, options: RemoteOptions & ConfirmOptions) => {
      await confirm(`Nothing more is posted to webhook '${id}', and its secret is gone.`, options)
      const path = `${await webhooksOf(options)}/${encodeURIComponent(id)}`
      await callApi(serverOf(options), { method: 'DELETE', path })
      if (options.json) return printJson({ deleted: id })
      print(`'${id}' is deleted`)
    })
  addHubOption(addAccessOptions(addConfirmOption(command)))
}

async function webhooksOf(options: RemoteOptions): Promise<string> {
  const hub = await findHub(serverOf(options), options.hub)
  return `/holdfast/v1/hubs/${encodeURIComponent(hub.name)}/webhooks`
}
