import type { AuthenticatedDevice } from '../hub/door/authenticate.ts'
import { ofPeer } from '../hub/refusals/refusals.ts'
import type { RefusedError } from '../hub/refusals/refusals.ts'
import { HubError } from '../errors.ts'
import type { Peer } from '../model/peer.ts'
import type { RefusalRule } from '../model/refusal.ts'
import type { Session } from '../model/session.ts'
import type { Traced } from '../tracing.ts'
import type { Conversation, Line } from './conversation.ts'
import { DeviceConversation } from './device-conversation.ts'
import type { ConnectPacket } from './packets.ts'
import type { MqttParts } from './parts.ts'
import { ProvisioningConversation } from './provisioning.ts'
import { messageOf } from './publish.ts'
import { DeviceTopics } from './topics.ts'
import { claimedIdentity, parseUserName } from './user-name.ts'
import type { UserName } from './user-name.ts'
import type { DeviceMessage } from '../model/message.ts'

/** A CONNECT that is being judged. */
interface Attempt {
  readonly packet: ConnectPacket
  readonly peer: Peer
  readonly line: Line
  readonly parts: MqttParts
  readonly span: Traced
}

/**
 * The road from CONNECT to a conversation: who is it by its own word, does it prove that, and what does it talk to.
 * @throws HubError, recorded as a refusal; the head turns it into a CONNACK code.
 */
export async function openConversation(attempt: Attempt): Promise<Conversation> {
  const who = readUserName(attempt)
  const token = readToken(attempt.packet)
  return who.kind === 'hub' ? openHub(attempt, who, token) : openProvisioning(attempt, who, token)
}

async function openHub(
  attempt: Attempt,
  { host, deviceId, moduleId, modelId }: UserName & { kind: 'hub' },
  token: string | null,
): Promise<Conversation> {
  const { line, peer, parts, span } = attempt
  const topics = new DeviceTopics(deviceId, moduleId)
  const will = readWill(attempt, topics)
  const device = await parts.door.device({ host, deviceId, moduleId, token, modelId }, peer)
  const session = sessionOf(device, attempt)
  span.note({ 'holdfast.hub': session.hub, 'holdfast.session.id': session.id })
  parts.sessions.open(session)
  return new DeviceConversation({ device, session, topics, will, line, parts })
}

async function openProvisioning(
  attempt: Attempt,
  { scope, registrationId }: UserName & { kind: 'provisioning' },
  token: string | null,
): Promise<Conversation> {
  const { line, peer, parts } = attempt
  const registration = await parts.registrar.authenticate({ scope, registrationId, token }, peer)
  const holder = registration.heldUntil((reason) => line.close(reason))
  parts.holders.hold(holder)
  return new ProvisioningConversation({ registration, holder, line, parts })
}

function readUserName(attempt: Attempt): UserName {
  const { packet, parts } = attempt
  // [MQTT-3.1.3-8]; an empty id with a clean session would be given one by a broker, but here an id is an identity.
  if (packet.clientId === '') {
    refuse(attempt, 'client-id-mismatch', 'The client id is empty; it must be the device id or registration id.')
    throw new HubError('format-invalid', 'The client id is empty.')
  }
  const who = parseUserName(packet.userName ?? '', packet.clientId, (host) => parts.hubs.byHost(host) !== null)
  if (who !== null) return who
  throw refuse(attempt, 'client-id-mismatch', mismatchOf(packet.userName ?? '', packet.clientId))
}

function mismatchOf(userName: string, clientId: string): string {
  const expected = `{host}/${clientId}/?api-version=… nor {id scope}/registrations/${clientId}/api-version=…`
  const [, id = '', registration] = userName.split('/')
  const named = id === 'registrations' && registration !== undefined ? registration : id
  const isCase = named !== clientId && named.toLowerCase() === clientId.toLowerCase()
  const difference = isCase ? `: '${named}' and '${clientId}' differ in case only` : ''
  return `The user name '${userName}' is not ${expected}${difference}.`
}

/** An empty password is what some clients send who have a certificate instead. */
function readToken({ password }: ConnectPacket): string | null {
  return password === null || password.length === 0 ? null : password.toString('utf8')
}

/** A will is a telemetry message of the device itself, sent in advance. */
function readWill(attempt: Attempt, topics: DeviceTopics): DeviceMessage | null {
  const { will } = attempt.packet
  if (will === null) return null
  const bag = topics.bagOf(will.topic)
  if (bag === null || will.qos === 2) {
    throw refuse(
      attempt,
      'request-malformed',
      `The will must be a QoS 0 or 1 message on the device's own telemetry topic; it is QoS ${will.qos} on '${will.topic}'.`,
    )
  }
  const message = messageOf(bag, Buffer.from(will.payload), will.retain)
  return { ...message, application: { ...message.application, 'iothub-MessageType': 'Will' } }
}

function sessionOf(device: AuthenticatedDevice, { line, peer, parts }: Attempt): Session {
  return {
    id: Buffer.from(parts.random.bytes(16)).toString('hex'),
    hub: device.hub,
    deviceId: device.device.deviceId,
    moduleId: device.moduleId,
    openedAt: parts.clock.now(),
    peer,
    path: device.path,
    grounds: device.grounds,
    expiresAt: device.expiresAt,
    asOf: device.asOf,
    // Read only when the device changes.
    get credential() {
      return device.credential
    },
    ...(device.device.duplicates && { duplicates: device.device.duplicates }),
    close: (reason) => line.close(reason),
    probe: (heard) => line.probe(heard),
  }
}

function refuse({ packet, peer, parts }: Attempt, rule: RefusalRule, message: string): RefusedError {
  const identity = claimedIdentity(packet.userName, packet.clientId)
  return parts.refusals.refuse({ ...ofPeer(peer), area: 'connect', hub: null, identity, rule, message }, 'unauthorized')
}
