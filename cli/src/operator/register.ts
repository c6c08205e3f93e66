import { Option } from 'commander'
import type { Command } from 'commander'
import { addAccessOptions, serverOf } from '../access-options.ts'
import type { RemoteOptions } from '../access-options.ts'
import { parseDuration } from '../durations.ts'
import { print, printJson } from '../output.ts'
import { readInput } from '../pki/files.ts'
import { callApi } from '../server-access.ts'

interface Credential {
  readonly id: string
  readonly kind: 'token' | 'certificate'
  readonly created: string
  readonly expires: string | null
  readonly subject?: string
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
      if (options.token) return issueToken(name, options)
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
        for (const { id, kind, expires, subject } of credentials)
          print(`  ${kind} ${id}, until ${expires ?? 'revoked'}${subject === undefined ? '' : `, ${subject}`}`)
      }
    })
  addAccessOptions(command)
}

function addRevoke(group: Command): void {
  const command = group
    .command('revoke <name> [credential]')
    .description('end an operator at once, or only one token or certificate by its id')
    .action(async (name: string, credential: string | undefined, options: RemoteOptions) => {
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
  addAccessOptions(command)
}

function expiresOption(): Option {
  return new Option('--expires <time>', 'how long the token is good, such as 12h or 30d')
    .argParser(parseDuration)
    .default(90 * 24 * 60 * 60 * 1000, '90d')
}

function pathOf(name: string): string {
  return `${ALL}/${encodeURIComponent(name)}`
}
