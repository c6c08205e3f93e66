import assert from 'node:assert/strict'
import type { KeyObject } from 'node:crypto'
import { once } from 'node:events'
import { connect as tlsConnect } from 'node:tls'
import type { TestContext } from 'node:test'
import { encodePem, generateKey, issueDevice, issuerOf, keySigner, parseCertificate, spkiOf } from '@holdfast/pki'
import type { Alarm } from '../../src/model/alarm.ts'
import { DOMAIN } from '../e2e/host-names.ts'
import { startWholeServer } from '../e2e/whole-server.ts'
import { makeRoot } from '../http/certificates.ts'
import type { TestAuthority, TestIdentity } from '../http/certificates.ts'
import { connect, packet, publish } from '../mqtt/packet-bytes.ts'
import { RawClient } from '../mqtt/raw-client.ts'

export const PLANT = 'plant'
export const DEPOT = 'depot'
const DAY_MS = 24 * 60 * 60 * 1000
/** What comes sooner after a probe does not count as a sign of life; the server counts whole seconds. */
const SIGN_OF_LIFE_MS = 500

export type Site = Awaited<ReturnType<typeof openSite>>

/** The whole server with two hubs, and one CA that is verified at both. `settings` are those of the first hub. */
export async function openSite(t: TestContext, settings: object = {}, server: object = {}) {
  const hubs = [
    { name: PLANT, hosts: [`${PLANT}.${DOMAIN}`], partitions: 2, ...settings },
    { name: DEPOT, hosts: [`${DEPOT}.${DOMAIN}`], partitions: 1 },
  ]
  const whole = await startWholeServer({ hubs, ...server })
  t.after(() => whole.close())
  const { operator, ports } = whole
  const root = await makeRoot('Site Root')
  for (const hub of [PLANT, DEPOT]) await operator.registerAuthority(hub, 'root', root)

  return {
    operator,
    ports,
    root,
    restart: () => whole.restart(),
    /** A device that is known by the CA, and its certificate. */
    async device(id: string, hub = PLANT): Promise<TestIdentity> {
      await operator.createDevice(hub, id)
      return makeIdentity(root, id)
    },
    /** A client that has sent its CONNECT. */
    async dial(id: string, identity: TestIdentity, { hub = PLANT, from = '127.0.0.1' } = {}): Promise<RawClient> {
      const servername = `${hub}.${DOMAIN}`
      const { cert, key } = identity
      const options = {
        host: '127.0.0.1',
        port: ports.mqtt,
        localAddress: from,
        servername,
        ca: operator.ca,
        cert,
        key,
      }
      const socket = tlsConnect(options)
      await once(socket, 'secureConnect')
      t.after(() => socket.destroy())
      const client = new RawClient(socket)
      client.send(connect({ clientId: id, userName: `${servername}/${id}/?api-version=2021-04-12` }))
      return client
    },
    /** A client that was let in. */
    async live(id: string, identity: TestIdentity, where: { hub?: string; from?: string } = {}): Promise<RawClient> {
      const client = await this.dial(id, identity, where)
      assert.equal(await returnCode(client), 0)
      return client
    },
    /** The first alarm that fits, as soon as it is raised. */
    async alarm(filter: { kind?: string; subject?: string }): Promise<Alarm> {
      const query = new URLSearchParams({ ...filter, wait: '10', after: '0' })
      const { value } = await operator.call<{ value: Alarm[] }>('GET', `/holdfast/v1/alarms?${query.toString()}`)
      const [alarm] = value
      assert.ok(alarm, `no alarm with ${query.toString()}`)
      return alarm
    },
    async alarms(): Promise<readonly Alarm[]> {
      return (await operator.call<{ value: Alarm[] }>('GET', '/holdfast/v1/alarms')).value
    },
    setPolicy: (id: string, policy: string | null) =>
      operator.call('PUT', `/holdfast/v1/hubs/${PLANT}/devices/${id}/duplicates`, { policy }),
    release: (id: string) =>
      operator.call<{ quarantine: null }>('POST', `/holdfast/v1/hubs/${PLANT}/devices/${id}/release`),
  }
}

export async function returnCode(client: RawClient): Promise<number> {
  const answer = await client.next()
  assert.equal(answer.cmd, 'connack')
  return Reflect.get(answer, 'returnCode') as number
}

/** Sends a message and waits for its acknowledgement. */
export async function report(client: RawClient, id: string): Promise<void> {
  client.send(publish(`devices/${id}/messages/events/`, '{}', { qos: 1, packetId: 7 }))
  assert.equal((await client.next()).cmd, 'puback')
}

/** Pings now and then, as an idle client does, until `stop` is called or the connection ends. */
export function keepAlive(client: RawClient): { stop: () => void } {
  const timer = setInterval(() => client.send(packet(0xc0)), SIGN_OF_LIFE_MS)
  void client.closed.then(() => clearInterval(timer))
  return { stop: () => clearInterval(timer) }
}

export interface IdentityFields {
  readonly key?: KeyObject
  /** The serial number's bytes. */
  readonly random?: (size: number) => Uint8Array
}

export async function makeIdentity(
  parent: TestAuthority,
  id: string,
  { key = generateKey('p256'), random = (size) => crypto.getRandomValues(new Uint8Array(size)) }: IdentityFields = {},
): Promise<TestIdentity & { readonly privateKey: KeyObject }> {
  const issuer = issuerOf(parseCertificate(parent.der), keySigner(parent.key))
  const term = { now: Date.now(), lifetime: 30 * DAY_MS }
  const der = await issueDevice(issuer, { id, spki: spkiOf(key), term }, random)
  return {
    der,
    cert: encodePem('CERTIFICATE', der),
    key: key.export({ type: 'pkcs8', format: 'pem' }),
    privateKey: key,
  }
}

/**
 * One of each thing that a hub tells its security people: a stranger is refused, a device is revoked, a key is found in the
 * hands of two devices. Resolves when all have happened, with what the management API says of them.
 */
export async function makeTrouble(site: Site) {
  const since = await site.operator.refusalsUntilNow()
  const stranger = await site.dial('stranger', await makeIdentity(site.root, 'stranger'))
  assert.equal(await returnCode(stranger), 5)
  const refusal = await site.operator.refusal({ identity: 'stranger' }, since)

  const victim = await site.live('victim', await site.device('victim'))
  const order = { device: 'victim', reason: 'keyCompromise', by: 'Ada' }
  await site.operator.call('POST', `/holdfast/v1/hubs/${PLANT}/revocations`, order)
  await victim.closed

  const original = await makeIdentity(site.root, 'original')
  const clone = await makeIdentity(site.root, 'clone', { key: original.privateKey })
  for (const id of ['original', 'clone']) await site.operator.createDevice(PLANT, id)
  await site.live('original', original)
  await site.live('clone', clone)
  return { refusal, alarm: await site.alarm({ kind: 'key-shared' }) }
}
