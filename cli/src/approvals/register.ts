import type { Command } from 'commander'
import { addAccessOptions, serverOf } from '../access-options.ts'
import type { RemoteOptions } from '../access-options.ts'
import { print, printJson } from '../output.ts'
import { callApi } from '../server-access.ts'

interface ApprovalResource {
  readonly id: string
  readonly act: string
  readonly path: string
  /** What the act does, and to whom. */
  readonly does: string
  readonly cutsOff: string
  readonly requestedBy: string
  readonly expires: string
  readonly approvedBy: string | null
}

const ALL = '/holdfast/v1/approvals'

/** `holdfast approvals …`: where the server is set to want a second person, this one lets the first one go on. */
export function register(group: Command): void {
  const list = group
    .command('list')
    .description('what waits, and what it does')
    .action(async (options: RemoteOptions) => {
      const access = serverOf(options)
      const { value } = await callApi<{ value: readonly ApprovalResource[] }>(access, { method: 'GET', path: ALL })
      if (options.json) return printJson(value)
      if (value.length === 0) return print('nothing waits for a second person')
      for (const approval of value) show(approval)
    })
  const approve = group
    .command('approve <id>')
    .description('let the one who asked do it, once, by the same command again')
    .action(async (id: string, options: RemoteOptions) => {
      const path = `${ALL}/${encodeURIComponent(id)}/approve`
      const approved = await callApi<ApprovalResource>(serverOf(options), { method: 'POST', path })
      if (options.json) return printJson(approved)
      show(approved)
      print(`'${approved.requestedBy}' may do it now, once, by the same command`)
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
  approve.addHelpText(
    'after',
    `
Whoever asked cannot approve, nor can a token that he was told when he made it: see 'holdfast operator renew'.

Example:
  holdfast approvals approve 5f1c09aa31d2 --token-file sofia.token`,
  )
}

function show({ id, act, does, cutsOff, path, requestedBy, approvedBy, expires }: ApprovalResource): void {
  const state =
    approvedBy === null ? `waits until ${expires}` : `approved by ${approvedBy}, to be done before ${expires}`
  print(`${id}  ${act} by ${requestedBy}, ${state}`)
  print(`  It ${does}. ${cutsOff}`)
  print(`  ${path}`)
}
