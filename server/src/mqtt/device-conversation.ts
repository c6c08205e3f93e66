import { HubError } from '../errors.ts'
import type { AuthenticatedDevice } from '../hub/door/authenticate.ts'
import { aboutSession } from '../log.ts'
import type { DeviceMessage, Position } from '../model/message.ts'
import type { Session } from '../model/session.ts'
import type { JsonObject, TwinSection } from '../model/twin.ts'
import type { Conversation, Ending, Line } from './conversation.ts'
import type { PublishPacket, QoS, SubackCode } from './packets.ts'
import type { MqttParts } from './parts.ts'
import { TelemetryReader } from './publish.ts'
import { Subscriptions } from './subscriptions.ts'
import { parseHubRequest, TWIN_RESPONSES } from './topics.ts'
import type { DeviceTopics } from './topics.ts'
import { MqttViolation } from './violation.ts'

/** Endings after which the device is still trusted and may have something to say by its will [MQTT-3.1.2-8]. */
const WILL_ENDINGS: ReadonlySet<Ending> = new Set(['lost', 'superseded'])

/** A device that talks to its hub. */
export class DeviceConversation implements Conversation {
  readonly #device: AuthenticatedDevice
  readonly #session: Session
  readonly #will: DeviceMessage | null
  readonly #line: Line
  readonly #parts: MqttParts
  readonly #reader: TelemetryReader
  readonly #subscriptions: Subscriptions
  /** Whether each message is a line of the log. */
  readonly #tells: boolean

  constructor(facts: {
    device: AuthenticatedDevice
    session: Session
    topics: DeviceTopics
    will: DeviceMessage | null
    line: Line
    parts: MqttParts
  }) {
    this.#device = facts.device
    this.#session = facts.session
    this.#will = facts.will
    this.#line = facts.line
    this.#parts = facts.parts
    this.#reader = new TelemetryReader(facts.topics)
    this.#tells = facts.parts.log.isLevelEnabled('debug')
    this.#subscriptions = new Subscriptions((filter) => facts.topics.allowsFilter(filter))
  }

  publish(packet: PublishPacket): void {
    const message = this.#reader.read(packet)
    if (message === null) return this.#request(packet)
    const stored = this.#parts.telemetry.send(this.#device, message)
    this.#line.acknowledgeWhen(packet, stored)
    if (this.#tells) this.#tell(stored, message)
  }

  subscribe(filter: string, qos: QoS): SubackCode {
    return this.#subscriptions.add(filter, qos)
  }

  unsubscribe(filter: string): void {
    this.#subscriptions.remove(filter)
  }

  ended(how: Ending): void {
    this.#parts.sessions.end(this.#session)
    if (this.#will === null || !WILL_ENDINGS.has(how)) return
    this.#parts.telemetry.send(this.#device, this.#will).catch((error: unknown) => {
      this.#parts.log.warn({ err: error, ...aboutSession(this.#session) }, 'the will of a device was not stored')
    })
  }

  #tell(stored: Promise<Position>, { body }: DeviceMessage): void {
    const { log } = this.#parts
    const about = { ...aboutSession(this.#session), bytes: body.byteLength }
    stored.then(
      ({ partition, sequence }) => log.debug({ ...about, partition, sequence }, 'a message was stored'),
      (error: unknown) => log.debug({ err: error, ...about }, 'a message was not stored'),
    )
  }

  #request(packet: PublishPacket): void {
    const request = parseHubRequest(packet.topic)
    if (request === null) {
      throw new MqttViolation('MQTT-3.3.5-2', `This client may not publish to '${packet.topic.slice(0, 128)}'`)
    }
    this.#line.acknowledge(packet)
    switch (request.kind) {
      case 'twin-get':
        return this.#line.during(this.#answerTwin(request.requestId))
      case 'reported-patch':
        return this.#answer(501, request.requestId, this.#notOffered())
      case 'method-response':
      // Nobody waits for it: no method is called over this connection, and late responses are dropped.
    }
  }

  async #answerTwin(requestId: string): Promise<void> {
    const { twin } = await this.#parts.devices.get(this.#device.hub, this.#session.deviceId)
    this.#answer(200, requestId, { desired: sectionJson(twin.desired), reported: sectionJson(twin.reported) })
  }

  #answer(status: number, requestId: string, body: JsonObject): void {
    if (this.#subscriptions.qosOf(TWIN_RESPONSES) === null) return
    this.#line.send(`$iothub/twin/res/${status}/?$rid=${requestId}`, Buffer.from(JSON.stringify(body)), 0)
  }

  /** Clients look for `errorCode` in the body, not at the status. */
  #notOffered(): JsonObject {
    const { message } = new HubError('not-implemented', 'This hub does not take reported properties.')
    const timestampUtc = new Date(this.#parts.clock.now()).toISOString()
    return { errorCode: 501000, trackingId: '', message, info: null, timestampUtc }
  }
}

function sectionJson(section: TwinSection): JsonObject {
  return { ...section.values, $version: section.version }
}
