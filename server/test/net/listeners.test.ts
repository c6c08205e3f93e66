import { randomBytes } from 'node:crypto'
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request as httpsRequest } from 'node:https'
import { connect, createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { networkInterfaces } from 'node:os'
import { after, before, describe, test } from 'node:test'
import { HubError } from '../../src/errors.ts'
import { Metrics } from '../../src/metrics.ts'
import { CHAIN_BUDGET } from '../../src/net/peer.ts'
import { listen } from '../../src/net/listen.ts'
import { Listeners } from '../../src/net/listeners.ts'
import { makeDevice, makeIntermediate, makeRoot, makeServer } from '../http/certificates.ts'
import type { TestAuthority } from '../http/certificates.ts'
import { closeOf, EchoHead, startListening, TEST_LIMITS } from './listening.ts'
import type { Listening } from './listening.ts'

const hasIpv6 = Object.values(networkInterfaces()).some((addresses) =>
  addresses?.some(({ address }) => address === '::1'),
)

describe('TLS listeners', () => {
  let listening: Listening
  before(async () => {
    listening = await startListening({ plainAmqp: true })
    listening.listeners.https.on('request', (_request, response) => response.end('ok'))
  })
  after(() => listening.close())

  test('show the head the chain as it was sent, in order, without judging it', async () => {
    const root = await makeRoot('Unknown root')
    const lower = await makeIntermediate(root, 'Unknown intermediate')
    const device = await makeDevice(lower, 'dev1', [lower, root])
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      const socket = await listening.dial({ cert: device.cert, key: device.key, maxVersion })
      await once(socket, 'data')
      const { peer } = listening.mqtt.accepted.at(-1)!
      assert.deepEqual(
        peer.chain.map((der) => Buffer.from(der)),
        [device.der, lower.der, root.der],
      )
      assert.equal(peer.protocol, 'mqtt')
      assert.equal(peer.tls?.version, maxVersion)
      assert.equal(peer.tls?.serverName, 'localhost')
      assert.match(peer.tls?.cipher ?? '', /GCM|CHACHA20/)
      assert.equal(peer.address, '127.0.0.1')
      assert.equal(peer.port, socket.localPort)
      socket.destroy()
    }
  })

  test('ask for a client certificate and do not require one', async () => {
    const socket = await listening.dial({ port: listening.ports.amqps! })
    assert.equal(String((await once(socket, 'data'))[0]), 'hello')
    assert.deepEqual(listening.amqp.accepted.at(-1)?.peer.chain, [])
    socket.destroy()
  })

  test('refuse a chain over its budget', async () => {
    const root = await makeRoot('Long root')
    const chain: TestAuthority[] = []
    for (let depth = 0; depth < CHAIN_BUDGET.certificates; depth += 1) {
      chain.unshift(await makeIntermediate(chain[0] ?? root, `Level ${depth}`))
    }
    const [innermost = root] = chain
    const device = await makeDevice(innermost, 'dev1', chain)
    const accepted = listening.mqtt.accepted.length
    for (const [protocol, port] of [
      ['mqtt', listening.ports.mqtts],
      ['https', listening.ports.https],
    ] as const) {
      const socket = await listening.dial({ cert: device.cert, key: device.key, port: port! })
      socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
      let answer = ''
      socket.on('data', (chunk) => (answer += String(chunk)))
      await closeOf(socket)
      assert.equal(answer, '')
      const { rule, protocol: refused } = listening.refusals.at(-1)!
      assert.deepEqual([rule, refused], ['request-too-large', protocol])
    }
    assert.equal(listening.mqtt.accepted.length, accepted)
  })

  test('speak nothing older than TLS 1.2 and no suite without ECDHE and AEAD, and say so to the operator', async () => {
    const old = { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT:@SECLEVEL=0' } as const
    await assert.rejects(listening.dial(old))
    await assert.rejects(listening.dial({ maxVersion: 'TLSv1.2', ciphers: 'AES128-GCM-SHA256' }))
    await assert.rejects(listening.dial({ maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-SHA' }))
    const codes = listening.refusals.filter(({ area }) => area === 'tls').map(({ evidence }) => evidence['code'])
    assert.ok(codes.includes('ERR_SSL_UNSUPPORTED_PROTOCOL'), codes.join())
    assert.ok(codes.includes('ERR_SSL_NO_SHARED_CIPHER'), codes.join())
  })

  test('survive garbage on every port and keep serving', async () => {
    const { mqtts, https, amqps } = listening.ports
    const floods = [mqtts, https, amqps].flatMap((port) =>
      Array.from({ length: 10 }, async (_, index) => {
        const socket = connect(port!, '127.0.0.1')
        const closed = closeOf(socket.resume())
        await once(socket, 'connect')
        if (index % 3 === 0) socket.write(Buffer.alloc(4096, index))
        else if (index % 3 === 1) socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
        else socket.resetAndDestroy()
        await closed
      }),
    )
    await Promise.all(floods)
    const socket = await listening.dial()
    assert.equal(String((await once(socket, 'data'))[0]), 'hello')
    socket.destroy()
    await once(socket, 'close')
  })

  test('survive an accept that fails', async () => {
    listening.listeners.https.emit('error', new Error('accept EMFILE'))
    const { values } = await listening.metrics.rejectedConnections.get()
    assert.equal(values.find(({ labels }) => labels['limit'] === 'accept')?.value, 1)
  })

  test('serve HTTPS beside, where a request ends the probation', async () => {
    const request = httpsRequest({
      host: '127.0.0.1',
      servername: 'localhost',
      port: listening.ports.https!,
      ca: listening.root.pem,
    })
    request.end()
    const [response] = await once(request, 'response')
    assert.equal(response.statusCode, 200)
    response.resume()
    await once(response, 'end')
  })

  test('open plain AMQP on loopback without claiming any proof', async () => {
    const socket = connect(listening.ports.amqp!, '127.0.0.1')
    assert.equal(String((await once(socket, 'data'))[0]), 'hello')
    const { peer } = listening.amqp.accepted.at(-1)!
    assert.equal(peer.protocol, 'amqp-plain')
    assert.equal(peer.tls, null)
    assert.deepEqual(peer.chain, [])
    socket.destroy()
  })

  test('present a new certificate to new connections and keep the old ones', async () => {
    const before = await listening.dial()
    const root = await makeRoot('Second root')
    const server = await makeServer(root, ['localhost'])
    listening.listeners.present([{ certificates: server.cert, key: server.key }])
    const renewed = await listening.dial({ ca: root.pem })
    await assert.rejects(listening.dial(), { code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' })
    before.write('still here')
    const [answer] = await once(before, 'data')
    assert.match(String(answer), /hello|still here/)
    assert.throws(
      () => listening.listeners.present([{ certificates: server.cert, key: 'not a key' }]),
      (error: unknown) => error instanceof HubError && /private key/.test(error.message),
    )
    before.destroy()
    renewed.destroy()
  })
})

test('a port that is taken is named with its remedies, and nothing stays open', async () => {
  const first = await startListening()
  const server = await makeServer(first.root, ['localhost'])
  const second = new Listeners({
    host: '127.0.0.1',
    ports: { mqtts: 0, https: first.ports.https, amqps: null, amqp: null },
    material: [{ certificates: server.cert, key: server.key }],
    random: { bytes: randomBytes },
    limits: TEST_LIMITS,
    heads: { mqtt: new EchoHead(), amqp: new EchoHead() },
    metrics: new Metrics(),
    onRefusal: () => {},
  })
  await assert.rejects(second.start(), (error: unknown) => {
    assert.ok(error instanceof HubError)
    assert.match(error.message, new RegExp(`port ${first.ports.https}.*--https-port`))
    return true
  })
  await first.close()
})

test('closing stops accepting, lets connections finish and destroys those that do not', async () => {
  const listening = await startListening()
  const socket = await listening.dial()
  await once(socket, 'data')
  const closing = listening.listeners.close(200)
  await assert.rejects(listening.dial(), { code: 'ECONNREFUSED' })
  const closed = closeOf(socket)
  await closing
  await closed
  assert.equal(listening.listeners.admission.openCount, 0)
})

test('localhost is both loopback addresses, at one port', async (t) => {
  const listening = await startListening({ host: 'localhost' })
  t.after(() => listening.close())
  for (const port of [listening.ports.mqtts!, listening.ports.amqps!, listening.ports.https!]) {
    for (const host of hasIpv6 ? ['127.0.0.1', '::1'] : ['127.0.0.1']) {
      const socket = await listening.dial({ host, port })
      socket.destroy()
    }
  }
  await listening.close()
  for (const host of ['127.0.0.1', '::1']) await assert.rejects(listening.dial({ host }))
})

test('a port that is taken on one loopback address only is not free', async (t) => {
  if (!hasIpv6) return t.skip('this machine has no IPv6 loopback address')
  const other = createServer()
  await new Promise<void>((resolve) => {
    other.listen(0, '::1', resolve)
  })
  t.after(() => other.close())
  const { port } = other.address() as AddressInfo
  const taken = listen(createServer(), { host: 'localhost', port, option: '--mqtt-port' })
  await assert.rejects(taken, /Another program listens on localhost port/)
})
