import { AnchorSet, parseCertificates, PathVerifier, type Certificate } from '@holdfast/pki'
import { type SealError, type VerifiedSeal, type VerifyRequest } from '@holdfast/seal'
import { InvalidArgumentError, Option, type Command } from 'commander'
import { statSync } from 'node:fs'
import { CommandError } from '../command-error.ts'
import { print, printJson } from '../output.ts'
import { caFiles } from '../pki/ca-folder.ts'
import { displayName, instant } from '../pki/describe.ts'
import { readInput } from '../pki/files.ts'
import { parseUntil } from '../pki/validity.ts'

/** What `verify` and `open` are told of whom to believe. */
export interface VerificationOptions {
  readonly ca?: readonly string[]
  readonly pin?: string
  readonly chain?: string
  readonly at?: number
  readonly atSigning?: true
  readonly device?: string
  readonly lastCounter?: number
  readonly json?: true
}

export function addVerificationOptions(command: Command): Command {
  return command
    .option(
      '--ca <path>',
      'what is trusted: a PEM or DER file, or the folder of a CA; once for each',
      (path: string, before?: readonly string[]) => [...(before ?? []), path],
    )
    .option('--pin <file>', "or the device's very certificate")
    .option('--chain <file>', 'certificates that the message does not carry')
    .option('--device <id>', 'only from this device')
    .option('--last-counter <number>', 'only above this counter', parseCounter)
    .addOption(
      new Option('--at <date>', 'as of when the certificates must be valid (default now)').argParser(parseUntil),
    )
    .addOption(new Option('--at-signing', 'as of the time that the device claims').conflicts('at'))
    .option('--json', 'print the verdict as JSON')
}

export function verificationOf(options: VerificationOptions): VerifyRequest {
  const { ca, pin, chain, at, atSigning, device, lastCounter } = options
  if ((ca === undefined) === (pin === undefined))
    throw new CommandError('give what is trusted: --ca FILE, or --pin FILE', 2)
  return {
    trust:
      pin === undefined
        ? { kind: 'authorities', anchors: new AnchorSet((ca ?? []).flatMap(readAnchors)) }
        : { kind: 'pinned', certificate: readOne(pin) },
    verifier: new PathVerifier({ cacheSize: 16 }),
    now: at ?? Date.now(),
    certificates: chain === undefined ? [] : parseCertificates(readInput(chain, 'the chain')),
    ...(atSigning && { validity: 'at-signing' }),
    ...(device !== undefined && { expectedDevice: device }),
    ...(lastCounter !== undefined && { lastCounter }),
  }
}

/** Of a CA folder its own certificate is trusted. */
function readAnchors(path: string): Certificate[] {
  const folder = statSync(path, { throwIfNoEntry: false })?.isDirectory() === true
  return parseCertificates(readInput(folder ? caFiles(path).certificate : path, 'the CA'))
}

function readOne(path: string): Certificate {
  const [certificate] = parseCertificates(readInput(path, 'the certificate'))
  if (certificate === undefined) throw new CommandError(`'${path}' holds no certificate`)
  return certificate
}

function parseCounter(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError('Give a whole number.')
  return Number(text)
}

/** The exit code is 1 when the message is not good. */
export function tellRefusal({ rule, message, remedy, trust }: SealError, { json }: VerificationOptions): void {
  process.exitCode = 1
  if (json) return printJson({ good: false, rule, message, remedy, trust: trust ?? null })
  print(`not good: ${message}`)
  print(`  rule        ${trust === undefined ? rule : `${rule}: ${trust.rule}`}`)
  print(`  what to do  ${remedy}`)
}

/** What was verified, as JSON; the same members for both commands. */
export function sealJson(seal: VerifiedSeal): object {
  const { device, counter, time, contentType, isEncrypted } = seal.claims
  return {
    good: true,
    device,
    counter,
    time: time === null ? null : new Date(time).toISOString(),
    contentType,
    encrypted: isEncrypted,
    algorithm: seal.algorithm,
    path: seal.path.map(({ subject, sha256 }) => ({ subject: subject.toString(), sha256 })),
  }
}

/** What was verified, in words. */
export function describeSeal(seal: VerifiedSeal): string[] {
  const { device, counter, time, contentType, isEncrypted } = seal.claims
  const when = time === null ? 'at a time that it does not say' : `at ${instant(time)} by its own clock`
  const content = isEncrypted
    ? 'encrypted for its consumer'
    : `in the clear${contentType === null ? '' : `, ${contentType}`}`
  return [
    `good: sealed by device '${device}', ${when}`,
    `  counter     ${counter}`,
    `  payload     ${seal.payload.length} bytes, ${content}`,
    `  signature   ${seal.algorithm}`,
    `  path        ${seal.path.map(displayName).join(' under ')}`,
  ]
}
