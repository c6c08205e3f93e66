import { randomBytes } from 'node:crypto'
import {
  generateKey,
  issueDevice,
  parseCertificate,
  spkiOf,
  type Certificate,
  type Publication,
  type Term,
} from '@holdfast/pki'
import { InvalidArgumentError, Option, type Command } from 'commander'
import { print, printJson } from '../output.ts'
import { addIssuedAddressOptions, publicationOf, type AddressOptions } from './addresses.ts'
import { intermediatesOf, openCaFolder, recordIssued, type CaFolder } from './ca-folder.ts'
import { certificateJson, day } from './describe.ts'
import { deviceFiles, protectKeys, writeDeviceFiles, type DeviceFiles, type KeyProtection } from './device-files.ts'
import { deviceIds, type IdOptions } from './device-ids.ts'
import { demandAbsent, makeFolder } from './files.ts'
import { keyOption, type KeyOption } from './key-file.ts'
import {
  addCaPassphraseOption,
  addPassphraseOptions,
  newPassphrase,
  type CaPassphraseOptions,
  type PassphraseOptions,
} from './passphrase.ts'
import { ProgressBar } from './progress.ts'
import { addValidityOptions, termFrom, type ValidityOptions } from './validity.ts'

const DEFAULT_DAYS = 365
/** One run may not fill a disk by a slip of the finger: a million devices take 16 GB. */
const MAX_COUNT = 1_000_000

interface DeviceOptions
  extends KeyOption, PassphraseOptions, CaPassphraseOptions, ValidityOptions, IdOptions, AddressOptions {
  readonly ca: string
  readonly out?: string
  readonly json?: true
}

export function addDevice(pki: Command): void {
  const command = pki
    .command('device [ids...]')
    .description('make devices: for each a key, its certificate (.cer), its chain and a .pfx with all of them')
    .requiredOption('--ca <folder>', 'folder of the CA that signs')
    .addOption(new Option('--count <n>', 'make so many, numbered after the prefix given as id').argParser(parseCount))
    .addOption(new Option('--start <n>', 'first number for --count').argParser(parseCount).default(1))
    .option('--csv <file>', 'make those in the first column of this file')
    .option('--out <folder>', 'where to write (default: issued/ in the folder of the CA)')
    .addOption(keyOption())
    .action(run)
  addValidityOptions(command, DEFAULT_DAYS)
  addPassphraseOptions(command, 'the private keys (PEM and .pfx)')
  addIssuedAddressOptions(addCaPassphraseOption(command))
    .option('--json', 'print one JSON object a line, one for each device')
    .addHelpText(
      'after',
      `
Examples:
  holdfast pki device pump-0001 --ca line7
  holdfast pki device sensor- --count 500 --ca line7 --passphrase-file pass.txt
  holdfast pki device --csv devices.csv --ca line7 --out ./shipment-12

Files of a device: ID.key.pem (private key), ID.cer (certificate: what one enrols), ID.chain.pem (certificate and
intermediates, without the root), ID.pfx (all of it: what the device identifies itself with).`,
    )
}

function parseCount(text: string): number {
  const count = Number(text)
  if (/^\d+$/.test(text) && count >= 1 && count <= MAX_COUNT) return count
  throw new InvalidArgumentError(`Give a whole number from 1 to ${MAX_COUNT}.`)
}

async function run(args: readonly string[], options: DeviceOptions): Promise<void> {
  const now = Date.now()
  const ids = deviceIds(args, options)
  const ca = await openCaFolder(options.ca, options.caPassphraseFile)
  const folder = options.out ?? ca.issued
  demandAbsent(ids.flatMap((id) => Object.values(deviceFiles(folder, id))))
  const publication = publicationOf(ca.addresses, ca.issuer.certificate, options)
  const protection = protectKeys(await newPassphrase(options))
  const term = termFrom(options, DEFAULT_DAYS, now)
  const batch = { ca, ids, folder, key: options.key, term, publication, protection }
  const summary: MadeDevice[] = []
  for await (const made of makeDevices(batch)) {
    if (options.json) printJson({ id: made.id, ...certificateJson(made.certificate), files: made.files })
    else if (ids.length === 1) summary.push(made)
  }
  if (!options.json) reportDevices(ids, folder, summary[0], protection)
}

export interface DeviceBatch extends KeyOption {
  readonly ca: CaFolder
  readonly ids: readonly string[]
  readonly folder: string
  readonly term: Term
  readonly publication: Publication
  readonly protection: KeyProtection
}

export interface MadeDevice {
  readonly id: string
  readonly certificate: Certificate
  readonly files: DeviceFiles
}

/** Certificates that are noted in the CA's index with one write, before their files appear. */
const INDEX_BATCH = 100

/** Makes the devices one after the other and yields each when its files are written. */
export async function* makeDevices(batch: DeviceBatch): AsyncGenerator<MadeDevice> {
  const { ca, ids, folder, protection } = batch
  const intermediates = intermediatesOf(ca)
  const bar = new ProgressBar(ids.length, 'devices', Date.now())
  try {
    for (let start = 0; start < ids.length; start += INDEX_BATCH) {
      const signed = await signDevices(batch, ids.slice(start, start + INDEX_BATCH))
      // Nothing is noted that has nowhere to go, and no folder made for what is not signed.
      makeFolder(folder)
      recordIssued(
        ca,
        'device',
        signed.map(({ certificate }) => certificate),
      )
      for (const [index, device] of signed.entries()) {
        const files = deviceFiles(folder, device.id)
        writeDeviceFiles(files, { ...device, intermediates }, protection)
        bar.update(start + index + 1, Date.now())
        yield { id: device.id, certificate: device.certificate, files }
      }
    }
  } finally {
    bar.clear()
  }
}

interface SignedDevice {
  readonly id: string
  readonly privateKey: Uint8Array
  readonly certificate: Certificate
}

async function signDevices(
  { ca, key, term, publication }: DeviceBatch,
  ids: readonly string[],
): Promise<SignedDevice[]> {
  const signed: SignedDevice[] = []
  for (const id of ids) {
    const privateKey = generateKey(key)
    const der = await issueDevice(ca.issuer, { id, spki: spkiOf(privateKey), term, publication }, randomBytes)
    const pkcs8 = privateKey.export({ type: 'pkcs8', format: 'der' })
    signed.push({ id, privateKey: pkcs8, certificate: parseCertificate(der) })
  }
  return signed
}

function reportDevices(
  ids: readonly string[],
  folder: string,
  only: MadeDevice | undefined,
  { encrypted }: KeyProtection,
): void {
  const secrecy = encrypted ? 'encrypted' : 'no passphrase, readable by this user alone'
  if (only === undefined)
    return print(`${ids.length} devices in ${folder}, from ${ids[0]} to ${ids.at(-1)} (keys: ${secrecy})`)
  print(`device "${only.id}", valid through ${day(only.certificate.notAfter)}`)
  print(`  ${only.files.key}  private key (${secrecy})`)
  print(`  ${only.files.certificate}  certificate: what one enrols`)
  print(`  ${only.files.chain}  certificate and intermediates, without the root`)
  print(`  ${only.files.pfx}  key, certificate and intermediates: what the device identifies itself with`)
}
