import { createServer } from 'node:net'
import type { Server } from 'node:net'
import { HubError } from '../errors.ts'

/** Connections that the kernel holds for us between SYN and accept; a fleet that reconnects arrives at once. */
const BACKLOG = 4096

/** Tries for a port that is free on both loopback addresses, when any port will do. */
const ATTEMPTS = 8
/** What the second address of localhost answers on a machine without IPv6. */
const NO_SUCH_FAMILY: ReadonlySet<string | undefined> = new Set(['EADDRNOTAVAIL', 'EAFNOSUPPORT'])

export interface Place {
  /** An address, or `localhost` for both 127.0.0.1 and ::1, whichever of them a client tries first (RFC 6761 §6.3). */
  readonly host: string
  /** 0: any free one. */
  readonly port: number
  /** The option by which the operator chooses another port. */
  readonly option: string
}

export interface Bound {
  readonly port: number
  /** Accepts for the server on the other loopback address. */
  readonly twin: Server | null
}

/**
 * Listens and resolves to the port in use, which differs from the one asked for when that was 0.
 * @throws HubError `argument-invalid` that names the port and the remedies.
 */
export async function listen(server: Server, place: Place): Promise<Bound> {
  try {
    return place.host === 'localhost' ? await bindBoth(server, place.port) : await bindOne(server, place)
  } catch (error) {
    throw explain(error as NodeJS.ErrnoException, place)
  }
}

async function bindOne(server: Server, { host, port }: Pick<Place, 'host' | 'port'>): Promise<Bound> {
  await bind(server, host, port)
  const address = server.address()
  return { port: typeof address === 'object' && address !== null ? address.port : port, twin: null }
}

async function bindBoth(server: Server, wanted: number): Promise<Bound> {
  for (let attempt = 1; ; attempt += 1) {
    const { port } = await bindOne(server, { host: '127.0.0.1', port: wanted })
    const twin = createServer({ noDelay: true }, (socket) => server.emit('connection', socket))
    try {
      await bind(twin, '::1', port)
      return { port, twin }
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (NO_SUCH_FAMILY.has(code)) return { port, twin: null }
      await new Promise((resolve) => server.close(resolve))
      if (wanted !== 0 || code !== 'EADDRINUSE' || attempt === ATTEMPTS) throw error
    }
  }
}

function bind(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host, port, backlog: BACKLOG }, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

function explain(error: NodeJS.ErrnoException, place: Place): HubError {
  const where = `${place.host} port ${place.port}`
  switch (error.code) {
    case 'EACCES':
      return new HubError(
        'argument-invalid',
        `Listening on ${where} is not permitted to this user. Either allow low ports to everyone ` +
          `(sudo sysctl net.ipv4.ip_unprivileged_port_start=${place.port}), or to this Node alone ` +
          `(sudo setcap cap_net_bind_service=+ep ${process.execPath}), or choose another port with ${place.option}.`,
        { cause: error },
      )
    case 'EADDRINUSE':
      return new HubError(
        'argument-invalid',
        `Another program listens on ${where} already. Stop it (ss -ltnp shows which), or choose another port with ${place.option}.`,
        { cause: error },
      )
    case 'EADDRNOTAVAIL':
      return new HubError('argument-invalid', `This machine has no address ${place.host} to listen on.`, {
        cause: error,
      })
    default:
      return new HubError('internal', `Listening on ${where} failed: ${error.message}`, { cause: error })
  }
}
