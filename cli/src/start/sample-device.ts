import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import mqtt from 'mqtt'
import type { IClientOptions, MqttClient } from 'mqtt'
import { CommandError } from '../command-error.ts'

/** What a device that holds a `.pfx` knows of its service. */
export interface SampleDeviceOptions {
  readonly pfxFile: string
  readonly passphrase: string
  readonly ca: string
  readonly host: string
  readonly port: number
}

export interface Assignment {
  readonly hub: string
  readonly deviceId: string
}

const STEP_TIMEOUT_MS = 15_000
const PROVISIONING_API = '2019-03-31'
const HUB_API = '2021-04-12'

/** Registers over MQTT as every device SDK does: subscribe, register, poll until assigned. */
export async function provision(
  options: SampleDeviceOptions,
  scope: string,
  registrationId: string,
): Promise<Assignment> {
  const client = await connect(options, {
    clientId: registrationId,
    username: `${scope}/registrations/${registrationId}/api-version=${PROVISIONING_API}&ClientVersion=holdfast-sample`,
    clean: true,
  })
  try {
    await client.subscribeAsync('$dps/registrations/res/#', { qos: 1 })
    let answer = await request(
      client,
      '$dps/registrations/PUT/iotdps-register/?$rid=1',
      JSON.stringify({ registrationId }),
    )
    while (answer.status === 'assigning') {
      await new Promise((resolve) => setTimeout(resolve, answer.retryAfterMs))
      answer = await request(
        client,
        `$dps/registrations/GET/iotdps-get-operationstatus/?$rid=2&operationId=${answer.operationId}`,
        '',
      )
    }
    const state = answer.registrationState
    if (!state?.assignedHub || !state.deviceId)
      throw new CommandError(`provisioning ended as '${answer.status}': ${answer.message}`)
    return { hub: state.assignedHub, deviceId: state.deviceId }
  } finally {
    await client.endAsync()
  }
}

/** Connects to the assigned hub with the same `.pfx`. */
export function connectToHub(options: SampleDeviceOptions, { hub, deviceId }: Assignment): Promise<MqttClient> {
  return connect(options, { clientId: deviceId, username: `${hub}/${deviceId}/?api-version=${HUB_API}`, clean: true })
}

/** Resolves when the hub has acknowledged, which it does only once the message is on disk. */
export async function sendMessage(
  client: MqttClient,
  deviceId: string,
  body: object,
  properties: Record<string, string>,
): Promise<void> {
  const bag = Object.entries({ '$.ct': 'application/json', '$.ce': 'utf-8', ...properties })
    .map(([key, value]) => `${encodeURIComponent(key)}=${encodeURIComponent(value)}`)
    .join('&')
  await client.publishAsync(`devices/${deviceId}/messages/events/${bag}`, JSON.stringify(body), { qos: 1 })
}

function connect(options: SampleDeviceOptions, session: IClientOptions): Promise<MqttClient> {
  const settings: IClientOptions = {
    protocolVersion: 4,
    // RFC 6066 §3: an address is no server name.
    ...(isIP(options.host) === 0 && { servername: options.host }),
    ca: options.ca,
    // mqtt.js hands what it does not know to tls.connect, which reads a .pfx; its types leave these two out.
    ...({ pfx: readFileSync(options.pfxFile), passphrase: options.passphrase } as object),
    connectTimeout: STEP_TIMEOUT_MS,
    reconnectPeriod: 0,
    ...session,
  }
  return mqtt.connectAsync(`mqtts://${options.host}:${options.port}`, settings, false)
}

interface RegistrationAnswer {
  readonly status: string
  readonly operationId: string
  readonly retryAfterMs: number
  readonly message: string
  readonly registrationState?: { assignedHub?: string; deviceId?: string }
}

function request(client: MqttClient, topic: string, payload: string): Promise<RegistrationAnswer> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new CommandError('the provisioning service did not answer in time')),
      STEP_TIMEOUT_MS,
    )
    client.once('message', (answerTopic, body) => {
      clearTimeout(timer)
      const retryAfter = /[?&]retry-after=(\d+)/.exec(answerTopic)?.[1]
      const json = JSON.parse(body.toString('utf8')) as Partial<RegistrationAnswer>
      resolve({
        status: 'failed',
        operationId: '',
        message: 'no reason given',
        ...json,
        retryAfterMs: Number(retryAfter ?? 2) * 1000,
      })
    })
    client.publishAsync(topic, payload, { qos: 1 }).catch(reject)
  })
}
