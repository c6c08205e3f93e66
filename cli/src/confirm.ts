import type { Command } from 'commander'
import { CommandError } from './command-error.ts'

export interface ConfirmOptions {
  readonly yes?: true
}

export function addConfirmOption(command: Command): Command {
  return command.option('--yes', 'do not ask: what it cuts off is meant')
}

/** Asks a person before something dangerous; a script says --yes instead. `consequence` is a whole sentence. */
export async function confirm(consequence: string, { yes }: ConfirmOptions): Promise<void> {
  if (yes) return
  if (!process.stdin.isTTY) throw new CommandError(`${consequence} Say --yes when that is meant.`, 2)
  const { confirm: ask, isCancel } = await import('@clack/prompts')
  const answer = await ask({ message: `${consequence} Go on?`, initialValue: false, output: process.stderr })
  if (isCancel(answer) || !answer) throw new CommandError('nothing was changed')
}
