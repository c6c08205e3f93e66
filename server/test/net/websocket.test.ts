import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, describe, test } from 'node:test'
import { WebSocket } from 'ws'
import { makeDevice, makeRoot } from '../http/certificates.ts'
import { closeOf, startListening } from './listening.ts'
import type { Listening } from './listening.ts'

async function statusOf(socket: WebSocket): Promise<number> {
  socket.on('error', () => {})
  const [, response] = await once(socket, 'unexpected-response')
  response.resume()
  return response.statusCode
}

describe('WebSocket upgrades', () => {
  let listening: Listening
  before(async () => {
    listening = await startListening()
    listening.listeners.https.on('request', (_request, response) => response.writeHead(404).end())
  })
  after(() => listening.close())

  function dial(path: string, protocols: string[], options: object = {}): WebSocket {
    const url = `wss://localhost:${listening.ports.https}${path}`
    return new WebSocket(url, protocols, { ca: listening.root.pem, ...options })
  }

  for (const [path, protocol, head] of [
    ['/$iothub/websocket', 'mqtt', 'mqtt'],
    ['/$iothub/websocket?iothub-no-client-cert=true', 'MQTT', 'mqtt'],
    ['/$iothub/websocket', 'AMQPWSB10', 'amqp'],
    ['/$servicebus/websocket', 'AmqpWsB10', 'amqp'],
    ['/$servicebus/websocket/', 'AMQPWSB10', 'amqp'],
    ['/%24iothub/websocket', 'mqtt', 'mqtt'],
  ] as const) {
    test(`${path} with ${protocol} reaches the ${head} head and echoes the spelling`, async () => {
      const socket = dial(path, ['unknown', protocol])
      const [greeting] = await once(socket, 'message')
      assert.equal(String(greeting), 'hello')
      assert.equal(socket.protocol, protocol)
      assert.equal(listening[head].accepted.at(-1)?.peer.protocol, `${head}-ws`)
      socket.send(Buffer.from('abc'))
      assert.equal(String((await once(socket, 'message'))[0]), 'abc')
      socket.close()
      await once(socket, 'close')
    })
  }

  test('the peer carries the chain of the TLS connection', async () => {
    const device = await makeDevice(await makeRoot('Device root'), 'dev1')
    const socket = dial('/$iothub/websocket', ['mqtt'], { cert: device.cert, key: device.key })
    await once(socket, 'message')
    assert.equal(listening.mqtt.accepted.at(-1)?.peer.chain.length, 1)
    socket.terminate()
  })

  test('an unknown path is 404, an unknown or missing sub-protocol 400', async () => {
    assert.equal(await statusOf(dial('/elsewhere', ['mqtt'])), 404)
    assert.equal(await statusOf(dial('/constructor', ['mqtt'])), 404)
    assert.equal(await statusOf(dial('/$iothub/websocket', ['xmpp'])), 400)
    assert.equal(await statusOf(dial('/$iothub/websocket', ['constructor'])), 400)
    assert.equal(await statusOf(dial('/$servicebus/websocket', ['mqtt'])), 400)
    assert.equal(await statusOf(dial('/$iothub/websocket', [])), 400)
  })

  test('a text frame and a frame over the limit end the connection', async () => {
    for (const [data, code] of [
      ['text', 1003],
      [Buffer.alloc(600 * 1024), 1009],
    ] as const) {
      const socket = dial('/$iothub/websocket', ['mqtt'])
      await once(socket, 'open')
      socket.send(data)
      const [reason] = await once(socket, 'close')
      assert.equal(reason, code)
    }
  })

  test('a head that does not read stops the sender', async () => {
    const socket = dial('/$iothub/websocket', ['mqtt'])
    await once(socket, 'message')
    const { stream } = listening.mqtt.accepted.at(-1)!
    stream.removeAllListeners('data')
    stream.pause()
    const chunk = Buffer.alloc(128 * 1024, 1)
    for (let count = 0; count < 400; count += 1) socket.send(chunk)
    // 50 MB are on their way; what we hold of them is the stream's own window, the rest waits at the client.
    for (let turn = 0; turn < 50; turn += 1) await new Promise(setImmediate)
    assert.ok(stream.readableLength <= 64 * 1024 + chunk.length, `${stream.readableLength} bytes are held`)
    assert.ok(socket.bufferedAmount > 10 * 1024 * 1024)
    let received = 0
    stream.on('data', (data: Buffer) => (received += data.length))
    stream.resume()
    while (received < 400 * chunk.length) await once(stream, 'data')
    socket.terminate()
  })

  test('what was sent before the close is read, however late', async () => {
    const socket = dial('/$iothub/websocket', ['mqtt'])
    await once(socket, 'message')
    const { stream } = listening.mqtt.accepted.at(-1)!
    stream.removeAllListeners('data')
    stream.pause()
    socket.send(Buffer.from('last words'))
    socket.close()
    await closeOf(socket)
    const closed = closeOf(stream)
    const chunks: Buffer[] = []
    stream.on('data', (chunk: Buffer) => chunks.push(chunk))
    stream.resume()
    await closed
    assert.equal(String(Buffer.concat(chunks)), 'last words')
  })

  test('the end of either side ends the other', async () => {
    const socket = dial('/$iothub/websocket', ['mqtt'])
    await once(socket, 'message')
    const closed = closeOf(socket)
    listening.mqtt.accepted.at(-1)!.stream.end('bye')
    const [last] = await once(socket, 'message')
    assert.equal(String(last), 'bye')
    await closed
    const other = dial('/$iothub/websocket', ['mqtt'])
    await once(other, 'message')
    const { stream } = listening.mqtt.accepted.at(-1)!
    other.terminate()
    await closeOf(stream)
  })
})
