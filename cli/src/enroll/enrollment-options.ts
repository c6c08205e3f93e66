import { Option } from 'commander'
import type { Command } from 'commander'
import { readInput } from '../pki/files.ts'
import { CommandError } from '../command-error.ts'
import type { RemoteOptions } from '../access-options.ts'

/** What every kind of enrollment may say. */
export interface EnrollmentOptions extends RemoteOptions {
  readonly disabled?: true
  readonly replace?: true
  readonly twin?: string
  readonly reprovision: 'migrate' | 'reset' | 'never'
  readonly allocation: 'hashed' | 'static' | 'geoLatency' | 'custom'
  readonly hubHost?: readonly string[]
  readonly webhook?: string
  readonly sealed?: 'verify' | 'off'
}

export function addEnrollmentOptions(command: Command): Command {
  return command
    .option('--disabled', 'enrol, but refuse to provision until enabled')
    .option('--replace', 'change the enrollment that has this id; its devices stay connected')
    .option('--twin <file>', 'JSON file with the initial twin: {"tags": {…}, "properties": {"desired": {…}}}')
    .addOption(
      new Option('--reprovision <how>', 'when a device registers again: keep its twin, reset it, or never reassign')
        .choices(['migrate', 'reset', 'never'])
        .default('migrate'),
    )
    .addOption(
      new Option('--allocation <policy>', 'how a hub is chosen')
        .choices(['hashed', 'static', 'geoLatency', 'custom'])
        .default('hashed'),
    )
    .option(
      '--hub-host <host>',
      'a hub that devices may go to, once for each (default: every hub)',
      (value: string, before?: readonly string[]) => [...(before ?? []), value],
    )
    .addOption(
      new Option('--sealed <mode>', 'whether the hub takes only messages that the device sealed').choices([
        'verify',
        'off',
      ]),
    )
    .option('--webhook <url>', 'address that chooses the hub, for custom allocation')
}

/** The members that all enrollments share, in the shape of the provisioning service's API. */
export function commonMembers(options: EnrollmentOptions): object {
  if (options.allocation === 'custom' && options.webhook === undefined)
    throw new CommandError('custom allocation needs --webhook URL', 2)
  return {
    provisioningStatus: options.disabled ? 'disabled' : 'enabled',
    allocationPolicy: options.allocation,
    reprovisionPolicy: {
      updateHubAssignment: options.reprovision !== 'never',
      migrateDeviceData: options.reprovision === 'migrate',
    },
    ...(options.hubHost === undefined ? {} : { iotHubs: options.hubHost }),
    ...(options.webhook === undefined
      ? {}
      : { customAllocationDefinition: { webhookUrl: options.webhook, apiVersion: '2021-10-01' } }),
    ...(options.sealed === undefined ? {} : { sealed: options.sealed }),
    ...(options.twin === undefined ? {} : { initialTwin: readTwin(options.twin) }),
  }
}

function readTwin(path: string): unknown {
  try {
    return JSON.parse(readInput(path, 'the initial twin').toString('utf8'))
  } catch (cause) {
    if (cause instanceof CommandError) throw cause
    throw new CommandError(
      `the initial twin '${path}' is not JSON: ${cause instanceof Error ? cause.message : String(cause)}`,
    )
  }
}
