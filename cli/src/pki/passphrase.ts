import { Option, type Command } from 'commander'
import { CommandError } from '../command-error.ts'
import { readInput } from './files.ts'

/** Where a passphrase comes from; never from an argument, which every user of the machine can read. */
export interface PassphraseOptions {
  readonly passphraseFile?: string
  readonly askPassphrase?: true
}

export interface CaPassphraseOptions {
  readonly caPassphraseFile?: string
}

/** A passphrase longer than this is a wrong file. */
const MAX_PASSPHRASE_BYTES = 1024

export function addPassphraseOptions(command: Command, protects: string): Command {
  return command
    .addOption(
      new Option('--passphrase-file <file>', `encrypt ${protects} with the passphrase in this file's first line`),
    )
    .addOption(
      new Option('--ask-passphrase', `ask on the terminal for the passphrase that encrypts ${protects}`).conflicts(
        'passphraseFile',
      ),
    )
}

export function addCaPassphraseOption(command: Command): Command {
  return command.option(
    '--ca-passphrase-file <file>',
    'the passphrase of the CA key, in the first line (asked for if absent)',
  )
}

/** The passphrase for something new; undefined when none was asked for. */
export async function newPassphrase(options: PassphraseOptions): Promise<string | undefined> {
  if (options.passphraseFile !== undefined) return readPassphrase(options.passphraseFile)
  if (!options.askPassphrase) return undefined
  const passphrase = await askSecret('New passphrase', '--passphrase-file')
  if ((await askSecret('The same again', '--passphrase-file')) === passphrase) return passphrase
  throw new CommandError('the two passphrases differ: nothing was made')
}

/** The passphrase of something that exists and is encrypted. `flag` is the option that would have given it. */
export function knownPassphrase(file: string | undefined, what: string, flag: string): Promise<string> {
  return file === undefined ? askSecret(`Passphrase of ${what}`, flag) : Promise.resolve(readPassphrase(file))
}

function readPassphrase(path: string): string {
  const bytes = readInput(path, 'the passphrase file')
  const [line = ''] = bytes.toString('utf8').split(/\r?\n/, 1)
  if (line === '') throw new CommandError(`the first line of '${path}' is empty, so it holds no passphrase`)
  if (Buffer.byteLength(line) > MAX_PASSPHRASE_BYTES) throw new CommandError(`'${path}' is too long for a passphrase`)
  return line
}

/** Asks at the terminal, showing nothing; `flag` is the option that would have given it. */
export async function askSecret(message: string, flag: string): Promise<string> {
  if (!process.stdin.isTTY) {
    throw new CommandError(`${message.toLowerCase()}: there is no terminal to ask on, give it with ${flag} FILE`)
  }
  const { isCancel, password } = await import('@clack/prompts')
  // A terminal that goes away ends the question; it would otherwise stay open and the process end without a word.
  const hangUp = new AbortController()
  const onEnd = (): void => hangUp.abort()
  process.stdin.once('end', onEnd)
  try {
    const answer = await password({
      message,
      output: process.stderr,
      signal: hangUp.signal,
      validate: (value) => (value ? undefined : 'What is empty protects nothing'),
    })
    if (isCancel(answer)) throw new CommandError('cancelled: nothing was made', 130)
    return answer
  } finally {
    process.stdin.off('end', onEnd)
  }
}
