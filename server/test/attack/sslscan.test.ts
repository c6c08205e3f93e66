import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { startWholeServer } from '../e2e/whole-server.ts'
import { without } from '../../../test/foreign-program.ts'

/** What sslscan calls the curves that give less than 128 bits, or that nobody should use any more. */
const WEAK_GROUP = /sect\d|secp(?:1|224)|prime19|brainpool|FFDHE|ffdhe/i

test('sslscan finds TLS 1.2 and 1.3, ECDHE with AEAD, and nothing else', { skip: without('sslscan') }, async (t) => {
  const server = await startWholeServer()
  t.after(() => server.close())
  for (const port of [server.ports.mqtt, server.ports.https, server.ports.amqp]) {
    const xml = await scan(port)
    const elements = (name: string): Record<string, string>[] =>
      [...xml.matchAll(new RegExp(`<${name} ([^>]*?)/?>`, 'g'))].map(([, text = '']) =>
        Object.fromEntries([...text.matchAll(/([\w-]+)="([^"]*)"/g)].map(([, key = '', value = '']) => [key, value])),
      )
    const spoken = elements('protocol').filter(({ enabled }) => enabled === '1')
    assert.deepEqual(spoken.map(({ type, version }) => `${type} ${version}`).toSorted(), ['tls 1.2', 'tls 1.3'])
    const ciphers = elements('cipher')
    assert.ok(ciphers.length >= 5)
    for (const { sslversion, cipher = '' } of ciphers) {
      const isGood =
        sslversion === 'TLSv1.3' ? /^TLS_(?:AES|CHACHA20)_/ : /^ECDHE-(?:ECDSA|RSA)-(?:AES\d+-GCM|CHACHA20-POLY1305)/
      assert.match(cipher, isGood)
    }
    assert.deepEqual(
      elements('group').filter(({ name = '' }) => WEAK_GROUP.test(name)),
      [],
    )
    // It asks only where its own OpenSSL can compress: the next test does in any case.
    assert.ok(elements('compression').every(({ supported }) => supported === '0'))
    assert.deepEqual(
      elements('renegotiation').map(({ supported }) => supported),
      ['0'],
    )
    assert.ok(elements('heartbleed').every(({ vulnerable }) => vulnerable === '0'))
  }
})

test('compression is declined by a server hello that chooses none', async (t) => {
  const server = await startWholeServer()
  t.after(() => server.close())
  const socket = connect(server.ports.mqtt, '127.0.0.1')
  socket.write(helloWithCompression())
  const [answer] = (await once(socket, 'data')) as [Buffer]
  socket.destroy()
  // Record header 5, handshake header 4, version 2, random 32, session id, cipher suite 2 (RFC 5246 §7.4.1.3).
  assert.deepEqual([answer[0], answer[5]], [0x16, 0x02])
  assert.equal(answer[5 + 4 + 2 + 32 + 1 + (answer[43] ?? 0) + 2], 0)
})

/** A TLS 1.2 ClientHello (RFC 5246 §7.4.1.2) that would rather have DEFLATE (RFC 3749) than nothing. */
function helloWithCompression(): Buffer {
  // Groups x25519 and secp256r1; ECDSA and RSA signatures with SHA-256; uncompressed points.
  const extensions = ['000a00060004001d0017', '000d00080006040308040401', '000b00020100'].join('')
  const [suites, compressions] = ['0004c02bc02f', '020100']
  const body = ['0303', '5a'.repeat(32), '00', suites, compressions, sized(extensions, 2)].join('')
  return Buffer.from(`160301${sized(`01${sized(body, 3)}`, 2)}`, 'hex')
}

/** Hex behind its length in so many bytes. */
function sized(hex: string, bytes: number): string {
  return (hex.length / 2).toString(16).padStart(bytes * 2, '0') + hex
}

async function scan(port: number): Promise<string> {
  const options = ['--no-colour', '--no-check-certificate', '--xml=-', `127.0.0.1:${port}`]
  return (await promisify(execFile)('sslscan', options, { maxBuffer: 4 * 1024 * 1024 })).stdout
}
