import type { Server } from 'node:net'
import { HubError } from '../errors.ts'

/** Connections that the kernel holds for us between SYN and accept; a fleet that reconnects arrives at once. */
const BACKLOG = 4096

/**
 * Listens and resolves to the port in use, which differs from the one asked for when that was 0.
 * @throws HubError `argument-invalid` that names the port and the remedies.
 */
export async function listen(server: Server, place: { host: string; port: number; option: string }): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    const failed = (error: NodeJS.ErrnoException) => reject(explain(error, place))
    server.once('error', failed)
    server.listen({ host: place.host, port: place.port, backlog: BACKLOG }, () => {
      server.off('error', failed)
      resolve()
    })
  })
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : place.port
}

function explain(error: NodeJS.ErrnoException, place: { host: string; port: number; option: string }): HubError {
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
