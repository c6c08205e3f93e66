import type { Command } from 'commander'
import { addAccessOptions, serverOf } from '../access-options.ts'
import type { RemoteOptions } from '../access-options.ts'
import { print, printJson } from '../output.ts'
import { callApi } from '../server-access.ts'

interface ApprovalResource {
  readonly id: string
  readonly act: string
  readonly path: string
  readonly requestedBy: string
  readonly expires: string
  readonly approvedBy: string | null
}

const ALL = '/holdfast/v1/approvals'

/** `holdfast approvals …`: where the server is set to want a second person, this one lets the first one go on. */
export function register(group: Command): void {
  const list = group
    .command('list')
    .description('what waits')
    .action(async (options: RemoteOptions) => {
      const access = serverOf(options)
      const { value } = await callApi<{ value: readonly ApprovalResource[] }>(access, { method: 'GET', path: ALL })
      if (options.json) return printJson(value)
      if (value.length === 0) return print('nothing waits for a second person')
      for (const { id, act, path, requestedBy, approvedBy, expires } of value) {
        const state = approvedBy === null ? `until ${expires}` : `approved by ${approvedBy}`
        print(`${id}  ${act} by ${requestedBy}, ${state}\n  ${path}`)
      }
    })
  const approve = group
    .command('approve <id>')
    .description('let the one who asked do it, once, by the same command again')
    .action(async (id: string, options: RemoteOptions) => {
      const path = `${ALL}/${encodeURIComponent(id)}/approve`
      const approved = await callApi<ApprovalResource>(serverOf(options), { method: 'POST', path })
      if (options.json) return printJson(approved)
      print(`${approved.requestedBy} may go on with ${approved.act} until ${approved.expires}`)
    })
  const deny = group
    .command('deny <id>')
    .description('take it away')
    .action(async (id: string, options: RemoteOptions) => {
      await callApi(serverOf(options), { method: 'POST', path: `${ALL}/${encodeURIComponent(id)}/deny` })
      if (options.json) return printJson({ denied: id })
      print(`${id} does not wait any more`)
    })
  for (const command of [list, approve, deny]) addAccessOptions(command)
}
