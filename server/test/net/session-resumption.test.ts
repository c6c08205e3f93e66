import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, describe, test } from 'node:test'
import type { ConnectionOptions, TLSSocket } from 'node:tls'
import { makeDevice, makeIntermediate, makeRoot } from '../http/certificates.ts'
import type { TestAuthority, TestIdentity } from '../http/certificates.ts'
import { startListening } from './listening.ts'
import type { Listening } from './listening.ts'

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  describe(`a resumed session of ${version}`, () => {
    let listening: Listening
    let intermediate: TestAuthority
    before(async () => {
      listening = await startListening()
      intermediate = await makeIntermediate(await makeRoot('Device root'), 'Device intermediate')
    })
    after(() => listening.close())

    const device = (id: string) => makeDevice(intermediate, id, [intermediate])

    /** Connects with a full handshake and returns the session to resume. */
    async function begin(options: ConnectionOptions): Promise<Buffer> {
      const socket = await listening.dial({ minVersion: version, maxVersion: version, ...options })
      assert.equal(socket.isSessionReused(), false)
      const [session] = await Promise.all([sessionOf(socket), once(socket, 'data')])
      socket.destroy()
      return session
    }

    /** Connects with a session; says whether the server took it up. */
    async function resume(options: ConnectionOptions): Promise<boolean> {
      const socket = await listening.dial({ minVersion: version, maxVersion: version, ...options })
      await once(socket, 'data')
      const resumed = socket.isSessionReused()
      socket.destroy()
      return resumed
    }

    test('is served with the chain of the full handshake, certificate by certificate', async () => {
      const identity = await device('dev1')
      const session = await begin(identityOf(identity))
      const full = listening.mqtt.accepted.at(-1)!.peer
      assert.equal(full.tls?.resumed, false)
      const resumed = await resume({ session })
      assert.equal(resumed, true)
      const { peer } = listening.mqtt.accepted.at(-1)!
      assert.equal(peer.tls?.resumed, true)
      assert.deepEqual(
        peer.chain.map((der) => Buffer.from(der)),
        [identity.der, intermediate.der],
      )
    })

    test('without a certificate does not gain one, whatever the client shows now', async () => {
      const session = await begin({})
      const resumed = await resume({ session, ...identityOf(await device('dev2')) })
      const { peer } = listening.mqtt.accepted.at(-1)!
      assert.equal(peer.tls?.resumed, resumed)
      assert.deepEqual(peer.chain.length, resumed ? 0 : 2)
    })

    test('of another server name is not resumed', async () => {
      const session = await begin(identityOf(await device('dev3')))
      const resumed = await resume({ session, servername: '', checkServerIdentity: () => undefined })
      assert.equal(resumed, false)
    })

    test('is not resumed at another port', async () => {
      const session = await begin(identityOf(await device('dev4')))
      const resumed = await resume({ session, port: listening.ports.amqps! })
      assert.equal(resumed, false)
    })

    test('ends when the server certificate is presented anew', async () => {
      const session = await begin(identityOf(await device('dev5')))
      listening.listeners.present(listening.material)
      assert.equal(await resume({ session }), false)
    })

    test('whose chain is forgotten is cut, and the next handshake of that client is a full one', async () => {
      const strangers = await startListening({ passes: false })
      try {
        const dial = (options: ConnectionOptions) =>
          strangers.dial({ minVersion: version, maxVersion: version, ...options })
        const forgotten = identityOf(await device('dev6'))
        const first = await dial(forgotten)
        const [session] = await Promise.all([sessionOf(first), once(first, 'data')])
        first.destroy()
        for (let other = 0; other < 1_024; other += 1)
          strangers.listeners.chains.remember([Buffer.from([other & 255, other >> 8])])
        const second = await dial({ session }).catch(() => null)
        if (second !== null && !second.closed) await once(second.resume(), 'close')
        assert.match(strangers.refusals.at(-1)?.message ?? '', /resumed/)
        const third = await dial({ session, ...forgotten })
        await once(third, 'data')
        assert.equal(third.isSessionReused(), false)
        third.destroy()
      } finally {
        await strangers.close()
      }
    })
  })
}

function identityOf({ cert, key }: TestIdentity): Pick<ConnectionOptions, 'cert' | 'key'> {
  return { cert, key }
}

function sessionOf(socket: TLSSocket): Promise<Buffer> {
  const session = socket.getProtocol() === 'TLSv1.2' ? socket.getSession() : undefined
  if (session !== undefined) return Promise.resolve(session)
  return once(socket, 'session').then(([ticket]) => ticket as Buffer)
}
