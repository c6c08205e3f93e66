import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { SecureVersion } from 'node:tls'
import { DOMAIN } from '../e2e/host-names.ts'
import { HUB, HUB_HOST, startWholeServer } from '../e2e/whole-server.ts'
import type { WholeServer } from '../e2e/whole-server.ts'
import { makeDevice, makeIntermediate, makeRoot } from '../http/certificates.ts'
import type { TestAuthority, TestIdentity } from '../http/certificates.ts'
import { attempt } from './attack-client.ts'
import type { Outcome } from './attack-client.ts'

const OTHER_HUB = 'depot'
const OTHER_HOST = `depot.${DOMAIN}`
const NOT_AUTHORIZED = 5
const HOUR = 60 * 60 * 1000

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  describe(`a resumed ${version} session lets in nobody whom a full connect would not`, () => {
    let server: WholeServer
    let root: TestAuthority
    let intermediate: TestAuthority
    before(async () => {
      server = await startWholeServer({
        hubs: [
          { name: HUB, hosts: [HUB_HOST] },
          { name: OTHER_HUB, hosts: [OTHER_HOST] },
        ],
      })
      root = await makeRoot('Resumption root')
      intermediate = await makeIntermediate(root, 'Resumption intermediate')
      await server.operator.registerAuthority(HUB, 'resumption', root)
    })
    after(() => server.close())

    async function enroll(deviceId: string, parent = intermediate, chain = [intermediate]): Promise<TestIdentity> {
      await server.operator.createDevice(HUB, deviceId)
      return makeDevice(parent, deviceId, chain)
    }

    async function connect(deviceId: string, tls: object, host = HUB_HOST): Promise<Outcome> {
      const options = { ca: server.operator.ca, ...onlyVersion(version), ...tls }
      const outcome = await attempt({ port: server.ports.mqtt, host, deviceId, tls: options })
      outcome.socket.destroy()
      return outcome
    }

    /** A full connect that is let in; returns what resumes it. */
    async function first(deviceId: string, { cert, key }: TestIdentity): Promise<{ session: Buffer }> {
      const { code, resumed, session } = await connect(deviceId, { cert, key })
      assert.deepEqual({ code, resumed }, { code: 0, resumed: false })
      assert.ok(session)
      return { session }
    }

    function revoke(target: object): Promise<unknown> {
      return server.operator.call('POST', `/holdfast/v1/hubs/${HUB}/revocations`, {
        reason: 'keyCompromise',
        ...target,
      })
    }

    test('and lets in whom it would, by the chain of the first handshake', async () => {
      const ticket = await first('plain', await enroll('plain'))
      for (let again = 0; again < 3; again += 1) {
        const { code, resumed } = await connect('plain', ticket)
        assert.deepEqual({ code, resumed }, { code: 0, resumed: true })
      }
    })

    test('not as another device', async () => {
      const ticket = await first('honest', await enroll('honest'))
      await enroll('victim')
      refused(await connect('victim', ticket))
    })

    test('not after the device is disabled, and again when it is enabled', async () => {
      const ticket = await first('disabled', await enroll('disabled'))
      await server.operator.setStatus(HUB, 'disabled', 'disabled')
      refused(await connect('disabled', ticket))
      await server.operator.setStatus(HUB, 'disabled', 'enabled')
      assert.equal((await connect('disabled', ticket)).code, 0)
    })

    test('not at another hub of the server, by whichever server name', async () => {
      const ticket = await first('traveller', await enroll('traveller'))
      await server.operator.createDevice(OTHER_HUB, 'traveller')
      refused(await connect('traveller', { ...ticket, servername: HUB_HOST }, OTHER_HOST))
      const elsewhere = await connect('traveller', ticket, OTHER_HOST)
      assert.deepEqual([elsewhere.code, elsewhere.resumed], [NOT_AUTHORIZED, false])
    })

    test('not after the device or its intermediate is revoked', async () => {
      const own = await makeIntermediate(root, 'Resumption intermediate to revoke')
      const ticket = await first('revoked', await enroll('revoked', own, [own]))
      const other = await first('revoked-device', await enroll('revoked-device'))
      await revoke({ certificate: own.der.toString('base64') })
      await revoke({ device: 'revoked-device' })
      refused(await connect('revoked', ticket))
      refused(await connect('revoked-device', other))
    })

    test('a refused session gives a ticket that is good for nothing', async () => {
      const stranger = await makeRoot('Unregistered root')
      const { cert, key } = await makeDevice(stranger, 'plain')
      const { code, session } = await connect('plain', { cert, key })
      assert.equal(code, NOT_AUTHORIZED)
      assert.ok(session)
      refused(await connect('plain', { session }))
      // Nor does a good certificate help that is only shown, never asked for.
      const good = await makeDevice(intermediate, 'plain', [intermediate])
      refused(await connect('plain', { session, cert: good.cert, key: good.key }))
    })

    test('a session without a certificate gains none', async () => {
      const { session } = await connect('plain', {})
      assert.ok(session)
      const good = await makeDevice(intermediate, 'plain', [intermediate])
      refused(await connect('plain', { session, cert: good.cert, key: good.key }))
    })

    test('not after the certificate expired', async () => {
      const soon = await makeDevice(intermediate, 'mortal', [intermediate], HOUR)
      await server.operator.createDevice(HUB, 'mortal')
      const ticket = await first('mortal', soon)
      assert.equal((await connect('mortal', ticket)).code, 0)
      // The last second of its validity counts whole (RFC 5280 §4.1.2.5).
      server.skew = HOUR + 1_000
      try {
        refused(await connect('mortal', ticket))
      } finally {
        server.skew = 0
      }
    })

    test('no ticket outlives the process', async () => {
      const ticket = await first('restarted', await enroll('restarted'))
      await server.restart()
      const { resumed, code } = await connect('restarted', ticket)
      assert.deepEqual({ resumed, code }, { resumed: false, code: NOT_AUTHORIZED })
    })

    test('not after the CA is deleted', async () => {
      const ticket = await first('orphan', await enroll('orphan'))
      const path = `/subscriptions/any/resourceGroups/any/providers/Microsoft.Devices/IotHubs/${HUB}/certificates/resumption`
      const { etag } = await server.operator.call<{ etag: string }>('GET', path)
      await server.operator.call('DELETE', path, undefined, { 'if-match': etag })
      refused(await connect('orphan', ticket))
    })
  })
}

function onlyVersion(version: SecureVersion): { minVersion: SecureVersion; maxVersion: SecureVersion } {
  return { minVersion: version, maxVersion: version }
}

function refused({ code, resumed }: Outcome): void {
  assert.deepEqual({ code, resumed }, { code: NOT_AUTHORIZED, resumed: true })
}
