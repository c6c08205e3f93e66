import { existsSync } from 'node:fs'
import { parseCertificates, sameBytes } from '@holdfast/pki'
import type { Certificate, RevocationReason, RevokedEntry } from '@holdfast/pki'
import type { Command } from 'commander'
import { CommandError } from '../command-error.ts'
import { print, printJson } from '../output.ts'
import { caFiles } from './ca-folder.ts'
import { parseInput } from './files.ts'
import { reasonOption } from './revocation-reason.ts'
import { issuedBy, recordRevoked, revokedBy, type Change } from './revoked.ts'

interface RevokeOptions {
  readonly ca: string
  readonly serial?: string
  readonly device?: string
  readonly reason: RevocationReason
  readonly lift?: true
  readonly json?: true
}

export function addRevoke(pki: Command): void {
  pki
    .command('revoke [cer-file]')
    .description('note in the folder of a CA that a certificate it signed is revoked; `holdfast pki crl` publishes it')
    .requiredOption('--ca <folder>', 'folder of the CA that signed it')
    .option('--serial <hex>', 'instead of a file: its serial number')
    .option('--device <id>', 'instead of a file: every certificate that the CA has signed for this device')
    .addOption(reasonOption())
    .option('--lift', 'end a certificateHold: the certificate counts again with the next list')
    .option('--json', 'print the result as JSON')
    .action(run)
    .addHelpText(
      'after',
      `
Examples:
  holdfast pki revoke pump-0001.cer --ca line7 --reason keyCompromise
  holdfast pki revoke --device pump-0001 --ca line7
  holdfast pki crl --ca line7

No key is needed to note it, only to sign the list. A hub heeds it when the list is imported or fetched; to cut a device
off at once use \`holdfast revoke\`.`,
    )
}

function run(file: string | undefined, options: RevokeOptions): void {
  const { ca, reason } = options
  const { certificate: caFile } = caFiles(ca)
  if (!existsSync(caFile)) throw new CommandError(`'${ca}' is not the folder of a CA: it has no ca.cer`)
  const serials = serialsOf(file, options, caFile)
  const revokedAt = Math.floor(Date.now() / 1000) * 1000
  const known = new Map(revokedBy(ca).revoked.map((entry) => [hexOf(entry), entry]))
  if (options.lift) return lift(ca, serials, known, { revokedAt, json: options.json })
  const fresh = serials.filter((serial) => {
    const before = known.get(serial)?.reason
    return before === undefined || (before === 'certificateHold' && reason !== 'certificateHold')
  })
  recordRevokedSerials(ca, fresh, revokedAt, reason)
  if (options.json) return printJson({ revoked: fresh, already: serials.filter((serial) => !fresh.includes(serial)) })
  for (const serial of serials)
    print(fresh.includes(serial) ? `revoked ${serial} (${reason})` : `${serial} was revoked before`)
  print(`  next: holdfast pki crl --ca ${ca}`)
}

/** Every other reason is for good (RFC 5280 §5.3.1). */
function lift(
  ca: string,
  serials: readonly string[],
  known: ReadonlyMap<string, RevokedEntry>,
  { revokedAt, json }: { readonly revokedAt: number; readonly json: true | undefined },
): void {
  const final = serials.find((serial) => known.has(serial) && known.get(serial)?.reason !== 'certificateHold')
  if (final !== undefined)
    throw new CommandError(`${final} was revoked for good (${known.get(final)?.reason}): only a certificateHold ends`)
  const held = serials.filter((serial) => known.has(serial))
  if (held.length === 0) throw new CommandError('nothing of it is on hold')
  recordRevokedSerials(ca, held, revokedAt, 'removeFromCRL')
  if (json) return printJson({ lifted: held })
  for (const serial of held) print(`the hold of ${serial} has ended`)
  print(`  next: holdfast pki crl --ca ${ca}`)
}

function recordRevokedSerials(ca: string, serials: readonly string[], revokedAt: number, reason: Change) {
  if (serials.length === 0) return
  recordRevoked(
    ca,
    serials.map((serial) => ({ serial: Buffer.from(serial, 'hex'), revokedAt, reason })),
  )
}

/** Hex of the content octets. */
function serialsOf(file: string | undefined, { ca, serial, device }: RevokeOptions, caFile: string): string[] {
  if ([file, serial, device].filter((given) => given !== undefined).length !== 1)
    throw new CommandError('name what to revoke: a certificate file, --serial or --device', 2)
  if (file !== undefined) return [serialOfFile(file, caFile)]
  const issued = issuedBy(ca)
  if (device !== undefined) {
    const ofDevice = issued.filter(
      ({ kind, subject }) => ['device', 'request'].includes(kind) && subject === `CN=${device}`,
    )
    if (ofDevice.length === 0) throw new CommandError(`'${ca}' has signed nothing for a device '${device}'`)
    return ofDevice.map((entry) => entry.serial)
  }
  const wanted = canonical(serial ?? '')
  const found = issued.find((entry) => canonical(entry.serial) === wanted)
  if (found === undefined) throw new CommandError(`'${ca}' has signed nothing with the serial number ${serial}`)
  return [found.serial]
}

function serialOfFile(file: string, caFile: string): string {
  const [certificate] = parseInput(file, 'the certificate', parseCertificates)
  const [ca] = parseInput(caFile, 'the CA certificate', parseCertificates)
  if (certificate === undefined || ca === undefined) throw new CommandError(`'${file}' holds no certificate`)
  if (!isIssuedBy(certificate, ca))
    throw new CommandError(
      `'${file}' was issued by "${certificate.issuer.toString()}", not by "${ca.subject.toString()}"`,
    )
  return certificate.serialHex
}

function isIssuedBy(certificate: Certificate, ca: Certificate): boolean {
  return sameBytes(certificate.issuer.der, ca.subject.der)
}

function canonical(serial: string): string {
  const digits = serial.replaceAll(/[:\s]|^0x/g, '').toLowerCase()
  if (!/^[0-9a-f]+$/.test(digits)) throw new CommandError(`'${serial}' is no serial number in hex`, 2)
  return digits.replace(/^0+(?=.)/, '')
}

function hexOf({ serial }: RevokedEntry): string {
  return Buffer.from(serial).toString('hex')
}
