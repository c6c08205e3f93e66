import { encodePem, parseCertificates } from '@holdfast/pki'
import type { Certificate } from '@holdfast/pki'
import { Option } from 'commander'
import type { Command } from 'commander'
import { addAccessOptions, addHubOption, serverOf } from '../access-options.ts'
import type { RemoteOptions } from '../access-options.ts'
import { whatRestsOn } from '../ca/cut-off.ts'
import { CommandError } from '../command-error.ts'
import { addConfirmOption, confirm } from '../confirm.ts'
import type { ConfirmOptions } from '../confirm.ts'
import { print, printJson } from '../output.ts'
import { readInput } from '../pki/files.ts'
import { reasonOption } from '../pki/revocation-reason.ts'
import { findHub } from '../resource-manager.ts'
import { callApi } from '../server-access.ts'

interface RevokeOptions extends RemoteOptions {
  readonly reason: string
  readonly by?: string
}

interface CertificateOptions extends RevokeOptions {
  readonly serial?: string
  readonly issuer?: string
  readonly thumbprint?: string
}

interface RevocationResource {
  readonly id: string
  readonly what: string
  readonly reason: string
  readonly revokedAt: string
  readonly by: string
  readonly because: string | null
  readonly liftedAt: string | null
}

interface Outcome {
  readonly revocations: readonly RevocationResource[]
  readonly closedSessions: number
}

/** `holdfast revoke …`: takes the trust away, at once and from live connections too. */
export function register(group: Command): void {
  addCertificate(group)
  addDevice(group)
  addCa(group)
  addList(group)
  addLift(group)
}

function addCertificate(group: Command): void {
  const command = group
    .command('certificate [file]')
    .description('one certificate; of a CA, everything below it too')
    .option('--serial <hex>', 'instead of a file: its serial number, together with --issuer')
    .option('--issuer <file>', 'the certificate of the CA that issued it')
    .option('--thumbprint <hex>', 'instead of a file: its SHA-1 or SHA-256 digest')
    .action(async (file: string | undefined, options: CertificateOptions & ConfirmOptions) => {
      const body = certificateBody(file, options)
      const isCa = file !== undefined && leafOf(file).isCa
      if (isCa) await confirmCa(leafOf(file), options)
      else await confirm(`Whoever shows this certificate is cut off${lasting(options)}.`, options)
      await revoke(options, body)
    })
  addRevokeOptions(addConfirmOption(command)).addHelpText(
    'after',
    `
Examples:
  holdfast revoke certificate pump-0001.cer --reason keyCompromise
  holdfast revoke certificate --serial 3af0 --issuer line7/ca.cer
  holdfast revoke certificate --thumbprint 9F:86:D0:81:…`,
  )
}

function certificateBody(file: string | undefined, { serial, issuer, thumbprint }: CertificateOptions): object {
  if ([file, serial, thumbprint].filter((given) => given !== undefined).length !== 1)
    throw new CommandError('name one certificate: by its file, by --serial with --issuer, or by --thumbprint', 2)
  if (file !== undefined) return { certificate: pemOf(leafOf(file)) }
  if (thumbprint !== undefined) return { thumbprint }
  if (issuer === undefined) throw new CommandError('--serial needs --issuer: each CA has serial numbers of its own', 2)
  return { serial, issuer: pemOf(leafOf(issuer)) }
}

function addDevice(group: Command): void {
  const command = group
    .command('device <id>')
    .description('a device: its identity and every certificate that it was seen with')
    .action(async (id: string, options: RevokeOptions & ConfirmOptions) => {
      await confirm(`'${id}' is cut off${lasting(options)}, with every certificate that it was seen with.`, options)
      await revoke(options, { device: id })
    })
  addRevokeOptions(addConfirmOption(command)).addHelpText(
    'after',
    `
Example:
  holdfast revoke device pump-0001 --reason keyCompromise

The device may come back as another one: delete its identity, make it anew, and issue it a new certificate.`,
  )
}

function addCa(group: Command): void {
  const command = group
    .command('ca <cer-file>')
    .description('a CA, root or intermediate, by its key: every certificate of it and below it')
    .action(async (file: string, options: RevokeOptions & ConfirmOptions) => {
      const authority = leafOf(file)
      await confirmCa(authority, options)
      await revoke(options, { authority: pemOf(authority) })
    })
  addRevokeOptions(addConfirmOption(command)).addHelpText(
    'after',
    '\nExample:\n  holdfast revoke ca line7/ca.cer --reason cACompromise',
  )
}

async function confirmCa(authority: Certificate, options: RevokeOptions & ConfirmOptions): Promise<void> {
  if (options.yes) return
  const access = serverOf(options)
  const hub = await findHub(access, options.hub)
  await confirm(await whatRestsOn(access, hub.name, authority.sha256), options)
}

/** Only a hold can be lifted (RFC 5280 §5.3.1). */
function lasting({ reason }: RevokeOptions): string {
  return reason === 'certificateHold' ? ' until the hold is lifted' : ' for good'
}

function addList(group: Command): void {
  const command = group
    .command('list')
    .description('what is revoked, by whom and why')
    .action(async (options: RemoteOptions) => {
      const { hub, path } = await revocationsAt(options)
      const { value } = await callApi<{ value: readonly RevocationResource[] }>(serverOf(options), {
        method: 'GET',
        path,
      })
      if (options.json) return printJson(value)
      if (value.length === 0) return print(`hub '${hub}' has revoked nothing`)
      for (const one of value) show(one)
    })
  addHubOption(addAccessOptions(command))
}

function addLift(group: Command): void {
  const command = group
    .command('lift <id>')
    .description('end a certificateHold; anything else is revoked for good. The id is that of `holdfast revoke list`')
    .action(async (id: string, options: RemoteOptions) => {
      const { path } = await revocationsAt(options)
      const lifted = await callApi<RevocationResource>(serverOf(options), {
        method: 'POST',
        path: `${path}/lift`,
        body: { id },
      })
      if (options.json) return printJson(lifted)
      print(`the ${lifted.what} is trusted again`)
    })
  addHubOption(addAccessOptions(command))
}

function addRevokeOptions(command: Command): Command {
  command
    .addOption(reasonOption())
    .addOption(new Option('--by <name>', 'who decided, beside who is logged in, for the record'))
  return addHubOption(addAccessOptions(command))
}

async function revoke(options: RevokeOptions, body: object): Promise<void> {
  const { hub, path } = await revocationsAt(options)
  const { reason, by } = options
  const outcome = await callApi<Outcome>(serverOf(options), {
    method: 'POST',
    path,
    body: { ...body, reason, ...(by !== undefined && { by }) },
  })
  if (options.json) return printJson(outcome)
  for (const { what, reason: why } of outcome.revocations) print(`revoked the ${what} at hub '${hub}' (${why})`)
  const { closedSessions: closed } = outcome
  print(closed === 1 ? '1 live session was closed' : `${closed} live sessions were closed`)
}

function show({ id, what, reason, revokedAt, by, because, liftedAt }: RevocationResource): void {
  const state = liftedAt === null ? reason : `${reason}, lifted ${liftedAt}`
  print(`${revokedAt}  ${what}  (${state}; by ${by}${because === null ? '' : `, with the ${because}`})`)
  print(`  ${id}`)
}

async function revocationsAt(options: RemoteOptions): Promise<{ hub: string; path: string }> {
  const { name } = await findHub(serverOf(options), options.hub)
  return { hub: name, path: `/holdfast/v1/hubs/${encodeURIComponent(name)}/revocations` }
}

function leafOf(file: string): Certificate {
  const [certificate] = parseCertificates(readInput(file, 'the certificate'))
  if (!certificate) throw new CommandError(`'${file}' holds no certificate`)
  return certificate
}

function pemOf({ der }: Certificate): string {
  return encodePem('CERTIFICATE', der)
}
