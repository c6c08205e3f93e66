import { Argument } from 'commander'
import type { Command } from 'commander'
import { parseCertificates } from '@holdfast/pki'
import { addAccessOptions, addHubOption, serverOf } from '../access-options.ts'
import type { RemoteOptions } from '../access-options.ts'
import { CommandError } from '../command-error.ts'
import { addConfirmOption, confirm } from '../confirm.ts'
import type { ConfirmOptions } from '../confirm.ts'
import { everyPage } from '../enroll/enrollment-api.ts'
import { print, printJson } from '../output.ts'
import { readInput } from '../pki/files.ts'
import { findHub } from '../resource-manager.ts'
import { callApi } from '../server-access.ts'
import { addDuplicates } from './duplicates.ts'

interface CreateOptions extends RemoteOptions {
  readonly certificate?: string
  readonly secondary?: string
  readonly ca?: true
  readonly sas?: true
  readonly disabled?: true
}

interface DeviceResource {
  readonly deviceId: string
  readonly status: string
  readonly revoked: { readonly reason: string } | null
  readonly connectionState: string
  /** Since when it waits for `holdfast device release`. */
  readonly quarantine?: { readonly since: string } | null
  readonly lastActivityTime: string
  readonly authentication: { readonly type: string; readonly symmetricKey?: { readonly primaryKey?: string | null } }
}

interface StoredDevice extends DeviceResource {
  readonly etag: string
  readonly statusReason: string | null
  readonly capabilities: object
  readonly sealed?: string
}

/** `holdfast device …`: the identity registry of a hub. */
export function register(group: Command): void {
  addCreate(group)
  addList(group)
  addShow(group)
  addSwitch(group, 'enable', 'enabled')
  addSwitch(group, 'disable', 'disabled')
  addSealed(group)
  addDelete(group)
  addCertificate(group)
  addDuplicates(group, deviceAt)
}

function addCreate(group: Command): void {
  const command = group
    .command('create <id>')
    .description('put a device into the registry; how it will prove itself is said by one of the options')
    .option('--ca', 'by a certificate under a registered CA, with the id as common name')
    .option('--certificate <cer-file>', 'by this very certificate (its SHA-256 thumbprint)')
    .option('--secondary <cer-file>', 'or this one, for a rollover')
    .option('--sas', 'by a symmetric key that the server makes')
    .option('--disabled', 'create it disabled')
    .action(async (id: string, options: CreateOptions) => {
      const body = { authentication: authenticationOf(options), status: options.disabled ? 'disabled' : 'enabled' }
      const { path, host } = await deviceAt(options, id)
      const device = await callApi<DeviceResource>(serverOf(options), { method: 'PUT', path, body })
      if (options.json) return printJson(device)
      print(`created '${id}' (${device.authentication.type}, ${device.status})`)
      const key = device.authentication.symmetricKey?.primaryKey
      if (options.sas && key) print(`  HostName=${host};DeviceId=${id};SharedAccessKey=${key}`)
    })
  addHubOption(addAccessOptions(command)).addHelpText(
    'after',
    `
Examples:
  holdfast device create press-17 --ca
  holdfast device create press-17 --certificate press-17.cer`,
  )
}

function addCertificate(group: Command): void {
  const command = group
    .command('certificate <id>')
    .description('set the certificates that a device may prove itself by; one that stays keeps its connection')
    .requiredOption('--certificate <cer-file>', 'the primary one')
    .option('--secondary <cer-file>', 'another one that is accepted beside it, for a rollover')
    .action(async (id: string, options: CreateOptions) => {
      const { path } = await deviceAt(options, id)
      const access = serverOf(options)
      const device = await callApi<StoredDevice>(access, { method: 'GET', path })
      const { status, statusReason, capabilities, etag, sealed } = device
      const kept = { status, statusReason, capabilities, ...(sealed !== undefined && { sealed }) }
      const body = { ...kept, authentication: thumbprintsOf(options) }
      const headers = { 'if-match': etag }
      const changed = await callApi<DeviceResource>(access, { method: 'PUT', path, body, headers })
      if (options.json) return printJson(changed)
      const accepted = options.secondary === undefined ? 'one certificate' : 'either of two certificates'
      print(`'${id}' is known by ${accepted}`)
    })
  addHubOption(addAccessOptions(command)).addHelpText(
    'after',
    '\nExample:\n  holdfast device certificate press-17 --certificate old.cer --secondary new.cer',
  )
}

function authenticationOf(options: CreateOptions): object {
  const ways = [options.ca, options.certificate, options.sas].filter((way) => way !== undefined)
  if (ways.length !== 1) throw new CommandError('give exactly one of --ca, --certificate and --sas', 2)
  if (options.ca) return { type: 'certificateAuthority' }
  if (options.sas) return { type: 'sas', symmetricKey: { primaryKey: '', secondaryKey: '' } }
  return thumbprintsOf(options)
}

function thumbprintsOf(options: CreateOptions): object {
  return {
    type: 'selfSigned',
    x509Thumbprint: {
      primaryThumbprint: thumbprintOf(options.certificate ?? ''),
      ...(options.secondary === undefined ? {} : { secondaryThumbprint: thumbprintOf(options.secondary) }),
    },
  }
}

function thumbprintOf(file: string): string {
  const [certificate] = parseCertificates(readInput(file, 'the certificate'))
  if (!certificate) throw new CommandError(`'${file}' holds no certificate`)
  return certificate.sha256
}

function addList(group: Command): void {
  const command = group
    .command('list')
    .description('the devices of a hub')
    .action(async (options: RemoteOptions) => {
      const access = serverOf(options)
      const hub = await findHub(access, options.hub)
      let count = 0
      for await (const device of everyPage<DeviceResource>(
        access,
        `/holdfast/v1/hubs/${encodeURIComponent(hub.name)}/devices`,
      )) {
        count += 1
        if (options.json) printJson(device)
        else
          print(
            `${device.deviceId.padEnd(32)} ${device.authentication.type.padEnd(22)} ${stateOf(device).padEnd(11)} ${device.connectionState}`,
          )
      }
      if (count === 0 && !options.json) print(`hub '${hub.name}' has no device`)
    })
  addHubOption(addAccessOptions(command))
}

function stateOf({ status, revoked, quarantine }: DeviceResource): string {
  if (revoked) return 'revoked'
  return quarantine ? 'quarantined' : status
}

function addShow(group: Command): void {
  const command = group
    .command('show <id>')
    .description('one device as JSON, with its keys')
    .action(async (id: string, options: RemoteOptions) => {
      const { path } = await deviceAt(options, id)
      const device = await callApi<DeviceResource>(serverOf(options), { method: 'GET', path })
      print(JSON.stringify(device, null, options.json ? 0 : 2))
    })
  addHubOption(addAccessOptions(command))
}

function addSwitch(group: Command, verb: 'enable' | 'disable', status: 'enabled' | 'disabled'): void {
  const command = group
    .command(`${verb} <id>`)
    .description(status === 'disabled' ? 'refuse the device and close its connection' : 'let the device in again')
    .option('--reason <text>', 'kept with the device')
    .action(async (id: string, options: RemoteOptions & { reason?: string }) => {
      const { path } = await deviceAt(options, id)
      const body = { status, ...(options.reason === undefined ? {} : { statusReason: options.reason }) }
      const device = await callApi<DeviceResource>(serverOf(options), { method: 'PATCH', path, body })
      if (options.json) return printJson(device)
      print(`'${id}' is ${status}`)
    })
  addHubOption(addAccessOptions(command))
}

function addSealed(group: Command): void {
  const command = group
    .command('sealed <id>')
    .description('take only messages that the device sealed; its connection is closed, so that it begins anew')
    .addArgument(new Argument('<mode>', 'verify, or off').choices(['verify', 'off']))
    .action(async (id: string, sealed: string, options: RemoteOptions) => {
      const { path } = await deviceAt(options, id)
      const device = await callApi<StoredDevice>(serverOf(options), { method: 'PATCH', path, body: { sealed } })
      if (options.json) return printJson(device)
      print(sealed === 'verify' ? `'${id}' must seal its messages` : `'${id}' may send what it likes`)
    })
  addHubOption(addAccessOptions(command)).addHelpText('after', '\nExample:\n  holdfast device sealed press-17 verify')
}

function addDelete(group: Command): void {
  const command = group
    .command('delete <id>')
    .description('take a device out of the registry and close its connection')
    .action(async (id: string, options: RemoteOptions & ConfirmOptions) => {
      const { path } = await deviceAt(options, id)
      await confirm(`'${id}' is cut off, and its keys, its twin and its stored events go with it.`, options)
      await callApi(serverOf(options), { method: 'DELETE', path })
      if (options.json) return printJson({ deleted: id })
      print(`'${id}' is deleted`)
    })
  addHubOption(addAccessOptions(addConfirmOption(command)))
}

async function deviceAt(options: RemoteOptions, id: string): Promise<{ path: string; host: string }> {
  const hub = await findHub(serverOf(options), options.hub)
  return {
    path: `/holdfast/v1/hubs/${encodeURIComponent(hub.name)}/devices/${encodeURIComponent(id)}`,
    host: hub.properties.hostName,
  }
}
