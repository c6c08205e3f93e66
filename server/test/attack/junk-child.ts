import { connect as connectTcp } from 'node:net'
import type { Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { makeDevice, makeRoot } from '../http/certificates.ts'
import { connect as connectPacket } from '../mqtt/packet-bytes.ts'

/**
 * An attacker in a process of its own. Arguments: port, host name, connections a second. From 200 loopback addresses:
 * of ten connections one goes through a whole handshake with a certificate of nobody's and asks to be a device, three
 * send bytes that are no TLS, three say nothing, and three hang up at once.
 */
const [port = '0', host = '', perSecond = '0'] = process.argv.slice(2)
const ADDRESSES = 200
const TICK_MS = 20
const HELD = 3_000

const { cert, key } = await makeDevice(await makeRoot('Root of nobody'), 'fleet-0')
const silent: Socket[] = []
let made = 0

function junk(): void {
  const number = (made += 1)
  const target = { port: Number(port), host: '127.0.0.1', localAddress: `127.0.1.${(number % ADDRESSES) + 1}` }
  const kind = number % 10
  if (kind === 0) {
    const userName = `${host}/fleet-0/?api-version=2021-04-12`
    const socket = connectTls({ ...target, servername: host, rejectUnauthorized: false, cert, key }, () =>
      socket.write(connectPacket({ clientId: 'fleet-0', userName })),
    )
    socket.on('error', () => socket.destroy())
    return
  }
  const socket = connectTcp(target)
  socket.on('error', () => socket.destroy())
  if (kind <= 3) socket.once('connect', () => socket.write(Buffer.alloc(300, number)))
  else if (kind <= 6) socket.once('connect', () => socket.destroy())
  else {
    silent.push(socket)
    if (silent.length > HELD) silent.shift()?.destroy()
  }
}

const started = performance.now()
setInterval(() => {
  const due = ((performance.now() - started) / 1000) * Number(perSecond)
  while (made < due) junk()
}, TICK_MS)
process.on('message', () => process.send?.({ made, seconds: (performance.now() - started) / 1000 }))
process.send?.('ready')
