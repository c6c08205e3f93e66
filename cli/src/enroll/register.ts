import type { Command } from 'commander'
import { parseCertificates } from '@holdfast/pki'
import type { Certificate } from '@holdfast/pki'
import { addAccessOptions, serverOf } from '../access-options.ts'
import type { RemoteOptions } from '../access-options.ts'
import { CommandError } from '../command-error.ts'
import { addConfirmOption, confirm } from '../confirm.ts'
import type { ConfirmOptions } from '../confirm.ts'
import { print, printJson } from '../output.ts'
import { readInput } from '../pki/files.ts'
import { homeHub, listAuthorities } from '../resource-manager.ts'
import type { ServerAccess } from '../server-access.ts'
import {
  deleteEnrollment,
  getAttestation,
  getEnrollment,
  listEnrollments,
  listRegistrations,
  putEnrollment,
} from './enrollment-api.ts'
import type { EnrollmentKind, EnrollmentResource } from './enrollment-api.ts'
import { addEnrollmentOptions, commonMembers } from './enrollment-options.ts'
import type { EnrollmentOptions } from './enrollment-options.ts'

interface DeviceOptions extends EnrollmentOptions {
  readonly registrationId?: string
  readonly deviceId?: string
  readonly secondary?: string
}

interface GroupOptions extends EnrollmentOptions {
  readonly authority?: string
  readonly secondaryAuthority?: string
  readonly certificate?: string
  readonly secondary?: string
  readonly symmetric?: true
}

interface KindOptions extends RemoteOptions {
  readonly group?: true
}

/** `holdfast enroll …`: which devices the provisioning service lets in. */
export function register(group: Command): void {
  addDevice(group)
  addKeyDevice(group)
  addGroup(group)
  addList(group)
  addShow(group)
  addSwitch(group, 'enable', 'enabled')
  addSwitch(group, 'disable', 'disabled')
  addDelete(group)
}

function addDevice(group: Command): void {
  const command = group
    .command('device <cer-file>')
    .description('enrol one device by its certificate; the common name is its registration id')
    .option('--registration-id <id>', 'registration id (default: the common name)')
    .option('--device-id <id>', 'id at the hub (default: the registration id)')
    .option('--secondary <cer-file>', 'a second certificate that is accepted too, for a rollover')
    .action(async (file: string, options: DeviceOptions) => {
      const certificate = readCertificate(file)
      const id = options.registrationId ?? commonNameOf(certificate, file)
      const secondary = options.secondary === undefined ? {} : { secondary: slot(readCertificate(options.secondary)) }
      await save('individual', id, options, {
        ...(options.deviceId === undefined ? {} : { deviceId: options.deviceId }),
        attestation: { type: 'x509', x509: { clientCertificates: { primary: slot(certificate), ...secondary } } },
      })
    })
  addAccessOptions(addEnrollmentOptions(command)).addHelpText(
    'after',
    '\nExample:\n  holdfast enroll device devices/press-17.cer',
  )
}

function addKeyDevice(group: Command): void {
  const command = group
    .command('key <registration-id>')
    .description('enrol one device by a symmetric key that the server makes')
    .option('--device-id <id>', 'id at the hub (default: the registration id)')
    .action(async (id: string, options: DeviceOptions) => {
      const deviceId = options.deviceId === undefined ? {} : { deviceId: options.deviceId }
      await save('individual', id, options, { ...deviceId, attestation: { type: 'symmetricKey' } })
    })
  addAccessOptions(addEnrollmentOptions(command))
}

function addGroup(group: Command): void {
  const command = group
    .command('group <group-id>')
    .description('enrol every device under a CA, or every device with a key derived from one')
    .option('--authority <name>', 'a registered and verified CA')
    .option('--secondary-authority <name>', 'a second one, for a rollover')
    .option('--certificate <cer-file>', 'an intermediate CA: only devices under it')
    .option('--secondary <cer-file>', 'a second intermediate, for a rollover')
    .option('--symmetric', 'by keys derived from a group key that the server makes')
    .action(async (id: string, options: GroupOptions) =>
      save('group', id, options, { attestation: groupAttestation(options) }),
    )
  addAccessOptions(addEnrollmentOptions(command)).addHelpText(
    'after',
    `
Examples:
  holdfast enroll group presses --authority contoso
  holdfast enroll group line-7 --certificate line-7-ca/ca.cer`,
  )
}

function groupAttestation(options: GroupOptions): object {
  const ways = [options.authority, options.certificate, options.symmetric].filter((way) => way !== undefined)
  if (ways.length !== 1) throw new CommandError('give exactly one of --authority, --certificate and --symmetric', 2)
  if (options.symmetric) return { type: 'symmetricKey' }
  if (options.authority !== undefined) {
    const secondary = options.secondaryAuthority === undefined ? {} : { secondary: options.secondaryAuthority }
    return { type: 'x509', x509: { caReferences: { primary: options.authority, ...secondary } } }
  }
  const secondary = options.secondary === undefined ? {} : { secondary: slot(readCertificate(options.secondary)) }
  return {
    type: 'x509',
    x509: { signingCertificates: { primary: slot(readCertificate(options.certificate ?? '')), ...secondary } },
  }
}

async function save(kind: EnrollmentKind, id: string, options: EnrollmentOptions, members: object): Promise<void> {
  const access = serverOf(options)
  const body = { ...commonMembers(options), ...members }
  const enrollment = await putEnrollment(access, kind, id, body, options.replace ? '*' : undefined)
  const keys = enrollment.attestation.type === 'symmetricKey' ? await getAttestation(access, kind, id) : {}
  if (options.json) return printJson({ ...enrollment, ...keys })
  await warnOfUnprovenAuthorities(access, enrollment)
  print(`enrolled ${kind === 'group' ? 'group' : 'device'} '${id}' (${describe(enrollment)})`)
  if (keys.symmetricKey)
    print(`  primary key   ${keys.symmetricKey.primaryKey}\n  secondary key ${keys.symmetricKey.secondaryKey}`)
}

/** The server takes a CA that is yet to come; whoever mistypes its name wants to know. */
async function warnOfUnprovenAuthorities(access: ServerAccess, { attestation }: EnrollmentResource): Promise<void> {
  const { primary, secondary } = attestation.x509?.caReferences ?? {}
  const wanted = [primary, secondary].filter((name) => name !== undefined && name !== null)
  if (wanted.length === 0) return
  const { name } = await homeHub(access)
  const proven = new Set(
    (await listAuthorities(access, name)).flatMap((ca) => (ca.properties.isVerified ? [ca.name] : [])),
  )
  for (const missing of wanted.filter((each) => !proven.has(each)))
    print(`note: no CA called '${missing}' is registered and verified yet; until then it lets nobody in`)
}

function addList(group: Command): void {
  const command = group
    .command('list')
    .description('individual enrollments, or groups')
    .option('--group', 'list groups')
    .action(async (options: KindOptions) => {
      let count = 0
      for await (const enrollment of listEnrollments(serverOf(options), kindOf(options))) {
        count += 1
        if (options.json) printJson(enrollment)
        else print(`${idOf(enrollment).padEnd(32)} ${describe(enrollment)}`)
      }
      if (count === 0 && !options.json)
        print(options.group ? 'no group is enrolled' : 'no individual device is enrolled (groups: --group)')
    })
  addAccessOptions(command)
}

function addShow(group: Command): void {
  const command = group
    .command('show <id>')
    .description('one enrollment as JSON; with --group also the devices that registered through it')
    .option('--group', 'a group')
    .action(async (id: string, options: KindOptions) => {
      const access = serverOf(options)
      const enrollment = await getEnrollment(access, kindOf(options), id)
      print(JSON.stringify(enrollment, null, options.json ? 0 : 2))
      if (!options.group || options.json) return
      print('registered through it:')
      for await (const { registrationId, status, assignedHub, deviceId } of listRegistrations(access, id)) {
        print(`  ${registrationId.padEnd(32)} ${status}${assignedHub ? ` at ${assignedHub} as ${deviceId ?? ''}` : ''}`)
      }
    })
  addAccessOptions(command)
}

function addSwitch(group: Command, verb: 'enable' | 'disable', status: 'enabled' | 'disabled'): void {
  const command = group
    .command(`${verb} <id>`)
    .description(
      status === 'disabled' ? 'refuse to provision by this enrollment' : 'provision by this enrollment again',
    )
    .option('--group', 'a group')
    .action(async (id: string, options: KindOptions & ConfirmOptions) => {
      const access = serverOf(options)
      const kind = kindOf(options)
      const current = await getEnrollment(access, kind, id)
      if (status === 'disabled') await confirm(whoIsCutOff(id, options), options)
      const changed = await putEnrollment(access, kind, id, { ...current, provisioningStatus: status }, current.etag)
      if (options.json) return printJson(changed)
      print(`'${id}' is ${status}`)
    })
  addAccessOptions(status === 'disabled' ? addConfirmOption(command) : command)
}

function addDelete(group: Command): void {
  const command = group
    .command('delete <id>')
    .description('take an enrollment away; devices it has provisioned stay in the registry of their hub')
    .option('--group', 'a group')
    .action(async (id: string, options: KindOptions & ConfirmOptions) => {
      await confirm(whoIsCutOff(id, options), options)
      await deleteEnrollment(serverOf(options), kindOf(options), id)
      if (options.json) return printJson({ deleted: id })
      print(`'${id}' is enrolled no more`)
    })
  addAccessOptions(addConfirmOption(command))
}

function whoIsCutOff(id: string, { group }: KindOptions): string {
  return group
    ? `Every device that was provisioned through group '${id}' is cut off at once, and no other one registers by it.`
    : `The device that was provisioned by '${id}' is cut off at once, and does not register again.`
}

function kindOf(options: KindOptions): EnrollmentKind {
  return options.group ? 'group' : 'individual'
}

function idOf(enrollment: EnrollmentResource): string {
  return enrollment.registrationId ?? enrollment.enrollmentGroupId ?? ''
}

function describe({ attestation, provisioningStatus, allocationPolicy }: EnrollmentResource): string {
  return `${attestation.type}, ${allocationPolicy}, ${provisioningStatus}`
}

function slot(certificate: Certificate): { certificate: string } {
  return { certificate: Buffer.from(certificate.der).toString('base64') }
}

function readCertificate(file: string): Certificate {
  const [certificate] = parseCertificates(readInput(file, 'the certificate'))
  if (!certificate) throw new CommandError(`'${file}' holds no certificate`)
  return certificate
}

function commonNameOf(certificate: Certificate, file: string): string {
  const [name, ...others] = certificate.subject.commonNames
  if (name === undefined || others.length > 0)
    throw new CommandError(
      `the certificate in '${file}' has ${others.length === 0 ? 'no' : 'more than one'} common name: give --registration-id`,
      2,
    )
  return name
}
