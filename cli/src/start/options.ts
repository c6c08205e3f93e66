import { isIPv4 } from 'node:net'
import { InvalidArgumentError, Option } from 'commander'
import type { Command } from 'commander'
import { readConfig, readConfigFile } from '@holdfast/server'
import type { Config } from '@holdfast/server'
import { keyTokenOption } from '../key-options.ts'
import type { TokenKey } from '../key-options.ts'

/** What the command line says about a server; each is also a member of the configuration file. */
export interface ServerFlags {
  readonly config?: string
  readonly data?: string
  readonly host?: readonly string[]
  readonly dpsHost?: readonly string[]
  readonly listen?: string
  readonly mqttPort?: number
  readonly httpsPort?: number
  readonly amqpPort?: number
  readonly amqpPlainPort?: number
  readonly crlPort?: number
  readonly tlsCert?: string
  readonly tlsKey?: string
  readonly tlsPassphraseFile?: string
  readonly keyFile?: string
  readonly keyPassphraseFile?: string
  readonly keyToken?: TokenKey
  readonly tokenFile?: string
  readonly retentionHours?: number
  readonly logLevel?: string
}

export function addServerOptions(command: Command, defaults: { logLevel: string }): Command {
  return command
    .option('--data <dir>', 'folder of everything that is kept (default: data)')
    .option(
      '--host <name>',
      'host name of the hub, once for each name; the first is told to devices (default: localhost, or the address of --listen)',
      collect,
    )
    .option(
      '--dps-host <name>',
      'host name of the provisioning service, once for each name (default: those of the hub)',
      collect,
    )
    .option('--listen <address>', 'address to listen on (default: loopback while every name is localhost, else all)')
    .option('--mqtt-port <n>', 'MQTT over TLS (default: 8883)', port)
    .option('--https-port <n>', 'HTTPS and WebSockets (default: 443)', port)
    .option('--amqp-port <n>', 'AMQP over TLS (default: 5671)', port)
    .option(
      '--amqp-plain-port <n>',
      'AMQP without TLS on loopback, for UseDevelopmentEmulator=true (default: off)',
      port,
    )
    .option('--crl-port <n>', 'CRLs over plain HTTP, for what certificates name; nothing else (default: off)', port)
    .option('--tls-cert <file>', 'PEM of a server certificate of yours, then its intermediates (default: made here)')
    .option('--tls-key <file>', 'PEM of its private key')
    .option('--tls-passphrase-file <file>', 'file that holds the passphrase of that key')
    .option(
      '--key-file <file>',
      'key that the data folder is sealed with, made at the first start (default: <data>.key)',
    )
    .option('--key-passphrase-file <file>', 'file whose first line is a passphrase that takes the place of that key')
    .addOption(
      keyTokenOption('a key in a PKCS#11 token that takes its place').conflicts(['keyFile', 'keyPassphraseFile']),
    )
    .option('--token-file <file>', "file of the owner's token, made at the first start (default: <data>.token)")
    .option('--retention-hours <n>', 'drop events that are older (default: 24)', whole)
    .option('--config <file>', 'JSON configuration file; options given here win over it')
    .addOption(
      new Option('--log-level <level>', `structured log on standard error (default: ${defaults.logLevel})`).choices([
        'fatal',
        'error',
        'warn',
        'info',
        'debug',
        'silent',
      ]),
    )
}

/** The file, completed and overruled by the flags. Throws ConfigError. */
export function configOf(flags: ServerFlags, defaults: { logLevel: string }): Config {
  const file = (flags.config === undefined ? {} : readConfigFile(flags.config)) as Record<
    string,
    Record<string, unknown>
  >
  const fileHubs = Array.isArray(file['hubs'])
    ? (file['hubs'] as Record<string, unknown>[])
    : [defaultHub(flags.listen ?? file['listen']?.['address'])]
  const hubs =
    flags.host === undefined
      ? fileHubs
      : [{ ...fileHubs[0], name: flags.host[0]?.split('.')[0], hosts: flags.host }, ...fileHubs.slice(1)]
  return readConfig({
    ...file,
    ...given({ data: flags.data }),
    hubs,
    provisioning: {
      ...file['provisioning'],
      hosts: flags.dpsHost ?? file['provisioning']?.['hosts'] ?? hubs[0]?.['hosts'],
    },
    listen: {
      ...file['listen'],
      ...given({
        address: flags.listen,
        mqtt: flags.mqttPort,
        https: flags.httpsPort,
        amqp: flags.amqpPort,
        plainAmqp: flags.amqpPlainPort,
        crl: flags.crlPort,
      }),
    },
    ...(flags.tlsCert === undefined && flags.tlsKey === undefined
      ? {}
      : { tls: given({ certificate: flags.tlsCert, key: flags.tlsKey, passphraseFile: flags.tlsPassphraseFile }) }),
    keys: {
      ...file['keys'],
      ...given({ file: flags.keyFile, passphraseFile: flags.keyPassphraseFile, token: settingsOf(flags.keyToken) }),
    },
    management: { ...file['management'], ...given({ tokenFile: flags.tokenFile }) },
    retention: { ...file['retention'], ...given({ hours: flags.retentionHours }) },
    log: { level: defaults.logLevel, ...file['log'], ...given({ level: flags.logLevel }) },
  })
}

/** A hub that is to be reached at one address is known by it until it is given a name. */
function defaultHub(address: unknown): Record<string, unknown> {
  const isOwn = typeof address === 'string' && isIPv4(address) && !['0.0.0.0', '127.0.0.1'].includes(address)
  return isOwn ? { name: 'hub', hosts: [address] } : { hosts: ['localhost'] }
}

function settingsOf(key: TokenKey | undefined): Record<string, unknown> | undefined {
  if (key === undefined) return undefined
  const { module, token, key: id, pinFile } = key
  return { module, token, key: id, ...(pinFile === null ? {} : { pinFile }) }
}

function given(values: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined))
}

function collect(value: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), value]
}

function port(text: string): number {
  const number = whole(text)
  if (number > 65535) throw new InvalidArgumentError('a port is a number from 0 to 65535.')
  return number
}

function whole(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('a whole number is needed.')
  return Number(text)
}
