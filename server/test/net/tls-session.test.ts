import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { clientCertificateOf, keyExchangeGroupOf } from '../../src/net/tls-session.ts'
import { startListening } from './listening.ts'

test('the group of the key exchange is recorded, post-quantum unless the client cannot', async (t) => {
  const listening = await startListening()
  t.after(() => listening.close())
  for (const [options, group] of [
    [{}, 'X25519MLKEM768'],
    [{ ecdhCurve: 'X25519' }, 'x25519'],
    [{ ecdhCurve: 'P-256' }, 'secp256r1'],
    [{ ecdhCurve: 'P-384' }, 'secp384r1'],
    [{ maxVersion: 'TLSv1.2' }, 'x25519'],
  ] as const) {
    const socket = await listening.dial(options)
    await once(socket, 'data')
    assert.equal(listening.mqtt.accepted.at(-1)?.peer.tls?.group, group)
    socket.destroy()
  }
})

test('a session that does not say, or is cut short, has no group', () => {
  assert.equal(keyExchangeGroupOf(undefined), null)
  assert.equal(keyExchangeGroupOf(Buffer.from('not der')), null)
  const session = Buffer.from('300c020101020203040402b30302', 'hex')
  for (let length = 0; length < session.length; length += 1) {
    assert.doesNotThrow(() => keyExchangeGroupOf(session.subarray(0, length)))
  }
  assert.equal(keyExchangeGroupOf(Buffer.from('3008020101b3030201 1d'.replace(' ', ''), 'hex')), 'x25519')
  assert.equal(keyExchangeGroupOf(Buffer.from('3009020101b30402029999', 'hex')), '0x9999')
})

test('a session holds the certificate that its client proved, byte by byte, or none', () => {
  const session = Buffer.from('300d020101a3033001ffb303020100', 'hex')
  const certificate = clientCertificateOf(session)
  assert.deepEqual(certificate, new Uint8Array([0x30, 0x01, 0xff]))
  session.fill(0)
  assert.deepEqual(certificate, new Uint8Array([0x30, 0x01, 0xff]))
  assert.equal(clientCertificateOf(undefined), null)
  assert.equal(clientCertificateOf(Buffer.from('3008020101b3030201', 'hex')), null)
})
