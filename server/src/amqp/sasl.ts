import { HubError } from '../errors.ts'
import type { Door, Principal } from '../hub/door/authenticate.ts'
import type { HubDefinition, Hubs } from '../hub/hubs.ts'
import { ofPeer } from '../hub/refusals/refusals.ts'
import type { Refusals } from '../hub/refusals/refusals.ts'
import type { Peer } from '../model/peer.ts'
import type { AuthenticatedRegistration } from '../provisioning/authenticate-registration.ts'
import type { Registrar } from '../provisioning/register.ts'

/** A login with a password may carry a token of 4 kB; AMQP's 512 bytes (§5.3.1) would not hold some real ones. */
export const MAX_SASL_FRAME = 8_192

export const SASL_HEADER = Buffer.from([0x41, 0x4d, 0x51, 0x50, 3, 1, 0, 0])
export const AMQP_HEADER = Buffer.from([0x41, 0x4d, 0x51, 0x50, 0, 1, 0, 0])

/** Offered in the order of the service. All but PLAIN say nothing: a certificate or a token on `$cbs` does later. */
const MECHANISMS = ['EXTERNAL', 'MSSBCBS', 'ANONYMOUS', 'PLAIN']

/** Outcome codes (AMQP 1.0 §5.3.3.6). */
export const SASL_OK = 0
export const SASL_AUTH = 1
export const SASL_SYS = 2

/** What a login proved. */
export type Login =
  | { readonly kind: 'none' }
  | { readonly kind: 'registration'; readonly scope: string; readonly who: AuthenticatedRegistration }
  | { readonly kind: 'policy'; readonly hub: HubDefinition; readonly principal: Principal }

export interface SaslParts {
  readonly door: Door
  readonly hubs: Hubs
  readonly refusals: Refusals
  readonly registrar: Registrar
}

/** Judges a sasl-init; rejects with HubError when the login is refused. */
export async function logIn(
  mechanism: string,
  response: Buffer | undefined,
  parts: SaslParts,
  peer: Peer,
): Promise<Login> {
  switch (mechanism) {
    case 'ANONYMOUS':
    case 'MSSBCBS':
    case 'EXTERNAL':
      return { kind: 'none' }
    case 'PLAIN':
      return logInPlain(response, parts, peer)
    case 'TPM':
      throw refuse(parts, peer, 'TPM attestation is not offered: enrol an X.509 certificate or a symmetric key.')
    default:
      throw refuse(parts, peer, `The SASL mechanism must be one of ${MECHANISMS.join(', ')}.`)
  }
}

async function logInPlain(response: Buffer | undefined, parts: SaslParts, peer: Peer): Promise<Login> {
  const [, user, password, ...rest] = response?.toString('utf8').split('\0') ?? []
  if (user === undefined || password === undefined || rest.length > 0)
    throw refuse(parts, peer, 'A PLAIN response has the form authzid NUL user NUL password (RFC 4616 §2).')
  const registration = /^([^/]{1,64})\/registrations\/([^/]{1,256})$/i.exec(user)
  if (registration?.[1] !== undefined && registration[2] !== undefined) {
    const [, scope, registrationId] = registration
    const who = await parts.registrar.authenticate({ scope, registrationId, token: password }, peer)
    return { kind: 'registration', scope, who }
  }
  const policy = /^([^@]{1,128})@sas\.root\.([^@]{1,63})$/i.exec(user)
  if (policy?.[2] !== undefined) return logInPolicy(policy[2], password, parts, peer)
  throw refuse(parts, peer, 'The user must be {idScope}/registrations/{registrationId} or {policy}@sas.root.{hub}.')
}

/** The policy that counts is the one that signed the token; the user name only says which hub is meant. */
async function logInPolicy(hubName: string, token: string, parts: SaslParts, peer: Peer): Promise<Login> {
  const hub = parts.hubs.all().find(({ name }) => name === hubName.toLowerCase())
  const [host] = hub?.hosts ?? []
  if (hub === undefined || host === undefined)
    throw refuse(parts, peer, 'No hub of this server has the name in the user.')
  const principal = await parts.door.service(host, token, 'ServiceConnect', peer, 'messages/events')
  return { kind: 'policy', hub, principal }
}

function refuse({ refusals }: SaslParts, peer: Peer, message: string): HubError {
  const draft = {
    area: 'connect',
    hub: null,
    ...ofPeer(peer),
    identity: '',
    rule: 'protocol-violation',
    message,
  } as const
  refusals.record(draft)
  // Nothing secret is in these texts, and whoever writes a client needs to read them.
  return new HubError('unauthorized', message)
}

/** sasl-mechanisms (AMQP 1.0 §5.3.3.1): a list of one array of symbols. */
export function mechanismsFrame(): Buffer {
  const names = MECHANISMS.map((name) => Buffer.concat([Buffer.from([name.length]), Buffer.from(name, 'ascii')]))
  const elements = Buffer.concat(names)
  const array = Buffer.concat([Buffer.from([0xe0, elements.length + 2, MECHANISMS.length, 0xa3]), elements])
  return saslFrame(Buffer.concat([Buffer.from([0x00, 0x53, 0x40, 0xc0, array.length + 1, 1]), array]))
}

/** sasl-outcome (AMQP 1.0 §5.3.3.6) with a text for whoever reads traces. */
export function outcomeFrame(code: number, text: string): Buffer {
  const data = Buffer.from(text, 'utf8').subarray(0, 240)
  return saslFrame(
    Buffer.concat([Buffer.from([0x00, 0x53, 0x44, 0xc0, data.length + 5, 2, 0x50, code, 0xa0, data.length]), data]),
  )
}

function saslFrame(body: Buffer): Buffer {
  const header = Buffer.from([0, 0, 0, 0, 2, 1, 0, 0])
  header.writeUInt32BE(8 + body.length)
  return Buffer.concat([header, body])
}
