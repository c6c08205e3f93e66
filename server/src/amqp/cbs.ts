import type { Door } from '../hub/door/authenticate.ts'
import type { EventStream, Hubs } from '../hub/hubs.ts'
import { HubError } from '../errors.ts'
import { parseHubName, printable } from '../model/ids.ts'
import type { Peer } from '../model/peer.ts'
import { pathSegments } from './addresses.ts'
import type { Claims } from './claims.ts'
import type { Reply } from './request-node.ts'
import type { Message } from './rhea.ts'

const TOKEN_TYPES = ['servicebus.windows.net:sastoken', 'azure-devices.net:sastoken']
const MAX_TOKEN_LENGTH = 4_096

/** The `$cbs` node: takes tokens and adds what they prove to the claims of the connection. */
export class TokenNode {
  readonly #parts: { readonly door: Door; readonly hubs: Hubs }
  readonly #claims: Claims
  readonly #peer: Peer
  readonly #onClaim: () => void

  constructor(parts: { door: Door; hubs: Hubs }, claims: Claims, peer: Peer, onClaim: () => void) {
    this.#parts = parts
    this.#claims = claims
    this.#peer = peer
    this.#onClaim = onClaim
  }

  /** Rejects with HubError when the token is refused. */
  async answer(request: Message): Promise<Reply> {
    const { audience, token } = parsePutToken(request)
    const path = pathSegments(audience)
    const stream = path === null ? null : this.#streamOf(audience, path)
    if (path === null || stream === null)
      throw new HubError('hub-not-found', `No hub of this server has the name in the audience '${printable(audience)}'`)
    const { grounds, expiresAt, asOf } = await this.#parts.door.eventReader(
      stream.hub.name,
      token,
      audience,
      this.#peer,
    )
    this.#onClaim()
    if (!this.#claims.add({ hub: stream.name, path, grounds, expiresAt, asOf }))
      throw new HubError('throttled', 'This connection holds too many tokens: use one for the whole entity')
    return { status: 202, description: 'Accepted' }
  }

  /** The entity of an Event Hubs audience names a stream. */
  #streamOf(audience: string, [entity = '']: readonly string[]): EventStream | null {
    if (!/^(?:sb|amqps?):\/\//i.test(audience))
      throw new HubError(
        'not-implemented',
        'This server takes tokens for its event stream (sb://…) over AMQP: devices connect by MQTT, services use HTTPS',
      )
    try {
      return this.#parts.hubs.stream(parseHubName(entity))
    } catch (error) {
      if (error instanceof HubError) return null
      throw error
    }
  }
}

function parsePutToken({ application_properties: properties = {}, body }: Message): {
  audience: string
  token: string
} {
  const { operation, type, name } = properties as Record<string, unknown>
  if (operation !== 'put-token') throw new HubError('argument-invalid', 'The operation of $cbs is put-token')
  if (typeof type !== 'string' || !TOKEN_TYPES.includes(type))
    throw new HubError('not-implemented', `The token type must be ${TOKEN_TYPES.join(' or ')}`)
  if (typeof name !== 'string' || name.length > 1_024) throw new HubError('argument-invalid', 'The audience is missing')
  if (typeof body !== 'string' || body.length > MAX_TOKEN_LENGTH)
    throw new HubError('argument-invalid', 'The token is missing or too long')
  return { audience: name, token: body }
}
