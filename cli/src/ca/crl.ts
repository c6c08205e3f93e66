import { encodePem, parseCertificates, parseCrls } from '@holdfast/pki'
import { existsSync } from 'node:fs'
import { Option } from 'commander'
import type { Command } from 'commander'
import { addAccessOptions, addHubOption, serverOf } from '../access-options.ts'
import type { RemoteOptions } from '../access-options.ts'
import { CommandError } from '../command-error.ts'
import { addConfirmOption, confirm } from '../confirm.ts'
import type { ConfirmOptions } from '../confirm.ts'
import { print, printJson } from '../output.ts'
import { readInput } from '../pki/files.ts'
import { findHub } from '../resource-manager.ts'
import { callApi } from '../server-access.ts'

interface CrlResource {
  readonly issuer: string
  readonly number: string
  readonly baseNumber: string | null
  readonly entries: number
  readonly nextUpdate: string | null
  readonly path: string
  /** Over plain HTTP, where certificates can name it. */
  readonly url: string | null
}

interface RuleResource {
  readonly subject: string
  readonly policy: string
  readonly fetch: boolean
  readonly crlUrls: readonly string[]
  readonly ocsp: { readonly url: string | null } | null
}

interface RuleOptions extends RemoteOptions, ConfirmOptions {
  readonly policy?: string
  readonly fetch?: boolean
  readonly crlUrl?: readonly string[]
  readonly ocsp?: true | string | false
}

/** `holdfast ca crl …`: certificate revocation lists of the CAs that a hub trusts. */
export function addCrl(ca: Command): void {
  const group = ca.command('crl').description('certificate revocation lists')
  addImport(group)
  addList(group)
}

function addImport(group: Command): void {
  const command = group
    .command('import <file>')
    .description('give a hub the newest CRL of a CA, DER or PEM; the server serves it on from then on')
    .action(async (file: string, options: RemoteOptions) => {
      const access = serverOf(options)
      const { name } = await findHub(access, options.hub)
      const imported: CrlResource[] = []
      for (const crl of parseCrls(readInput(file, 'the CRL'))) {
        const body = { crl: Buffer.from(crl.der).toString('base64') }
        imported.push(await callApi<CrlResource>(access, { method: 'POST', path: `${hubPath(name)}/crls`, body }))
      }
      if (options.json) return printJson(imported)
      for (const crl of imported) show(crl, access.url)
    })
  addHubOption(addAccessOptions(command)).addHelpText('after', '\nExample:\n  holdfast ca crl import line7/ca.crl')
}

function addList(group: Command): void {
  const command = group
    .command('list')
    .description('the CRLs that a hub has')
    .action(async (options: RemoteOptions) => {
      const access = serverOf(options)
      const { name } = await findHub(access, options.hub)
      const path = `${hubPath(name)}/crls`
      const { value } = await callApi<{ value: readonly CrlResource[] }>(access, { method: 'GET', path })
      if (options.json) return printJson(value)
      if (value.length === 0) return print(`hub '${name}' has no CRL`)
      for (const crl of value) show(crl, access.url)
    })
  addHubOption(addAccessOptions(command))
}

function show({ issuer, number, baseNumber, entries, nextUpdate, path, url }: CrlResource, server: URL): void {
  const kind = baseNumber === null ? 'CRL' : `delta to CRL ${baseNumber}:`
  print(`${kind} ${number} of "${issuer}": ${entries} revoked, next due ${nextUpdate ?? 'at no date'}`)
  print(`  ${url ?? new URL(path, server).href}`)
}

/** `holdfast ca revocation …`: how certificates of one CA are checked. */
export function addRevocation(ca: Command): void {
  const command = ca
    .command('revocation <name-or-cer-file>')
    .description('how a hub checks what a CA issued: without options, shows it')
    .addOption(
      new Option(
        '--policy <policy>',
        'when neither CRL nor OCSP settles it: refuse, accept, or do not look at all',
      ).choices(['require', 'prefer', 'off']),
    )
    .option('--crl-url <url...>', 'fetch its CRL from here, on a schedule')
    .option('--fetch', 'fetch CRLs from where its certificates say')
    .option('--no-fetch', 'do not')
    .option('--ocsp [url]', 'ask its OCSP responder about device certificates, here or where they say')
    .option('--no-ocsp', 'do not')
    .action(rule)
  addHubOption(addAccessOptions(addConfirmOption(command))).addHelpText(
    'after',
    `
Examples:
  holdfast ca revocation contoso --policy require
  holdfast ca revocation line7/ca.cer --policy require --crl-url http://pki.contoso.example/line7.crl`,
  )
}

async function rule(authority: string, options: RuleOptions): Promise<void> {
  const access = serverOf(options)
  const { name } = await findHub(access, options.hub)
  const { policy, fetch, crlUrl, ocsp } = options
  if (policy === 'off')
    await confirm(`Hub '${name}' will let in what this CA issued without looking whether it was revoked.`, options)
  const changes = {
    ...(policy !== undefined && { policy }),
    ...(fetch !== undefined && { fetch }),
    ...(crlUrl !== undefined && { crlUrls: crlUrl }),
    ...(ocsp !== undefined && { ocsp: ocsp === false ? null : { url: ocsp === true ? null : ocsp } }),
  }
  const body = { authority: textOf(authority), ...changes }
  const path = `${hubPath(name)}/revocation-rules`
  const set = await callApi<RuleResource>(access, { method: 'PUT', path, body })
  if (options.json) return printJson(set)
  print(`"${set.subject}" at hub '${name}': revocation policy ${set.policy}`)
  print(
    `  CRLs  ${[...set.crlUrls, ...(set.fetch ? ['where its certificates say'] : [])].join(', ') || 'imported only'}`,
  )
  print(`  OCSP  ${set.ocsp === null ? 'off' : (set.ocsp.url ?? 'where its certificates say')}`)
}

/** The name of a registered CA, or the certificate in a file. */
function textOf(authority: string): string {
  if (!existsSync(authority)) return authority
  const [certificate] = parseCertificates(readInput(authority, 'the CA certificate'))
  if (!certificate) throw new CommandError(`'${authority}' holds no certificate`)
  return encodePem('CERTIFICATE', certificate.der)
}

function hubPath(name: string): string {
  return `/holdfast/v1/hubs/${encodeURIComponent(name)}`
}
