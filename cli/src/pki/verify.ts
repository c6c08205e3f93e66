import { statSync } from 'node:fs'
import {
  AnchorSet,
  isTrustError,
  parseCertificates,
  PathVerifier,
  type Certificate,
  type Purpose,
  type TrustError,
  type VerifiedPath,
} from '@holdfast/pki'
import { Option, type Command } from 'commander'
import { CommandError } from '../command-error.ts'
import { print, printJson } from '../output.ts'
import { caFiles } from './ca-folder.ts'
import { certificateJson, day, describeRole, displayName } from './describe.ts'
import { parseInput } from './files.ts'
import { parseUntil } from './validity.ts'

interface VerifyOptions {
  readonly ca: readonly string[]
  readonly intermediates?: string
  readonly purpose?: 'client' | 'server' | 'any'
  readonly at?: number
  readonly strict?: true
  readonly json?: true
}

export function addVerify(pki: Command): void {
  pki
    .command('verify <chain>')
    .description('verify a certificate and the chain behind it against a CA, by the rules by which the hub does')
    .requiredOption('--ca <path...>', 'what is trusted: PEM or DER files, or folders of CAs')
    .option('--intermediates <file>', 'further certificates that may stand between the two')
    .addOption(
      new Option('--purpose <purpose>', 'what it is used for (default client, or any for a CA)').choices([
        'client',
        'server',
        'any',
      ]),
    )
    .addOption(
      new Option('--at <date>', 'the moment of use, as 2027-12-31 or 2027-12-31T12:00:00Z').argParser(parseUntil),
    )
    .option('--strict', 'demand also what RFC 5280 asks of those who issue')
    .option('--json', 'print the verdict as JSON')
    .addHelpText(
      'after',
      `
Examples:
  holdfast pki verify pump-0001.chain.pem --ca contoso-root/ca.cer
  holdfast pki verify pump-0001.cer --intermediates line7/chain.pem --ca contoso-root

The exit code is 0 when the chain is trusted and 1 when it is not.`,
    )
    .action(run)
}

function run(path: string, options: VerifyOptions): void {
  const now = options.at ?? Date.now()
  const [leaf, ...rest] = parseInput(path, 'the certificate chain', parseCertificates)
  if (leaf === undefined) throw new CommandError(`'${path}' holds no certificate`)
  const more =
    options.intermediates === undefined
      ? []
      : parseInput(options.intermediates, 'the certificate chain', parseCertificates)
  const anchors = options.ca.flatMap(readAnchors)
  const verdict = new PathVerifier({ cacheSize: 16 }).verify({
    leaf,
    intermediates: [...rest, ...more],
    anchors: new AnchorSet(anchors),
    now,
    profile: options.strict ? 'strict' : 'compatible',
    purpose: purposeOf(options, leaf),
  })
  if (isTrustError(verdict)) refuse(verdict, options)
  else accept(verdict, options)
}

/** Of a CA folder its own certificate is trusted; its chain.pem goes on to CAs that the user did not name. */
function readAnchors(path: string): Certificate[] {
  const folder = statSync(path, { throwIfNoEntry: false })?.isDirectory() === true
  return parseInput(folder ? caFiles(path).certificate : path, 'the CA certificate', parseCertificates)
}

function purposeOf({ purpose }: VerifyOptions, leaf: Certificate): Purpose {
  if (purpose === 'client' || purpose === 'server') return `${purpose}Auth`
  return purpose === undefined && !leaf.isCa ? 'clientAuth' : 'any'
}

function accept(path: VerifiedPath, { json }: VerifyOptions): void {
  const { leaf, anchor, certificates, notAfter } = path
  if (json)
    return printJson({
      trusted: true,
      notAfter: new Date(notAfter).toISOString(),
      path: certificates.map(certificateJson),
    })
  print(`trusted: ${displayName(leaf)} chains to ${displayName(anchor)}, through ${day(notAfter)}`)
  for (const [index, certificate] of certificates.entries()) {
    const role = certificate === anchor ? 'what is trusted' : describeRole(certificate)
    print(`  ${index}  ${displayName(certificate)}: ${role}, valid through ${day(certificate.notAfter)}`)
  }
}

function refuse(error: TrustError, { json }: VerifyOptions): void {
  process.exitCode = 1
  const { rule, certificate, message, remedy, evidence } = error
  if (json)
    return printJson({
      trusted: false,
      rule,
      message,
      remedy,
      certificate: certificate ?? null,
      evidence: evidence ?? {},
    })
  print(`not trusted: ${message}`)
  print(`  rule        ${rule}`)
  if (certificate !== undefined) print(`  certificate ${certificate.subject} (serial ${certificate.serial})`)
  for (const [name, value] of Object.entries(evidence ?? {})) print(`  ${name.padEnd(11)} ${value}`)
  print(`  what to do  ${remedy}`)
}
