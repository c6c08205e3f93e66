import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { checkAddresses, publicationName, type Certificate, type Publication } from '@holdfast/pki'
import type { Command } from 'commander'
import { CommandError } from '../command-error.ts'
import { readInput, replaceFile } from './files.ts'

/**
 * Where a CA publishes, as its folder remembers it: this goes into what the CA signs. `{key}` in an address stands for the
 * name by which a hub serves what a CA publishes; such an address holds for the CAs below it as well, each with its own key.
 */
export interface Addresses {
  readonly crlUrl: readonly string[]
  /** Where its delta CRLs are: in its complete CRLs, not in certificates. */
  readonly deltaUrl: readonly string[]
  readonly ocspUrl: readonly string[]
  readonly issuerUrl: readonly string[]
}

/** As the command line gives it; what is absent was not given. */
export type AddressOptions = { readonly [Kind in keyof Addresses]?: readonly string[] }

export const NO_ADDRESSES: Addresses = { crlUrl: [], deltaUrl: [], ocspUrl: [], issuerUrl: [] }
const KINDS = ['crlUrl', 'deltaUrl', 'ocspUrl', 'issuerUrl'] as const satisfies readonly (keyof Addresses)[]

/** For the makers of CAs: what the new CA will put into what it signs. */
export function addCaAddressOptions(command: Command): Command {
  return command
    .option('--crl-url <url>', 'where its CRL will be, once for each address: goes into what it signs', collect)
    .option('--delta-url <url>', 'where its delta CRLs will be: goes into its complete ones', collect)
    .option('--ocsp-url <url>', 'where its OCSP responder is: goes into what it signs', collect)
    .option('--issuer-url <url>', 'where its certificate will be: goes into what it signs', collect)
}

/** For what signs: in the place of what the CA remembers. */
export function addIssuedAddressOptions(command: Command): Command {
  return command
    .option('--crl-url <url>', 'where the CRL of the CA is, in the place of what the CA remembers', collect)
    .option('--ocsp-url <url>', 'where its OCSP responder is, in the place of what the CA remembers', collect)
    .option('--issuer-url <url>', 'where its certificate is, in the place of what the CA remembers', collect)
}

/** The kinds that were given replace what was; checked as they will stand in certificates. Throws IssueError, CommandError. */
export function changedAddresses(before: Addresses, given: AddressOptions, key: Pick<Certificate, 'spki'>): Addresses {
  const entries = KINDS.map((kind) => [kind, given[kind] ?? before[kind]] as const)
  for (const [, addresses] of entries) checkAddresses(completed(addresses, key))
  return Object.fromEntries(entries) as unknown as Addresses
}

/** What a CA takes over from the one that signs it. */
export function inherited(addresses: Addresses): Addresses {
  const entries = KINDS.map((kind) => [kind, addresses[kind].filter((address) => address.includes('{key}'))] as const)
  return Object.fromEntries(entries) as unknown as Addresses
}

/** Of a CA with this certificate, as it stands in what it signs. Throws IssueError, CommandError. */
export function publicationOf(
  addresses: Addresses,
  ca: Pick<Certificate, 'spki'>,
  given: AddressOptions = {},
): Publication {
  const { crlUrl, ocspUrl, issuerUrl } = changedAddresses(addresses, given, ca)
  return { crls: completed(crlUrl, ca), ocsp: completed(ocspUrl, ca), caIssuers: completed(issuerUrl, ca) }
}

/** Addresses with the CA's own name in the place of `{key}`. */
export function completed(addresses: readonly string[], ca: Pick<Certificate, 'spki'>): string[] {
  return addresses.map((address) => {
    const complete = address.replaceAll('{key}', publicationName(ca))
    if (/[{}]/.test(complete)) throw new CommandError(`'${address}' holds braces: only {key} stands for something`, 2)
    return complete
  })
}

const FILE = 'addresses.json'

export function readAddresses(folder: string): Addresses {
  const file = join(folder, FILE)
  if (!existsSync(file)) return NO_ADDRESSES
  try {
    const read = JSON.parse(readInput(file, 'the addresses of the CA').toString('utf8')) as Partial<Addresses>
    return Object.fromEntries(KINDS.map((kind) => [kind, (read[kind] ?? []).map(String)])) as unknown as Addresses
  } catch (cause) {
    if (cause instanceof CommandError) throw cause
    throw new CommandError(`'${file}' is damaged: set the addresses anew with \`holdfast pki addresses\``, 1, { cause })
  }
}

export function writeAddresses(folder: string, addresses: Addresses): void {
  const told = KINDS.filter((kind) => addresses[kind].length > 0).map((kind) => [kind, addresses[kind]] as const)
  if (told.length === 0) return rmSync(join(folder, FILE), { force: true })
  replaceFile(join(folder, FILE), `${JSON.stringify(Object.fromEntries(told), null, 2)}\n`)
}

function collect(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value]
}
