import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { DOORS } from '../e2e/doors.ts'
import { HUB, HUB_HOST, startWholeServer } from '../e2e/whole-server.ts'
import type { WholeServer } from '../e2e/whole-server.ts'
import { makeDevice, makeIntermediate, makeRoot } from '../http/certificates.ts'
import type { TestAuthority } from '../http/certificates.ts'
import { attempt } from './attack-client.ts'

describe('a chain of ML-DSA-65 from root to device', () => {
  let server: WholeServer
  let root: TestAuthority
  let line: TestAuthority
  before(async () => {
    server = await startWholeServer()
    root = await makeRoot('Post-quantum root', Date.now(), 'ml-dsa-65')
    line = await makeIntermediate(root, 'Post-quantum line')
    // Uploads it and proves possession of its key.
    await server.operator.registerAuthority(HUB, 'pq', root)
    const attestation = { type: 'x509', x509: { caReferences: { primary: 'pq' } } }
    await server.operator.enrollGroup('pq-line', { attestation })
  })
  after(() => server.close())

  for (const door of ['provisioning over HTTPS', 'provisioning over MQTT', 'provisioning over AMQP'] as const) {
    test(`is provisioned: ${door}`, async () => {
      const id = `pq-${door.slice(-5).trim().toLowerCase()}`
      const shown = await makeDevice(line, id, [line])
      const { isIn, told } = await DOORS[door](server, { id, shown })
      assert.equal(isIn, true, told)
    })
  }

  test('connects, by a key exchange that is post-quantum too, and again by its ticket', async () => {
    const deviceId = 'pq-device'
    await server.operator.createDevice(HUB, deviceId)
    const { cert, key } = await makeDevice(line, deviceId, [line])
    const tls = { ca: server.operator.ca, minVersion: 'TLSv1.3' } as const
    const place = { port: server.ports.mqtt, host: HUB_HOST, deviceId }
    const full = await attempt({ ...place, tls: { ...tls, cert, key } })
    assert.equal(full.code, 0)
    assert.equal((full.socket.getEphemeralKeyInfo() as { name?: string }).name, 'X25519MLKEM768')
    full.socket.destroy()
    assert.ok(full.session)
    const resumed = await attempt({ ...place, tls: { ...tls, session: full.session } })
    assert.deepEqual([resumed.code, resumed.resumed], [0, true])
    resumed.socket.destroy()
  })

  test('is refused when nobody registered its root', async () => {
    const other = await makeRoot('Another root', Date.now(), 'ml-dsa-65')
    const { isIn } = await DOORS.hub(server, { id: 'pq-device', shown: await makeDevice(other, 'pq-device') })
    assert.equal(isIn, false)
  })
})
