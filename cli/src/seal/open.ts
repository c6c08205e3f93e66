import { isSealError, openSealed } from '@holdfast/seal'
import type { Command } from 'commander'
import { printJson } from '../output.ts'
import { readInput } from '../pki/files.ts'
import { decodePrivateKey } from '../pki/key-file.ts'
import { readMessage } from './message-input.ts'
import {
  addVerificationOptions,
  describeSeal,
  sealJson,
  tellRefusal,
  verificationOf,
  type VerificationOptions,
} from './verification.ts'

interface OpenOptions extends VerificationOptions {
  readonly key: string
  readonly passphraseFile?: string
}

/** `holdfast open`: what the device said, once it is certain that it was the device. */
export function register(command: Command): void {
  command
    .argument('[sealed]', 'the sealed message (default: stdin)')
    .requiredOption('--key <file>', "the consumer's private key")
    .option('--passphrase-file <file>', 'the passphrase of the key, in the first line (asked for if absent)')
  addVerificationOptions(command)
    .addHelpText(
      'after',
      `
Example:
  holdfast open --key consumer.key.pem --ca contoso-root/ca.cer < sealed.cbor > reading.json

The payload goes to stdout, who sealed it to stderr. The exit code is 1, and nothing is opened, when the message is not good.`,
    )
    .action(run)
}

async function run(path: string | undefined, options: OpenOptions): Promise<void> {
  const request = verificationOf(options)
  const source = { file: options.passphraseFile, flag: '--passphrase-file' }
  const recipientKey = await decodePrivateKey(readInput(options.key, 'the key'), options.key, source)
  const opened = openSealed(await readMessage(path, 'the sealed message'), { ...request, recipientKey })
  if (isSealError(opened)) return tellRefusal(opened, options)
  const { payload, contentType, seal } = opened
  if (options.json) {
    return printJson({ ...sealJson(seal), contentType, payload: Buffer.from(payload).toString('base64') })
  }
  process.stderr.write(`${describeSeal(seal).join('\n')}\n`)
  process.stdout.write(payload)
}
