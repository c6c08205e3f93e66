import type { Command } from 'commander'
import { findServer } from './server-access.ts'
import type { AccessOptions, ServerAccess } from './server-access.ts'

export interface RemoteOptions extends AccessOptions {
  readonly hub?: string
  readonly json?: true
}

/** The options by which a command finds the server it steers. */
export function addAccessOptions(command: Command): Command {
  return command
    .option('--data <dir>', 'data folder of a server on this machine (default: data)')
    .option('--url <https-url>', 'address of the management API (default: $HOLDFAST_MANAGEMENT_URL)')
    .option('--token-file <file>', 'file with the management token (default: $HOLDFAST_MANAGEMENT_TOKEN_FILE)')
    .option('--client-cert <file>', 'log in by this certificate of an operator, PEM, instead of a token')
    .option('--client-key <file>', 'its key, PEM')
    .option('--ca-file <file>', 'PEM of the root that signed the server certificate (default: $NODE_EXTRA_CA_CERTS)')
    .option('--json', 'print the result as JSON')
}

export function addHubOption(command: Command): Command {
  return command.option('--hub <name>', 'the hub (default: the only one)')
}

export function serverOf(options: AccessOptions): ServerAccess {
  return findServer(options, process.env)
}
