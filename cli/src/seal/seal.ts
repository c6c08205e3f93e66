import { createPublicKey, type KeyObject } from 'node:crypto'
import { keySigner } from '@holdfast/pki'
import { seal } from '@holdfast/seal'
import { InvalidArgumentError, type Command } from 'commander'
import { CommandError } from '../command-error.ts'
import { readInput, writeNew } from '../pki/files.ts'
import { readMessage } from './message-input.ts'
import { readSigner, type SignerFiles, type SignerOptions } from './signer-files.ts'

interface SealOptions extends SignerOptions {
  readonly to?: string
  readonly device?: string
  readonly counter?: number
  readonly contentType?: string
  readonly time: boolean
  readonly thumbprintOnly?: true
  readonly out?: string
}

/** `holdfast seal`: what a device does with its payload before it sends it. */
export function register(command: Command): void {
  command
    .argument('[payload]', 'the payload (default: stdin)')
    .option('--pfx <file>', "the device's key and chain")
    .option('--key <file>', "the device's private key")
    .option('--certificate <file>', 'its certificate, with the chain behind it')
    .option('--passphrase-file <file>', 'the passphrase of the key, in the first line (asked for if absent)')
    .option('--to <file>', 'public key of the consumer (P-256, PEM): encrypt, so that it alone can read')
    .option('--device <id>', 'id of the device (default: the common name of its certificate)')
    .option('--counter <number>', 'above that of the message before (default: the time in ms)', parseCounter)
    .option('--content-type <type>', 'media type of the payload')
    .option('--no-time', 'leave out when it was sealed')
    .option('--thumbprint-only', 'leave out the chain: for who knows it already')
    .option('--out <file>', 'where to write it (default: stdout)')
    .addHelpText(
      'after',
      `
Examples:
  holdfast seal --pfx pump-17.pfx --to consumer.pub.pem < reading.json > sealed.cbor
  holdfast seal --key pump-17.key.pem --certificate pump-17.chain.pem --counter 7 reading.json --out sealed.cbor`,
    )
    .action(run)
}

async function run(path: string | undefined, options: SealOptions): Promise<void> {
  const { key, chain } = await readSigner(options)
  const payload = await readMessage(path, 'the payload')
  const now = Date.now()
  const { contentType, thumbprintOnly = false, counter = now, to } = options
  const request = {
    payload,
    device: options.device ?? commonNameOf(chain),
    counter,
    chain,
    signer: keySigner(key),
    thumbprintOnly,
    ...(options.time && { time: now }),
    ...(contentType !== undefined && { contentType }),
    ...(to !== undefined && { recipient: readPublicKey(to) }),
  }
  try {
    const sealed = await seal(request)
    if (options.out === undefined) process.stdout.write(sealed)
    else writeNew(options.out, sealed)
  } catch (cause) {
    if (cause instanceof RangeError) throw new CommandError(`this cannot be sealed: ${cause.message}`, 1, { cause })
    throw cause
  }
}

function parseCounter(text: string): number {
  const counter = Number(text)
  if (!/^\d{1,16}$/.test(text) || !Number.isSafeInteger(counter))
    throw new InvalidArgumentError('Give a whole number from 0 to 9007199254740991.')
  return counter
}

function commonNameOf([leaf]: SignerFiles['chain']): string {
  const [name, ...others] = leaf.subject.commonNames
  if (name !== undefined && others.length === 0) return name
  throw new CommandError('the certificate has not exactly one common name: give --device ID', 2)
}

function readPublicKey(path: string): KeyObject {
  const bytes = readInput(path, "the consumer's public key")
  if (bytes.includes('PRIVATE KEY'))
    throw new CommandError(`'${path}' holds a private key: give the device the public half (.pub.pem) alone`)
  try {
    // Of a certificate too a public key could be taken, but that one is for signing.
    if (bytes.includes('BEGIN CERTIFICATE')) throw new TypeError('a certificate')
    return createPublicKey(bytes)
  } catch (cause) {
    throw new CommandError(`'${path}' holds no public key in PEM, as \`holdfast seal-key\` makes one`, 1, { cause })
  }
}
