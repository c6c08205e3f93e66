import { readFileSync } from 'node:fs'
import { Command, CommanderError } from 'commander'
import { CommandError } from './command-error.ts'
import { endQuietlyOnClosedPipe } from './output.ts'

interface CommandGroup {
  readonly name: string
  readonly summary: string
  /** Loaded only when asked for: making a certificate must not wait for the server's modules. */
  readonly load: () => Promise<{ register: (group: Command) => void }>
}

const GROUPS: readonly CommandGroup[] = [
  {
    name: 'pki',
    summary: 'make, sign, inspect and verify certificates, offline',
    load: () => import('./pki/register.ts'),
  },
  {
    name: 'start',
    summary: 'start the server; on an empty data folder, from a CA to a message read back',
    load: () => import('./start/register.ts'),
  },
  { name: 'status', summary: 'a running server at a glance', load: () => import('./status/register.ts') },
  { name: 'ca', summary: 'register CAs and prove possession of their keys', load: () => import('./ca/register.ts') },
  { name: 'enroll', summary: 'enrol devices and groups for provisioning', load: () => import('./enroll/register.ts') },
  { name: 'device', summary: 'the identity registry of a hub', load: () => import('./device/register.ts') },
  {
    name: 'policy',
    summary: 'shared access policies of services, and their connection strings',
    load: () => import('./policy/register.ts'),
  },
  {
    name: 'keys',
    summary: 'what seals the data at rest: show it, turn it over while the server runs',
    load: () => import('./keys/register.ts'),
  },
  {
    name: 'backup',
    summary: 'a sealed copy of everything that a running server keeps; verify one',
    load: () => import('./backup/register.ts'),
  },
  {
    name: 'restore',
    summary: 'a data folder from a backup, proven whole before it is there',
    load: () => import('./backup/restore.ts'),
  },
  {
    name: 'revoke',
    summary: 'cut off a device, a certificate or a CA, at once',
    load: () => import('./revoke/register.ts'),
  },
  {
    name: 'seal',
    summary: "sign a payload with a device's key, and encrypt it for its consumer",
    load: () => import('./seal/seal.ts'),
  },
  {
    name: 'open',
    summary: 'read a sealed payload, as its consumer',
    load: () => import('./seal/open.ts'),
  },
  { name: 'verify', summary: 'which device sealed a payload, offline', load: () => import('./seal/verify.ts') },
  { name: 'seal-key', summary: 'make the key pair of a consumer', load: () => import('./seal/seal-key.ts') },
  { name: 'monitor', summary: 'show events as they arrive', load: () => import('./monitor/register.ts') },
  {
    name: 'doctor',
    summary: 'would this device get in, and if not, why: a dry run',
    load: () => import('./doctor/register.ts'),
  },
  {
    name: 'conformance',
    summary: 'what the running server can be shown to fulfil, clause by clause',
    load: () => import('./conformance/register.ts'),
  },
  { name: 'expiry', summary: 'which certificates end when', load: () => import('./expiry/register.ts') },
  {
    name: 'refusals',
    summary: 'who was refused, why, and what to do about it',
    load: () => import('./refusals/register.ts'),
  },
  {
    name: 'alarms',
    summary: 'clones, and what else a person must look at',
    load: () => import('./alarms/register.ts'),
  },
  {
    name: 'operator',
    summary: 'who may run the server: roles, tokens, certificates',
    load: () => import('./operator/register.ts'),
  },
  {
    name: 'approvals',
    summary: 'dangerous acts that wait for a second person',
    load: () => import('./approvals/register.ts'),
  },
  {
    name: 'audit',
    summary: 'who did what: follow, search, export, sign and verify the audit log',
    load: () => import('./audit/register.ts'),
  },
  {
    name: 'webhook',
    summary: 'post what happens at a hub to a service of yours',
    load: () => import('./webhook/register.ts'),
  },
]

async function main(args: readonly string[]): Promise<number> {
  const program = new Command('holdfast')
    .description('An IoT hub and device provisioning service of your own, and the certificates it trusts.')
    .version(version())
    .configureOutput({ outputError: (text, write) => write(usageError(text)) })
    // An option after the name of a command is that command's, also where its group has one of the same name.
    .enablePositionalOptions()
    // Inherited by the commands added from here on: errors come back as exceptions instead of ending the process.
    .exitOverride()
  const wanted = args[0] === 'help' ? args[1] : args[0]
  for (const { name, summary, load } of GROUPS) {
    const group = program.command(name).description(summary)
    if (name === wanted) (await load()).register(group)
  }
  try {
    await program.parseAsync(args, { from: 'user' })
    return 0
  } catch (error) {
    return report(error)
  }
}

function version(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}

/** Tells the failure in one line and returns the exit code. */
function report(error: unknown): number {
  // Commander has said it already; it ends --help and --version this way too, with code 0.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
  process.stderr.write(`holdfast: ${describe(error)}\n`)
  return error instanceof CommandError ? error.exitCode : 1
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const remedy = 'remedy' in error && typeof error.remedy === 'string' ? ` ${error.remedy}` : ''
  return oneLine(`${error.message}${remedy}`)
}

function usageError(text: string): string {
  const sentence = oneLine(text.replace(/^error: /, 'holdfast: '))
    .trimEnd()
    .replace(/\.$/, '')
  return `${sentence}; --help shows how it is used\n`
}

function oneLine(text: string): string {
  return text.replaceAll(/\s*\n\s*(?=\S)/g, ' ')
}

endQuietlyOnClosedPipe()
const exitCode = await main(process.argv.slice(2))
if (exitCode !== 0) process.exitCode = exitCode
