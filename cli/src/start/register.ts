import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { Option } from 'commander'
import type { Command } from 'commander'
import pc from 'picocolors'
import { KeyError, startServer } from '@holdfast/server'
import type { Config, RunningServer, TypedSecrets } from '@holdfast/server'
import { CommandError } from '../command-error.ts'
import { pinOf } from '../key-options.ts'
import { print } from '../output.ts'
import { knownPassphrase, newPassphrase } from '../pki/passphrase.ts'
import { showLive } from './live-view.ts'
import { addServerOptions, configOf } from './options.ts'
import type { ServerFlags } from './options.ts'
import { accessFactsOf, managementUrlOf } from './server-facts.ts'
import { writeHoldfastEnv } from './quickstart-env.ts'
import { isToldAlready, quickstartPlace, takeQuickstartOut } from './quickstart-place.ts'
import { Steps } from './steps.ts'

interface StartFlags extends ServerFlags {
  readonly quickstart: boolean
  readonly quiet?: true
  readonly askKeyPassphrase?: true
}

/** `holdfast start`: the server, and on an empty data folder the whole story from a CA to a message read back. */
export function register(command: Command): void {
  addServerOptions(command, { logLevel: 'warn' })
    .option('--no-quickstart', 'start the server alone: make no CA, no enrollment and no sample device')
    .addOption(
      new Option('--ask-key-passphrase', 'ask for the passphrase that takes the place of the key file').conflicts([
        'keyFile',
        'keyPassphraseFile',
        'keyToken',
      ]),
    )
    .option('--quiet', 'do not show what arrives')
    .action((flags: StartFlags) => start(flags).catch(failForGood))
    .addHelpText(
      'after',
      `
Examples:
  holdfast start
  holdfast start --data /var/lib/holdfast --host hub.example.com --dps-host dps.example.com --no-quickstart
  holdfast start --mqtt-port 18883 --https-port 18443 --amqp-port 15671

The quickstart makes a CA whose key lies beside the data folder: that is for development. For devices that others can
open, start with --no-quickstart, keep your CA offline (holdfast pki) and register its certificate (holdfast ca).`,
    )
}

async function start(flags: StartFlags): Promise<void> {
  const started = performance.now()
  const config = configOf(flags, { logLevel: 'warn' })
  const steps = new Steps(process.stdout)
  const stop = firstSignal()
  const secrets = await typedSecrets(config, flags)
  const isNew = flags.quickstart && !isToldAlready(config.data)
  // The story brings a device of its own, which no later start needs in memory.
  const server = isNew
    ? await (await import('./story.ts')).tellStory(config, steps, secrets)
    : await startServer(config, secrets)
  try {
    const host = config.provisioning.hosts[0] ?? 'localhost'
    takeQuickstartOut(config.data, server.managementTokenFile)
    writeHoldfastEnv(config.data, accessFactsOf(server), { host, idScope: server.idScope })
    announce(config, server, flags, performance.now() - started)
    const view = flags.quiet ? null : await showLive(server, steps)
    await Promise.race([stop, server.failed])
    await view?.close()
  } finally {
    steps.say(pc.dim('stopping: finishing what is in flight …'))
    await server.close()
  }
  steps.say('stopped. Everything that was acknowledged is on disk.')
}

/** A service manager must not try a wrong key again and again: a token locks itself after a few wrong PINs. */
function failForGood(error: unknown): never {
  if (error instanceof KeyError) throw new CommandError(error.message, 78, { cause: error })
  throw error
}

/** What no file gives is asked for before anything starts. */
async function typedSecrets(config: Config, flags: StartFlags): Promise<TypedSecrets> {
  if (flags.askKeyPassphrase) return { keyPassphrase: await askKeyPassphrase(config.data) }
  const { token } = config.keys
  return token === null ? {} : { tokenPin: await pinOf(token) }
}

/** Twice where it is to be set, once where it is to be known. */
async function askKeyPassphrase(data: string): Promise<string> {
  const flag = '--key-passphrase-file'
  if (existsSync(join(data, 'keyring.json'))) return knownPassphrase(undefined, `the data folder ${data}`, flag)
  return (await newPassphrase({ askPassphrase: true })) ?? ''
}

function announce(config: Config, server: RunningServer, flags: StartFlags, took: number): void {
  const { ports } = server
  print('')
  print(`${pc.bold('Holdfast is up')} after ${Math.round(took)} ms. Data in ${config.data}`)
  print(
    `  MQTT ${ports.mqtt}   HTTPS and WebSocket ${ports.https}   AMQP and Event Hubs ${ports.amqp}   id scope ${server.idScope}`,
  )
  print(`  management ${managementUrlOf(server)}   token in ${server.managementTokenFile}`)
  print(
    server.keyFile === null
      ? '  data sealed with your passphrase or token: nobody can read it without'
      : `  data sealed with the key in ${server.keyFile}: keep it apart from the data; without it the data is lost`,
  )
  if (flags.quickstart)
    print(`  for SDK samples: source ${quickstartPlace(config.data).link}   ${pc.dim('(development: it holds keys)')}`)
  print(pc.dim(flags.quiet ? '  Ctrl-C stops' : '  What arrives is shown below; Ctrl-C stops'))
  print('')
}

/**
 * The first signal drains and stops; a second Ctrl-C does not wait. SIGTERM may come twice for one stop: a service manager
 * sends it to the whole group, and the process that handed over to this one passes its own on.
 */
function firstSignal(): Promise<void> {
  return new Promise((resolve) => {
    let stopping = false
    const stop = (signal: NodeJS.Signals): void => {
      if (stopping && signal === 'SIGINT') process.exit(130)
      stopping = true
      resolve()
    }
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, stop)
  })
}
