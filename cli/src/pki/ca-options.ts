import type { Certificate, Subject } from '@holdfast/pki'
import { InvalidArgumentError, Option, type Command } from 'commander'
import { print, printJson } from '../output.ts'
import { addCaAddressOptions, type AddressOptions } from './addresses.ts'
import type { CaFiles } from './ca-folder.ts'
import { certificateJson, day, displayName } from './describe.ts'
import { keyOption, type KeyOption } from './key-file.ts'
import { addPassphraseOptions, type PassphraseOptions } from './passphrase.ts'
import { addValidityOptions, type ValidityOptions } from './validity.ts'

/** What the makers of CAs, root and intermediate, have in common. */
export interface CaOptions extends KeyOption, PassphraseOptions, ValidityOptions, AddressOptions {
  readonly name: string
  readonly organization?: string
  readonly pathLength?: number
  readonly json?: true
}

export function addCaOptions(command: Command, defaultDays: number, pathLength?: number): Command {
  const isRoot = pathLength === undefined
  const limit = new Option('--path-length <n>', 'how many CAs may follow below this one, one under the other')
  command
    .requiredOption('--name <name>', 'common name of the CA')
    .option('--organization <name>', 'organization in its name')
    .addOption(keyOption())
    .addOption(limit.argParser(parsePathLength).default(pathLength, pathLength === undefined ? 'no limit' : undefined))
  addValidityOptions(command, defaultDays, isRoot)
  addCaAddressOptions(command)
  return addPassphraseOptions(command, 'ca.key').option('--json', 'print the result as JSON')
}

export function subjectFrom({ name, organization }: CaOptions): Subject {
  return organization === undefined ? { commonName: name } : { commonName: name, organization }
}

/** As many as the longest chain that a hub accepts. */
const MAX_PATH_LENGTH = 8

function parsePathLength(text: string): number {
  if (/^\d$/.test(text) && Number(text) <= MAX_PATH_LENGTH) return Number(text)
  throw new InvalidArgumentError(`Give a number from 0 to ${MAX_PATH_LENGTH}.`)
}

export function reportCa(
  kind: string,
  certificate: Certificate,
  files: CaFiles,
  { encrypted, json }: { readonly encrypted: boolean; readonly json: true | undefined },
): void {
  if (json) return printJson({ ...certificateJson(certificate), files })
  print(`${kind} ${displayName(certificate)}, valid through ${day(certificate.notAfter)}`)
  print(`  ${files.key}  private key, ${encrypted ? 'encrypted' : 'not encrypted, readable by this user alone'}`)
  print(`  ${files.certificate}  certificate, the one to register`)
  print(`  ${files.chain}  the certificate and those above it`)
}
