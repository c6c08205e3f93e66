import pc from 'picocolors'
import { startServer } from '@holdfast/server'
import type { Config, RunningServer, TypedSecrets } from '@holdfast/server'
import { putEnrollmentGroup } from '../enroll/enrollment-api.ts'
import { caFiles } from '../pki/ca-folder.ts'
import type { CaFolder } from '../pki/ca-folder.ts'
import { makeVerificationCode, hubKey, provisioningKey, putAuthority, verifyAuthority } from '../resource-manager.ts'
import { readEvents } from './live-view.ts'
import { makeDevice, makeIntermediateCa, makeRootCa, provePossession } from './quickstart-ca.ts'
import { writeQuickstartEnv } from './quickstart-env.ts'
import { demandRoom, markTold, quickstartPlace } from './quickstart-place.ts'
import { connectToHub, provision, sendMessage } from './sample-device.ts'
import { accessFactsOf, accessTo } from './server-facts.ts'
import type { Steps } from './steps.ts'

const AUTHORITY = 'quickstart-root'
const GROUP = 'quickstart'
const DEVICE = 'sample-device-1'
/** For development, like everything in the quickstart folder. */
const PFX_PASSPHRASE = 'quickstart'
const READ_BACK_TIMEOUT_MS = 15_000

/** From an empty folder to a message read back, on the real server. Returns the server, still running. */
export async function tellStory(config: Config, steps: Steps, secrets: TypedSecrets): Promise<RunningServer> {
  const folders = quickstartPlace(config.data)
  demandRoom(config.data)
  steps.say(`${pc.bold('Holdfast quickstart')}: from a certificate authority of your own to a message read back\n`)
  const server = await steps.run(
    'Server up: hub, provisioning service, events endpoint',
    () => startServer(config, secrets),
    describePorts,
  )
  try {
    const root = await steps.run('Root CA made', () => makeRootCa(folders.root, crlUrlOf(server)), describeCa)
    const line = await steps.run(
      'Intermediate CA made under it',
      () => makeIntermediateCa(folders.intermediate, root),
      describeCa,
    )
    await steps.run(
      'Root CA registered',
      () => registerRoot(server, root),
      () => 'not trusted yet',
    )
    await steps.run(
      'Possession of its key proven',
      () => proveRoot(server, root),
      (code) => `code ${code.slice(0, 8)}… signed`,
    )
    await steps.run(
      `Enrollment group '${GROUP}' made`,
      () => enrollGroup(server),
      () => 'every device under the root',
    )
    const device = await steps.run(
      'Device certificate made',
      () => makeDevice(line, DEVICE, folders.devices, PFX_PASSPHRASE),
      (files) => files.pfx,
    )
    await runDevice(server, device.pfx, steps)
    await steps.run(
      'Settings for SDK samples written',
      () => writeSettings(config, server, folders.root),
      (path) => path,
    )
    markTold(config.data)
    return server
  } catch (error) {
    await server.close()
    throw error
  }
}

async function runDevice(server: RunningServer, pfxFile: string, steps: Steps): Promise<void> {
  const { ca = '' } = accessTo(server)
  const options = { pfxFile, passphrase: PFX_PASSPHRASE, ca, host: server.reachedAt, port: server.ports.mqtt }
  const assignment = await steps.run(
    'Device provisioned itself by its chain',
    () => provision(options, server.idScope, DEVICE),
    ({ hub }) => `hub ${hub}`,
  )
  const client = await steps.run(
    'Device connected with its .pfx',
    () => connectToHub(options, assignment),
    () => assignment.deviceId,
  )
  const arrived = Promise.withResolvers<string>()
  const timeout = setTimeout(
    () => arrived.reject(new Error('the message was not read back in time')),
    READ_BACK_TIMEOUT_MS,
  )
  const reading = await readEvents(server, { kind: 'earliest' }, (event) => {
    if (event.deviceId === DEVICE) arrived.resolve(event.body.toString('utf8'))
  })
  try {
    const body = { temperature: 21.5, firmware: '1.0.0' }
    await steps.run('First message acknowledged: it is on disk', () =>
      sendMessage(client, DEVICE, body, { first: 'true' }),
    )
    await steps.run(
      'The same message read from the events endpoint',
      () => arrived.promise,
      (text) => text,
    )
  } finally {
    clearTimeout(timeout)
    await Promise.all([reading.close(), client.endAsync()])
  }
}

async function registerRoot(server: RunningServer, root: CaFolder): Promise<void> {
  await putAuthority(accessTo(server), server.hub.name, AUTHORITY, root.issuer.certificate.der)
}

async function proveRoot(server: RunningServer, root: CaFolder): Promise<string> {
  const access = accessTo(server)
  const { etag, properties } = await makeVerificationCode(access, server.hub.name, AUTHORITY, '*')
  const code = properties.verificationCode ?? ''
  const proof = await provePossession(root, code)
  await verifyAuthority(access, server.hub.name, AUTHORITY, etag, proof.der)
  return code
}

async function enrollGroup(server: RunningServer): Promise<void> {
  await putEnrollmentGroup(accessTo(server), GROUP, {
    attestation: { type: 'x509', x509: { caReferences: { primary: AUTHORITY } } },
  })
}

/** Whoever checks the quickstart's certificates may ask the server for its lists, where it serves them by plain HTTP. */
function crlUrlOf({ hub, ports }: RunningServer): string | null {
  if (ports.crl === null) return null
  return `http://${hub.hosts[0] ?? 'localhost'}${ports.crl === 80 ? '' : `:${ports.crl}`}/crl/{key}.crl`
}

async function writeSettings(config: Config, server: RunningServer, rootFolder: string): Promise<string> {
  const access = accessTo(server)
  const [hub, events, provisioning] = await Promise.all([
    hubKey(access, server.hub.name, 'iothubowner'),
    hubKey(access, server.hub.name, 'service'),
    provisioningKey(access, 'provisioningserviceowner'),
  ])
  const files = caFiles(rootFolder)
  return writeQuickstartEnv({
    data: config.data,
    hubHost: server.hub.hosts[0] ?? 'localhost',
    hubName: server.hub.name,
    provisioningHost: config.provisioning.hosts[0] ?? 'localhost',
    idScope: server.idScope,
    amqpPort: server.ports.amqp,
    hubKey: { name: hub.keyName, key: hub.primaryKey },
    eventsKey: { name: events.keyName, key: events.primaryKey },
    provisioningKey: { name: provisioning.keyName, key: provisioning.primaryKey },
    caCertificate: files.certificate,
    caKey: files.key,
    access: accessFactsOf(server),
  })
}

function describePorts({ ports }: RunningServer): string {
  return `MQTT ${ports.mqtt}, HTTPS ${ports.https}, AMQP ${ports.amqp}`
}

function describeCa(ca: CaFolder): string {
  return ca.path
}
