import { Option } from 'commander'
import type { Command } from 'commander'
import { addAccessOptions, serverOf } from '../access-options.ts'
import type { RemoteOptions } from '../access-options.ts'
import { CommandError } from '../command-error.ts'
import { addConfirmOption, confirm } from '../confirm.ts'
import type { ConfirmOptions } from '../confirm.ts'
import { parseDuration } from '../durations.ts'
import { print, printJson } from '../output.ts'
import { readInput } from '../pki/files.ts'
import { openDraft } from './token-file.ts'
import { callApi } from '../server-access.ts'

interface Credential {
  readonly id: string
  readonly kind: 'token' | 'certificate'
  readonly created: string
  readonly expires: string | null
  readonly subject?: string
  readonly madeBy: string | null
}

interface OperatorResource {
  readonly name: string
  readonly role: string
  readonly created: string
  readonly credentials: readonly Credential[]
}

interface TokenOptions extends RemoteOptions {
  readonly expires: number
}

const ROLES = ['owner', 'security-officer', 'operator', 'reader']
const ALL = '/holdfast/v1/operators'

/** `holdfast operator …`: who may run the server, in which role, and how they log in. */
export function register(group: Command): void {
  addCreate(group)
  addToken(group)
  addRenew(group)
  addCertificate(group)
  addList(group)
  addRevoke(group)
}

function addCreate(group: Command): void {
  const command = group
    .command('create <name>')
    .description('a new operator, and a first token, which is told this once')
    .addOption(new Option('--role <role>', 'what the operator may do').choices(ROLES).makeOptionMandatory())
    .addOption(expiresOption())
    .option('--no-token', 'no token: the operator gets a certificate instead')
    .action(async (name: string, options: TokenOptions & { role: string; token: boolean }) => {
      const access = serverOf(options)
      const path = pathOf(name)
      const made = await callApi<OperatorResource>(access, { method: 'PUT', path, body: { role: options.role } })
      if (options.token) return issueFirstToken(name, options)
      if (options.json) return printJson(made)
      print(`operator '${name}' is there, in the role ${made.role}`)
    })
  addAccessOptions(command).addHelpText(
    'after',
    `
Examples:
  holdfast operator create rita --role reader > rita.token
  holdfast operator create sofia --role security-officer --no-token`,
  )
}

function addToken(group: Command): void {
  const command = group
    .command('token <name>')
    .description('one more token of an operator, told this once; those before it stay good')
    .addOption(expiresOption())
    .action(issueToken)
  addAccessOptions(command)
}

async function issueToken(name: string, options: TokenOptions): Promise<void> {
  const made = await callApi<Credential & { token: string }>(serverOf(options), {
    method: 'POST',
    path: `${pathOf(name)}/tokens`,
    body: { expiresIn: Math.max(1, Math.round(options.expires / 1000)) },
  })
  if (options.json) return printJson(made)
  process.stderr.write(`token ${made.id} of '${name}', good until ${made.expires ?? 'it is revoked'}\n`)
  print(made.token)
}

/** Making an operator and his token may each need a second person: the second of the two is another command. */
async function issueFirstToken(name: string, options: TokenOptions): Promise<void> {
  try {
    await issueToken(name, options)
  } catch (cause) {
    if (!(cause instanceof CommandError)) throw cause
    throw new CommandError(
      `'${name}' is there now, without a token: 'holdfast operator token ${name}' makes it. ${cause.message}`,
      cause.exitCode,
      { cause },
    )
  }
}

function addRenew(group: Command): void {
  const command = group
    .command('renew')
    .description('another token for yourself in the place of the one you log in by, which nobody else has seen')
    .option('--replace', 'write it over the old one in the file of --token-file')
    .action(async (options: RemoteOptions & { replace?: true }) => {
      const { tokenFile } = options
      if (options.replace && tokenFile === undefined) throw new CommandError('--replace needs --token-file', 2)
      // The old token ends with the answer: whether the new one can be kept must be known before.
      const draft = options.replace && tokenFile !== undefined ? openDraft(tokenFile) : null
      try {
        const path = '/holdfast/v1/own-token/renew'
        const made = await callApi<Credential & { token: string }>(serverOf(options), { method: 'POST', path })
        process.stderr.write(`token ${made.id}, good until ${made.expires ?? 'it is revoked'}\n`)
        if (draft !== null) draft.keep(made.token)
        else if (options.json) printJson(made)
        else print(made.token)
      } finally {
        draft?.close()
      }
    })
  addAccessOptions(command).addHelpText(
    'after',
    `
Examples:
  holdfast operator renew --token-file sofia.token --replace
  holdfast operator renew --token-file sofia.token > mine.token`,
  )
}

function addCertificate(group: Command): void {
  const command = group
    .command('certificate <name> <cer-file>')
    .description('let an operator in by a client certificate')
    .action(async (name: string, file: string, options: RemoteOptions) => {
      const certificate = readInput(file, 'the certificate').toString()
      const path = `${pathOf(name)}/certificates`
      const added = await callApi<Credential>(serverOf(options), { method: 'POST', path, body: { certificate } })
      if (options.json) return printJson(added)
      print(`'${name}' logs in as ${added.subject} until ${added.expires}`)
    })
  addAccessOptions(command)
}

function addList(group: Command): void {
  const command = group
    .command('list')
    .description('operators, their roles and credentials')
    .action(async (options: RemoteOptions) => {
      const { value } = await callApi<{ value: readonly OperatorResource[] }>(serverOf(options), {
        method: 'GET',
        path: ALL,
      })
      if (options.json) return printJson(value)
      if (value.length === 0) return print('there is nobody but the owner, who has the token of the first start')
      for (const { name, role, credentials } of value) {
        print(`${name.padEnd(24)} ${role}`)
        for (const { id, kind, expires, subject, madeBy } of credentials) {
          const by = madeBy === null ? '' : `, made by ${madeBy}`
          print(`  ${kind} ${id}, until ${expires ?? 'revoked'}${by}${subject === undefined ? '' : `, ${subject}`}`)
        }
      }
    })
  addAccessOptions(command)
}

function addRevoke(group: Command): void {
  const command = group
    .command('revoke <name> [credential]')
    .description('end an operator at once, or only one token or certificate by its id')
    .action(async (name: string, credential: string | undefined, options: RemoteOptions & ConfirmOptions) => {
      await confirm(
        credential === undefined
          ? `'${name}' is shut out at once, with every token and certificate.`
          : `Whoever logs in as '${name}' by ${credential} is shut out at once.`,
        options,
      )
      const path =
        credential === undefined ? pathOf(name) : `${pathOf(name)}/credentials/${encodeURIComponent(credential)}`
      await callApi(serverOf(options), { method: 'DELETE', path })
      if (options.json) return printJson({ revoked: credential ?? name })
      print(
        credential === undefined
          ? `'${name}' is no operator any more`
          : `'${credential}' of '${name}' lets nobody in any more`,
      )
    })
  addAccessOptions(addConfirmOption(command))
}

function expiresOption(): Option {
  return new Option('--expires <time>', 'how long the token is good, such as 12h or 30d')
    .argParser(parseDuration)
    .default(90 * 24 * 60 * 60 * 1000, '90d')
}

function pathOf(name: string): string {
  return `${ALL}/${encodeURIComponent(name)}`
}
