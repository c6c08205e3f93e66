import { decodePem, encodePem, ParseError } from '@holdfast/pki'
import { Option } from 'commander'
import type { Command } from 'commander'
import pc from 'picocolors'
import { addAccessOptions, addHubOption, serverOf } from '../access-options.ts'
import type { RemoteOptions } from '../access-options.ts'
import { CommandError } from '../command-error.ts'
import { print, printJson } from '../output.ts'
import { readInput } from '../pki/files.ts'
import { parseUntil } from '../pki/validity.ts'
import { findHub } from '../resource-manager.ts'
import { callApi } from '../server-access.ts'
import { showDiagnosis } from './show-diagnosis.ts'
import type { ShownDiagnosis } from './show-diagnosis.ts'

interface DoctorOptions extends RemoteOptions {
  readonly device?: string
  readonly registration?: string
  readonly at?: number
  readonly ca?: readonly string[]
  readonly strict?: true
}

const DER_SEQUENCE = 0x30

/** `holdfast doctor`: would this device get in, and if not, why? */
export function register(group: Command): void {
  group
    .argument('<chain>', 'the certificates that the device sends: PEM, leaf first, or one certificate as DER')
    .option('--device <id>', 'examine a connect to the hub as this device')
    .option('--registration <id>', 'examine a registration under this id (default: the device id)')
    .addOption(
      new Option('--at <date>', 'the moment of the attempt, as 2027-12-31 or 2027-12-31T12:00:00Z').argParser(
        parseUntil,
      ),
    )
    .option('--ca <file...>', 'ask no server: judge the chain against these CA certificates alone')
    .option('--strict', 'with --ca: demand also what RFC 5280 asks of those who issue')
  addHubOption(addAccessOptions(group))
    .action(run)
    .addHelpText(
      'after',
      `
Nothing is changed and no refusal is recorded. Only the certificates of the file are read and sent, no private key.
The exit code is 0 when the device would get in, 1 when it would not, 2 when the question makes no sense.

Examples:
  holdfast doctor pump-1.chain.pem --device pump-1
  holdfast doctor pump-1.chain.pem --registration pump-1 --at 2027-12-31
  holdfast doctor pump-1.chain.pem --device pump-1 --ca contoso-root/ca.cer`,
    )
}

async function run(path: string, options: DoctorOptions): Promise<void> {
  const chain = readChain(path)
  const diagnosis = options.ca === undefined ? await askServer(chain, options) : await judgeHere(chain, options)
  if (options.json) printJson(diagnosis)
  else print(showDiagnosis(diagnosis, pc))
  if (!diagnosis.ok) process.exitCode = 1
}

async function askServer(chain: readonly Uint8Array[], options: DoctorOptions): Promise<ShownDiagnosis> {
  const { device, registration, at } = options
  if (device === undefined && registration === undefined)
    throw new CommandError('name the device with --device, or a registration with --registration', 2)
  const access = serverOf(options)
  const hub = options.hub ?? (await findHub(access, undefined)).name
  const body = {
    chain: chain.map((der) => encodePem('CERTIFICATE', der)).join(''),
    device,
    registration,
    ...(at !== undefined && { at: new Date(at).toISOString() }),
  }
  return callApi(access, { method: 'POST', path: `/holdfast/v1/hubs/${encodeURIComponent(hub)}/doctor`, body })
}

async function judgeHere(chain: readonly Uint8Array[], options: DoctorOptions): Promise<ShownDiagnosis> {
  // The door's own rules; loaded only here, for they come with the server.
  const { diagnoseOffline } = await import('@holdfast/server')
  return diagnoseOffline({
    chain,
    authorities: (options.ca ?? []).map((file) => readInput(file, 'the CA')),
    deviceId: options.device ?? options.registration ?? null,
    now: options.at ?? Date.now(),
    profile: options.strict ? 'strict' : 'compatible',
  })
}

function readChain(path: string): readonly Uint8Array[] {
  const bytes = readInput(path, 'the chain')
  if (bytes[0] === DER_SEQUENCE) return [bytes]
  try {
    const blocks = decodePem(bytes.toString('latin1')).filter(({ label }) => label === 'CERTIFICATE')
    if (blocks.length > 0) return blocks.map(({ der }) => der)
  } catch (error) {
    if (!(error instanceof ParseError)) throw error
    throw new CommandError(`'${path}' cannot be read: ${error.message}`, 2, { cause: error })
  }
  throw new CommandError(`'${path}' holds no certificate`, 2)
}
