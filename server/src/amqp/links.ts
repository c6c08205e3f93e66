import type { Connection, EventContext } from 'rhea'
import { HubError } from '../errors.ts'
import type { Door, Principal } from '../hub/door/authenticate.ts'
import type { Holder, Holders, LossReason } from '../hub/holders.ts'
import type { Consumers } from '../hub/telemetry/consumers.ts'
import type { Hubs } from '../hub/hubs.ts'
import type { Log } from '../log.ts'
import type { Peer } from '../model/peer.ts'
import type { Clock } from '../ports/clock.ts'
import type { Registrar } from '../provisioning/register.ts'
import { parseAddress } from './addresses.ts'
import type { LinkAddress } from './addresses.ts'
import { TokenNode } from './cbs.ts'
import { Claims } from './claims.ts'
import { failureOf } from './error-conditions.ts'
import { EventReceiver } from './event-receiver.ts'
import type { EventWire } from './event-receiver.ts'
import { ManagementNode } from './management.ts'
import { ProvisioningLinks } from './provisioning-links.ts'
import { sourceOf } from './receiver-attach.ts'
import { redirectTo } from './redirect.ts'
import { RequestNode } from './request-node.ts'
import { completeAttach, detach } from './rhea.ts'
import type { AmqpFailure, Receiver, Sender } from './rhea.ts'
import type { Login } from './sasl.ts'

export interface LinkParts {
  readonly door: Door
  readonly hubs: Hubs
  readonly consumers: Consumers
  readonly registrar: Registrar
  readonly holders: Pick<Holders, 'hold' | 'release'>
  readonly clock: Clock
  readonly log: Log
  /** Port of the AMQP listener, as told in redirects; asked only once the server listens. */
  readonly port: () => number
}

/** What the links ask of their connection. */
export interface ConnectionControl {
  readonly wire: EventWire
  authenticated(): void
  close(failure: AmqpFailure): void
}

/** Largest message that is announced for either direction; the services announce the same. */
const MAX_MESSAGE_BYTES = 1_048_576

/** The links of one connection: each attach is given to the node that its address names, or refused by a detach. */
export class Links {
  readonly #parts: LinkParts
  readonly #control: ConnectionControl
  readonly #claims: Claims
  readonly #cbs: RequestNode
  readonly #management: RequestNode
  readonly #provisioning: ProvisioningLinks
  /** Bounded by the links of a connection. */
  readonly #readers = new Map<Sender, { readonly path: readonly string[]; readonly receiver: EventReceiver }>()
  readonly #requests = new Map<Receiver, RequestNode | ProvisioningLinks>()
  #login: Login = { kind: 'none' }
  #loginHolder: Holder | null = null
  #closed = false

  constructor(parts: LinkParts, peer: Peer, control: ConnectionControl) {
    this.#parts = parts
    this.#control = control
    this.#claims = new Claims(parts.holders, (reason) => this.#closeUncovered(lossOf(reason)))
    const tokens = new TokenNode(parts, this.#claims, peer, () => control.authenticated())
    const management = new ManagementNode(parts, this.#claims)
    this.#cbs = new RequestNode((request) => tokens.answer(request), parts.log)
    this.#management = new RequestNode((request) => management.answer(request), parts.log)
    this.#provisioning = new ProvisioningLinks(parts, peer, {
      authenticated: () => control.authenticated(),
      lost: (reason) => control.close(failureOf(lossOf(reason))),
    })
  }

  loggedIn(login: Login): void {
    this.#login = login
    if (login.kind !== 'none') this.#control.authenticated()
    if (login.kind === 'registration') this.#provisioning.loggedIn(login.scope, login.who)
    if (login.kind === 'policy') this.#holdLogin(login.principal)
  }

  listen(engine: Connection): void {
    engine.on('sender_open', ({ sender }: EventContext) => sender && this.#attachSender(sender))
    engine.on('receiver_open', ({ receiver }: EventContext) => receiver && this.#attachReceiver(receiver))
    engine.on('sender_close', ({ sender }: EventContext) => sender && this.#closedSender(sender))
    engine.on('receiver_close', ({ receiver }: EventContext) => receiver && this.#requests.delete(receiver))
    engine.on('sender_draining', ({ sender }: EventContext) => sender && this.#readers.get(sender)?.receiver.drain())
    engine.on('message', (context: EventContext) => this.#message(context))
    engine.on('session_close', ({ session }: EventContext) => {
      // rhea tells of links that close, and not of those that go with their session.
      for (const sender of this.#readers.keys()) if (sender.session === session) this.#closedSender(sender)
      for (const receiver of this.#requests.keys()) if (receiver.session === session) this.#requests.delete(receiver)
    })
  }

  wake(): void {
    if (this.#closed) return
    this.#cbs.wake()
    this.#management.wake()
    this.#provisioning.wake()
    for (const { receiver } of this.#readers.values()) receiver.wake()
    this.#rotate()
  }

  /** Readers share one socket, and the first that is woken may fill it: next time it is another's turn. */
  #rotate(): void {
    const [first] = this.#readers
    if (first === undefined || this.#readers.size === 1) return
    this.#readers.delete(first[0])
    this.#readers.set(...first)
  }

  close(): void {
    this.#closed = true
    this.#claims.close()
    this.#provisioning.close()
    if (this.#loginHolder !== null) this.#parts.holders.release(this.#loginHolder)
    for (const { receiver } of this.#readers.values()) receiver.stop()
    this.#readers.clear()
    this.#requests.clear()
  }

  /** The peer wants to receive. */
  #attachSender(sender: Sender): void {
    const address = parseAddress(sender.source?.address)
    try {
      this.#routeSender(sender, address)
    } catch (error) {
      this.#refuse(sender, error)
    }
  }

  #routeSender(sender: Sender, address: LinkAddress): void {
    if (address.kind === 'hub-events') return detach(sender, redirectTo(this.#login, address.rest, this.#parts.port()))
    sender.set_source(sender.source)
    sender.set_target(sender.target)
    completeAttach(sender, { maxMessageSize: MAX_MESSAGE_BYTES })
    switch (address.kind) {
      case 'cbs':
        return this.#cbs.addReplies(sender)
      case 'management':
        return this.#management.addReplies(sender)
      case 'registration':
        return this.#provisioning.addReplies(sender, address)
      case 'partition':
        return this.#openReader(sender, address)
      default:
        throw notServed(address)
    }
  }

  /** The peer wants to send. */
  #attachReceiver(receiver: Receiver): void {
    const address = parseAddress(receiver.target?.address)
    receiver.set_source(receiver.source)
    receiver.set_target(receiver.target)
    completeAttach(receiver, { maxMessageSize: MAX_MESSAGE_BYTES })
    try {
      const node = this.#nodeFor(address)
      if (node instanceof RequestNode) node.addRequests(receiver)
      else if (address.kind === 'registration') node.addRequests(receiver, address)
      this.#requests.set(receiver, node)
    } catch (error) {
      this.#refuse(receiver, error)
    }
  }

  #nodeFor(address: LinkAddress): RequestNode | ProvisioningLinks {
    switch (address.kind) {
      case 'cbs':
        return this.#cbs
      case 'management':
        return this.#management
      case 'registration':
        return this.#provisioning
      default:
        throw notServed(address)
    }
  }

  #message({ receiver, message, delivery }: EventContext): void {
    if (receiver === undefined || delivery === undefined || message === undefined) return
    const node = this.#requests.get(receiver)
    if (node === undefined) return
    if (Buffer.isBuffer(message)) {
      this.#refuse(receiver, new HubError('not-implemented', 'Messages of another format than 0 are not taken here'))
      return
    }
    node.request(message, delivery, receiver).catch((error: unknown) => this.#failed(receiver, error))
  }

  #openReader(sender: Sender, address: Extract<LinkAddress, { kind: 'partition' }>): void {
    const path = [address.entity, 'ConsumerGroups', address.group, 'Partitions', address.partition]
    const hub = this.#claims.hubFor(path, this.#parts.clock.now())
    if (hub === null)
      throw new HubError('unauthorized', `Put a token for 'sb://…/${address.entity}' or a path below it on $cbs first`)
    const { consumers, clock } = this.#parts
    const source = sourceOf(sender, hub, address)
    // Events leave settled, as the service sends them: what counts is the reader's own checkpoint.
    completeAttach(sender, { maxMessageSize: MAX_MESSAGE_BYTES, settled: source.settled })
    const receiver = new EventReceiver(sender, source, { consumers, clock, wire: this.#control.wire })
    this.#readers.set(sender, { path, receiver })
    receiver.run().catch((error: unknown) => this.#failed(sender, error))
  }

  #closedSender(sender: Sender): void {
    this.#readers.get(sender)?.receiver.stop()
    this.#readers.delete(sender)
    this.#cbs.removeReplies(sender)
    this.#management.removeReplies(sender)
  }

  /** A link that was open comes to its end by itself. */
  #failed(link: Sender | Receiver, error: unknown): void {
    if (this.#closed || link.is_closed()) return
    this.#refuse(link, error)
  }

  #refuse(link: Sender | Receiver, error: unknown): void {
    if (!(error instanceof HubError)) this.#parts.log.error({ err: error }, 'amqp link failed')
    if (link.is_sender()) this.#readers.delete(link as Sender)
    detach(link, failureOf(error))
  }

  #holdLogin({ grounds, expiresAt, asOf }: Principal): void {
    const lost = (reason: LossReason): void => {
      this.#login = { kind: 'none' }
      this.#closeUncovered(lossOf(reason))
    }
    this.#loginHolder = { grounds, expiresAt, asOf, lost }
    this.#parts.holders.hold(this.#loginHolder)
  }

  /** Closes what no live token covers any more; a connection without any is closed itself. */
  #closeUncovered(reason: HubError): void {
    const now = this.#parts.clock.now()
    for (const [sender, { path, receiver }] of this.#readers) {
      if (this.#claims.hubFor(path, now) !== null) continue
      receiver.stop()
      this.#refuse(sender, reason)
    }
    if (this.#claims.isEmpty && this.#login.kind === 'none') this.#control.close(failureOf(reason))
  }
}

function lossOf(reason: LossReason): HubError {
  if (reason === 'credential-expired')
    return new HubError('credential-expired', 'What proved this peer has expired and was not renewed')
  return new HubError('unauthorized', 'What proved this peer counts no more: it was renewed, replaced or revoked')
}

function notServed(address: LinkAddress): HubError {
  if (address.kind === 'hub')
    return new HubError(
      'not-implemented',
      'Device and service links of the hub are not served over AMQP here: devices connect by MQTT, services use HTTPS',
    )
  if (address.kind === 'partition')
    return new HubError('forbidden', 'The event stream of a hub can only be read: events come from its devices')
  return new HubError('hub-not-found', 'No node of this server has this address')
}
