import { isSealError, verifySealed } from '@holdfast/seal'
import type { Command } from 'commander'
import { print, printJson } from '../output.ts'
import { readMessage } from './message-input.ts'
import {
  addVerificationOptions,
  describeSeal,
  sealJson,
  tellRefusal,
  verificationOf,
  type VerificationOptions,
} from './verification.ts'

/** `holdfast verify`: which device sealed a message, offline. */
export function register(command: Command): void {
  command.argument('[sealed]', 'the sealed message (default: stdin)')
  addVerificationOptions(command)
    .addHelpText(
      'after',
      `
Examples:
  holdfast verify --ca contoso-root/ca.cer sealed.cbor
  holdfast verify --ca contoso-root --device pump-17 --at-signing < sealed.cbor

The exit code is 0 when the message is good and 1 when it is not.`,
    )
    .action(run)
}

async function run(path: string | undefined, options: VerificationOptions): Promise<void> {
  const request = verificationOf(options)
  const seal = verifySealed(await readMessage(path, 'the sealed message'), request)
  if (isSealError(seal)) return tellRefusal(seal, options)
  if (options.json) return printJson({ ...sealJson(seal), payload: Buffer.from(seal.payload).toString('base64') })
  for (const line of describeSeal(seal)) print(line)
}
