import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { connect } from 'node:tls'
import { HUB_HOST, startWholeServer } from '../e2e/whole-server.ts'

test('the server shows ECDSA, and RSA to a client that takes nothing else', async (t) => {
  const server = await startWholeServer()
  t.after(() => server.close())
  for (const [options, keyType] of [
    [{}, 'ec'],
    [{ maxVersion: 'TLSv1.2' }, 'ec'],
    [{ maxVersion: 'TLSv1.2', ciphers: 'ECDHE-RSA-AES128-GCM-SHA256' }, 'rsa'],
    [{ maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' }, 'ec'],
  ] as const) {
    const ca = server.operator.ca
    const socket = connect({ port: server.ports.mqtt, host: '127.0.0.1', servername: HUB_HOST, ca, ...options })
    await once(socket, 'secureConnect')
    assert.equal(socket.getPeerX509Certificate()?.publicKey.asymmetricKeyType, keyType, JSON.stringify(options))
    assert.equal(socket.authorized, true)
    socket.destroy()
  }
})
