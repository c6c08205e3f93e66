import type { AddressInfo } from 'node:net'
import { createServer } from 'node:tls'

/**
 * The least that a Node server can do: TLS with a client certificate that it asks for and does not look at, and four
 * bytes of CONNACK for whatever comes. Arguments: certificate and key as PEM. Prints its port.
 */
const [cert, key] = process.argv.slice(2)
const server = createServer({ cert, key, ca: [], requestCert: true, rejectUnauthorized: false, noDelay: true })
server.on('secureConnection', (socket) => {
  socket.on('error', () => socket.destroy())
  socket.once('data', () => socket.write(Buffer.from([0x20, 0x02, 0x00, 0x00])))
})
server.on('tlsClientError', () => {})
server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => {
  process.stdout.write(`${JSON.stringify({ port: (server.address() as AddressInfo).port })}\n`)
})
