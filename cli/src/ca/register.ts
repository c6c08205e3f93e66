import type { Command } from 'commander'
import { parseCertificates } from '@holdfast/pki'
import { addAccessOptions, addHubOption, serverOf } from '../access-options.ts'
import type { RemoteOptions } from '../access-options.ts'
import { CommandError } from '../command-error.ts'
import { addConfirmOption, confirm } from '../confirm.ts'
import type { ConfirmOptions } from '../confirm.ts'
import { print, printJson } from '../output.ts'
import { readInput } from '../pki/files.ts'
import { openCaFolder } from '../pki/ca-folder.ts'
import {
  deleteAuthority,
  findHub,
  getAuthority,
  listAuthorities,
  makeVerificationCode,
  putAuthority,
  verifyAuthority,
} from '../resource-manager.ts'
import type { AuthorityResource } from '../resource-manager.ts'
import { addCrl, addRevocation } from './crl.ts'
import { provePossession } from '../start/quickstart-ca.ts'
import { whatRestsOn } from './cut-off.ts'
import { addUsage } from './usage.ts'

interface ProveOptions extends RemoteOptions {
  readonly ca?: string
  readonly caPassphraseFile?: string
  readonly certificate?: string
}

/** `holdfast ca …`: the register of CAs of a running server. */
export function register(group: Command): void {
  addRegister(group)
  addCode(group)
  addProve(group)
  addList(group)
  addShow(group)
  addDelete(group)
  addCrl(group)
  addRevocation(group)
  addUsage(group)
}

function addRegister(group: Command): void {
  const command = group
    .command('register <name> <cer-file>')
    .description('upload the certificate of a CA; it authenticates nobody until its key is proven')
    .action(async (name: string, file: string, options: RemoteOptions) => {
      const access = serverOf(options)
      const hub = await findHub(access, options.hub)
      const [certificate] = parseCertificates(readInput(file, 'the CA certificate'))
      if (!certificate) throw new CommandError(`'${file}' holds no certificate`)
      const authority = await putAuthority(access, hub.name, name, certificate.der)
      if (options.json) return printJson(authority)
      print(`registered '${name}' at hub '${hub.name}': ${authority.properties.subject}, not yet verified`)
      print(`  next: holdfast ca prove ${name} --ca FOLDER`)
    })
  addHubOption(addAccessOptions(command)).addHelpText(
    'after',
    '\nExample:\n  holdfast ca register contoso contoso-root/ca.cer',
  )
}

function addCode(group: Command): void {
  const command = group
    .command('code <name>')
    .description('ask for a verification code, to be signed where the key of the CA is')
    .action(async (name: string, options: RemoteOptions) => {
      const access = serverOf(options)
      const hub = await findHub(access, options.hub)
      const authority = await askForCode(options, hub.name, name)
      if (options.json) return printJson(authority)
      print(authority.properties.verificationCode ?? '')
    })
  addHubOption(addAccessOptions(command)).addHelpText(
    'after',
    `
The key may stay offline: take the code to it, and the proof back.
  code=$(holdfast ca code contoso)
  holdfast pki verification-cert "$code" --ca contoso-root --out proof.cer
  holdfast ca prove contoso --certificate proof.cer`,
  )
}

function addProve(group: Command): void {
  const command = group
    .command('prove <name>')
    .description('prove that you hold the key of a registered CA')
    .option('--ca <folder>', 'folder of the CA, when its key is on this machine')
    .option('--ca-passphrase-file <file>', 'the passphrase of the CA key, in the first line (asked for if absent)')
    .option('--certificate <file>', 'a verification certificate made elsewhere for the code of `holdfast ca code`')
    .action(async (name: string, options: ProveOptions) => {
      const access = serverOf(options)
      const hub = await findHub(access, options.hub)
      const proven = await prove(options, hub.name, name)
      if (options.json) return printJson(proven)
      print(
        `'${name}' is verified: devices with certificates under it are trusted by hub '${hub.name}' and the provisioning service`,
      )
    })
  addHubOption(addAccessOptions(command)).addHelpText(
    'after',
    '\nExample:\n  holdfast ca prove contoso --ca contoso-root',
  )
}

async function prove(options: ProveOptions, hub: string, name: string): Promise<AuthorityResource> {
  const access = serverOf(options)
  if (options.certificate !== undefined) {
    const [proof] = parseCertificates(readInput(options.certificate, 'the verification certificate'))
    if (!proof) throw new CommandError(`'${options.certificate}' holds no certificate`)
    return verifyAuthority(access, hub, name, (await getAuthority(access, hub, name)).etag, proof.der)
  }
  if (options.ca === undefined)
    throw new CommandError('give --ca FOLDER when the key is on this machine, or --certificate FILE', 2)
  const ca = await openCaFolder(options.ca, options.caPassphraseFile)
  const { etag, properties } = await askForCode(options, hub, name)
  const proof = await provePossession(ca, properties.verificationCode ?? '')
  return verifyAuthority(access, hub, name, etag, proof.der)
}

async function askForCode(options: RemoteOptions, hub: string, name: string): Promise<AuthorityResource> {
  const access = serverOf(options)
  const { etag, properties } = await getAuthority(access, hub, name)
  if (properties.isVerified) throw new CommandError(`'${name}' is verified already: there is nothing to prove`)
  return makeVerificationCode(access, hub, name, etag)
}

function addList(group: Command): void {
  const command = group
    .command('list')
    .description('the registered CAs of a hub')
    .action(async (options: RemoteOptions) => {
      const access = serverOf(options)
      const hub = await findHub(access, options.hub)
      const authorities = await listAuthorities(access, hub.name)
      if (options.json) return printJson(authorities)
      if (authorities.length === 0)
        return print(`hub '${hub.name}' has no CA: register one with \`holdfast ca register\``)
      for (const { name, properties } of authorities) {
        const state = properties.isVerified ? 'verified  ' : 'unverified'
        print(
          `${name.padEnd(24)} ${state}  until ${new Date(properties.expiry).toISOString().slice(0, 10)}  ${properties.subject}`,
        )
      }
    })
  addHubOption(addAccessOptions(command))
}

function addShow(group: Command): void {
  const command = group
    .command('show <name>')
    .description('one registered CA')
    .action(async (name: string, options: RemoteOptions) => {
      const access = serverOf(options)
      const hub = await findHub(access, options.hub)
      const authority = await getAuthority(access, hub.name, name)
      if (options.json) return printJson(authority)
      const { properties } = authority
      const rows = {
        hub: hub.name,
        subject: properties.subject,
        state: properties.isVerified ? 'verified' : 'unverified',
        expires: properties.expiry,
        registered: properties.created,
        changed: properties.updated,
        'SHA-1': properties.thumbprint,
        etag: authority.etag,
      }
      for (const [label, value] of Object.entries(rows)) print(`${label.padEnd(12)} ${value}`)
    })
  addHubOption(addAccessOptions(command))
}

function addDelete(group: Command): void {
  const command = group
    .command('delete <name>')
    .description('take a CA out of the register: devices under it are refused from then on')
    .action(async (name: string, options: RemoteOptions & ConfirmOptions) => {
      const access = serverOf(options)
      const hub = await findHub(access, options.hub)
      const { etag } = await getAuthority(access, hub.name, name)
      if (!options.yes) await confirm(await whatRestsOn(access, hub.name, name), options)
      await deleteAuthority(access, hub.name, name, etag)
      if (options.json) return printJson({ deleted: name })
      print(`'${name}' is no longer registered at hub '${hub.name}'`)
    })
  addHubOption(addAccessOptions(addConfirmOption(command)))
}
