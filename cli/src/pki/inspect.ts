import {
  decodePem,
  ocspUrls,
  ParseError,
  parseCertificate,
  parseCertificateRequest,
  parseCrl,
  type Certificate,
  type CertificateRequest,
  type Crl,
} from '@holdfast/pki'
import type { Command } from 'commander'
import { CommandError } from '../command-error.ts'
import { print, printJson } from '../output.ts'
import {
  certificateJson,
  describeGeneralName,
  describeKey,
  describeRole,
  displayName,
  hex,
  instant,
  keyUsages,
  remaining,
} from './describe.ts'
import { parseInput, readInput } from './files.ts'
import { openPfx } from './pfx-file.ts'

interface InspectOptions {
  readonly passphraseFile?: string
  readonly json?: true
}

export function addInspect(pki: Command): void {
  pki
    .command('inspect <file>')
    .description('say in words what a certificate, chain, request, CRL or .pfx holds; nothing is verified')
    .option('--passphrase-file <file>', 'the passphrase of a .pfx (asked for if absent)')
    .option('--json', 'print one JSON object a line, one for each certificate, request or CRL')
    .addHelpText(
      'after',
      `
Examples:
  holdfast pki inspect pump-0001.chain.pem
  holdfast pki inspect pump-0001.pfx --passphrase-file pass.txt`,
    )
    .action(run)
}

const WHAT = 'the certificate, request or CRL'

type Item =
  | { readonly kind: 'certificate'; readonly certificate: Certificate }
  | { readonly kind: 'request'; readonly request: CertificateRequest }
  | { readonly kind: 'crl'; readonly crl: Crl }

async function run(path: string, options: InspectOptions): Promise<void> {
  const now = Date.now()
  const items = await readItems(path, options)
  for (const [index, item] of items.entries()) {
    if (options.json) printJson(itemJson(item))
    else showItem(item, now, index > 0)
  }
}

async function readItems(path: string, { passphraseFile }: InspectOptions): Promise<Item[]> {
  const bytes = readInput(path, 'the file')
  if (bytes.includes('-----BEGIN ')) return parseInput(path, WHAT, () => pemItems(bytes.toString('latin1'), path))
  if (!/\.(pfx|p12)$/i.test(path)) return [parseInput(path, WHAT, derItem)]
  const { certificates } = await openPfx(bytes, path, { file: passphraseFile, flag: '--passphrase-file' })
  return certificates.map(certificateItem)
}

function pemItems(text: string, path: string): Item[] {
  const items = decodePem(text).flatMap(({ label, der }): Item[] => {
    if (label === 'CERTIFICATE') return [certificateItem(der)]
    if (label === 'X509 CRL') return [{ kind: 'crl', crl: parseCrl(der) }]
    return label.endsWith('CERTIFICATE REQUEST') ? [requestItem(der)] : []
  })
  if (items.length === 0) throw new CommandError(`'${path}' holds no certificate, request or CRL`)
  return items
}

/** What it is most is told by its failure: a certificate, if it is none of the others. */
function derItem(bytes: Uint8Array): Item {
  for (const read of [requestItem, crlItem]) {
    try {
      return read(bytes)
    } catch (error) {
      if (!(error instanceof ParseError)) throw error
    }
  }
  return certificateItem(bytes)
}

function crlItem(der: Uint8Array): Item {
  return { kind: 'crl', crl: parseCrl(der) }
}

function certificateItem(der: Uint8Array): Item {
  return { kind: 'certificate', certificate: parseCertificate(der) }
}

function requestItem(der: Uint8Array): Item {
  return { kind: 'request', request: parseCertificateRequest(der) }
}

function itemJson(item: Item): Record<string, unknown> {
  if (item.kind === 'certificate') return { kind: item.kind, ...certificateJson(item.certificate) }
  if (item.kind === 'crl') return crlJson(item.crl)
  const { subject, publicKeyAlgorithm } = item.request
  return { kind: item.kind, subject: subject.toString(), key: describeKey(publicKeyAlgorithm) }
}

function showItem(item: Item, now: number, separate: boolean): void {
  if (separate) print('')
  if (item.kind === 'certificate') return showCertificate(item.certificate, now)
  if (item.kind === 'crl') return showCrl(item.crl)
  print(`request for "${item.request.subject.toString()}"`)
  row('key', describeKey(item.request.publicKeyAlgorithm))
}

function crlJson({ issuer, number, baseNumber, thisUpdate, nextUpdate, size }: Crl): Record<string, unknown> {
  return {
    kind: 'crl',
    issuer: issuer.toString(),
    number: number === undefined ? null : String(number),
    baseNumber: baseNumber === undefined ? null : String(baseNumber),
    thisUpdate: new Date(thisUpdate).toISOString(),
    nextUpdate: nextUpdate === undefined ? null : new Date(nextUpdate).toISOString(),
    entries: size,
  }
}

function showCrl(crl: Crl): void {
  const { issuer, number, baseNumber, thisUpdate, nextUpdate, size } = crl
  print(`${baseNumber === undefined ? 'CRL' : `delta to CRL ${baseNumber}:`} ${number ?? 'without a number'}`)
  row('issuer', issuer.toString())
  row('dated', instant(thisUpdate))
  row('next due', nextUpdate === undefined ? 'at no date' : instant(nextUpdate))
  row('entries', String(size))
}

function showCertificate(certificate: Certificate, now: number): void {
  const { extensions } = certificate
  print(`certificate ${displayName(certificate)}`)
  row('subject', certificate.subject.toString())
  row('issuer', certificate.selfIssued ? 'itself' : certificate.issuer.toString())
  row('valid', `${instant(certificate.notBefore)} to ${instant(certificate.notAfter)} (${remaining(certificate, now)})`)
  row('role', describeRole(certificate))
  row('key', describeKey(certificate.publicKeyAlgorithm))
  row('key usage', keyUsages(certificate).join(', '))
  row('names', (extensions.subjectAltName ?? []).map(describeGeneralName).join(', '))
  row('CRL at', crlAddresses(certificate).join(', '))
  row('OCSP at', ocspUrls(certificate).map(printable).join(', '))
  row('serial', certificate.serialHex.replace(/^00(?=[89a-f])/, ''))
  row('key id', hex(extensions.subjectKeyIdentifier ?? new Uint8Array()))
  row('issuer key id', hex(extensions.authorityKeyIdentifier?.keyIdentifier ?? new Uint8Array()))
  row('SHA-1', certificate.sha1)
  row('SHA-256', certificate.sha256)
}

function crlAddresses({ extensions }: Certificate): string[] {
  const { crlDistributionPoints = [] } = extensions
  return crlDistributionPoints.flatMap(({ name }) =>
    name?.kind === 'full'
      ? name.names.map((one) => (one.kind === 'uri' ? printable(one.value) : describeGeneralName(one)))
      : [],
  )
}

function printable(address: string): string {
  return address.replaceAll(/[^\x20-\x7e]/g, '\u{fffd}')
}

function row(label: string, value: string): void {
  if (value !== '') print(`  ${label.padEnd(14)}${value}`)
}
