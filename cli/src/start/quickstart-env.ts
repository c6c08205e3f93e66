import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { formatEnvFile } from '../env-file.ts'
import { QUICKSTART_NOTE, linkSettings, quickstartPlace } from './quickstart-place.ts'
import { formatEventHubConnectionString } from '../events/connection-string.ts'

export interface QuickstartFacts {
  readonly data: string
  readonly hubHost: string
  readonly hubName: string
  readonly provisioningHost: string
  readonly idScope: string
  readonly amqpPort: number
  readonly hubKey: { readonly name: string; readonly key: string }
  readonly eventsKey: { readonly name: string; readonly key: string }
  readonly provisioningKey: { readonly name: string; readonly key: string }
  /** PEM files of the quickstart root. */
  readonly caCertificate: string
  readonly caKey: string
  readonly access: AccessFacts
}

export interface AccessFacts {
  readonly managementUrl: string
  readonly tokenFile: string
  /** PEM file of the root of the server certificate; null when the operator brought a certificate. */
  readonly serverRoot: string | null
}

/** What the samples of the existing SDKs read from the environment. Mode 0600: it holds keys. Returns the link to it. */
export function writeQuickstartEnv(facts: QuickstartFacts): string {
  writeEnv(quickstartPlace(facts.data).env, QUICKSTART_NOTE, {
    IOTHUB_CONNECTION_STRING: `HostName=${facts.hubHost};SharedAccessKeyName=${facts.hubKey.name};SharedAccessKey=${facts.hubKey.key}`,
    EVENTHUB_CONNECTION_STRING: formatEventHubConnectionString({
      host: facts.hubHost,
      port: facts.amqpPort,
      keyName: facts.eventsKey.name,
      key: facts.eventsKey.key,
      entity: facts.hubName,
    }),
    IOT_PROVISIONING_DEVICE_ENDPOINT: facts.provisioningHost,
    IOT_PROVISIONING_DEVICE_IDSCOPE: facts.idScope,
    IOT_PROVISIONING_SERVICE_CONNECTION_STRING: `HostName=${facts.provisioningHost};SharedAccessKeyName=${facts.provisioningKey.name};SharedAccessKey=${facts.provisioningKey.key}`,
    IOTHUB_CA_ROOT_CERT: base64Of(facts.caCertificate),
    IOTHUB_CA_ROOT_CERT_KEY: base64Of(facts.caKey),
    IOT_PROVISIONING_ROOT_CERT: base64Of(facts.caCertificate),
    IOT_PROVISIONING_ROOT_CERT_KEY: base64Of(facts.caKey),
    ...accessValues(facts.access),
  })
  return linkSettings(facts.data)
}

function base64Of(path: string): string {
  return readFileSync(path).toString('base64')
}

/** How operators and devices reach this server: no key of the hub, only where the management token lies. */
export function writeHoldfastEnv(
  data: string,
  access: AccessFacts,
  { host, idScope }: { readonly host: string; readonly idScope: string },
): string {
  return writeEnv(
    join(data, 'holdfast.env'),
    ['How the holdfast command reaches this server, and how devices find its provisioning service. It holds no key.'],
    {
      ...accessValues(access),
      IOT_PROVISIONING_DEVICE_ENDPOINT: host,
      IOT_PROVISIONING_DEVICE_IDSCOPE: idScope,
    },
  )
}

function accessValues(access: AccessFacts): Record<string, string> {
  return {
    ...(access.serverRoot === null ? {} : { NODE_EXTRA_CA_CERTS: resolve(access.serverRoot) }),
    HOLDFAST_MANAGEMENT_URL: access.managementUrl,
    HOLDFAST_MANAGEMENT_TOKEN_FILE: resolve(access.tokenFile),
  }
}

function writeEnv(path: string, comment: readonly string[], values: Record<string, string>): string {
  const text = formatEnvFile(comment, values)
  if (existsSync(path) && readFileSync(path, 'utf8') === text) return path
  // A file that lies there may be somebody else's, who would read along.
  rmSync(`${path}.new`, { force: true })
  writeFileSync(`${path}.new`, text, { flag: 'wx', mode: 0o600, flush: true })
  renameSync(`${path}.new`, path)
  return path
}
