import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { Agent, request as httpsRequest } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as tlsConnect } from 'node:tls'
import type { TestContext } from 'node:test'
import { startServer } from '../../src/app.ts'
import { readConfig } from '../../src/config.ts'
import { createLog } from '../../src/log.ts'
import { makeDevice, makeIntermediate, makeRoot } from '../http/certificates.ts'
import type { TestAuthority, TestIdentity } from '../http/certificates.ts'
import { connect } from '../mqtt/packet-bytes.ts'
import { RawClient } from '../mqtt/raw-client.ts'

export const HOME = 'plant'
export const AWAY = 'depot'
const HOSTS: Record<string, string> = { [HOME]: 'plant.test', [AWAY]: 'depot.test' }

export interface Answer {
  readonly status: number
  readonly bytes: Buffer
  // oxlint-disable-next-line typescript/no-explicit-any -- each assertion says what it expects to find
  readonly json: any
}

interface Asked {
  readonly method?: string
  readonly body?: unknown
  readonly identity?: TestIdentity
  readonly headers?: Readonly<Record<string, string>>
  /** In the place of the operator's. */
  readonly authorization?: string
}

export type Plant = Awaited<ReturnType<typeof openPlant>>

/** The whole server with two hubs, a verified root and an intermediate below it. `revoke` and the like are its API. */
export async function openPlant(t: TestContext) {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-revocation-'))
  const time = { skew: 0 }
  const start = () => startApp(folder, time)
  let app = await start()
  // What runs after a test runs in the order in which it was asked for.
  t.after(async () => {
    await app.close()
    await rm(folder, { recursive: true })
  })
  const rootPem = await readFile(app.rootFile ?? '', 'utf8')
  const token = (await readFile(app.managementTokenFile, 'utf8')).trim()
  const root = await makeRoot('Plant Root')
  const line = await makeIntermediate(root, 'Line 7')

  const ask = (path: string, asked: Asked = {}) => send(app.ports.https, rootPem, token, path, asked)
  const operate = async (path: string, method = 'GET', body?: unknown) => {
    const answer = await ask(`/holdfast/v1${path}`, { method, body })
    assert.ok(answer.status < 300, `${method} ${path}: ${answer.status} ${answer.bytes.toString()}`)
    return answer.json
  }
  const refused = async (path: string, method: string, body: unknown): Promise<string> => {
    const answer = await ask(`/holdfast/v1${path}`, { method, body })
    assert.ok(answer.status >= 400 && answer.status < 500, `${answer.status}`)
    return answer.json.error.message
  }
  const dial = async (id: string, identity: TestIdentity, hub = HOME): Promise<RawClient> => {
    const { cert, key } = identity
    const options = { host: '127.0.0.1', port: app.ports.mqtt, servername: HOSTS[hub] ?? '', ca: rootPem, cert, key }
    const socket = tlsConnect(options)
    await once(socket, 'secureConnect')
    const client = new RawClient(socket)
    t.after(() => socket.destroy())
    client.send(connect({ clientId: id, userName: `${HOSTS[hub]}/${id}/?api-version=2021-04-12` }))
    return client
  }
  /** A TLS client without a certificate that says CONNECT. */
  const say = async (packet: Buffer): Promise<RawClient> => {
    const socket = tlsConnect({ host: '127.0.0.1', port: app.ports.mqtt, servername: HOSTS[HOME] ?? '', ca: rootPem })
    await once(socket, 'secureConnect')
    t.after(() => socket.destroy())
    const client = new RawClient(socket)
    client.send(packet)
    return client
  }
  await operate(`/hubs/${HOME}/authorities/root`, 'PUT', { certificate: root.pem, verified: true })

  return {
    root,
    line,
    time,
    ask,
    operate,
    refused,
    dial,
    returnCode,
    say,
    rootPem,
    get ports() {
      return app.ports
    },
    /** Of CRLs over plain HTTP. */
    get crlPort() {
      return app.ports.crl ?? 0
    },
    get idScope() {
      return app.idScope
    },
    /** A device of the hub that authenticates by the CA, and its identity. */
    async device(id: string, parent: TestAuthority = line): Promise<TestIdentity> {
      await operate(`/hubs/${HOME}/devices/${id}`, 'PUT', { authentication: { type: 'certificateAuthority' } })
      return makeDevice(parent, id, [parent])
    },
    /** A live session. */
    async live(id: string, identity: TestIdentity, hub = HOME): Promise<RawClient> {
      const client = await dial(id, identity, hub)
      assert.equal(await returnCode(client), 0)
      return client
    },
    /** A device that proves itself by a token. */
    async withToken(id: string, token: string): Promise<RawClient> {
      const userName = `${HOSTS[HOME]}/${id}/?api-version=2021-04-12`
      return say(connect({ clientId: id, userName, password: token }))
    },
    /** The refusal that a connect meets. */
    async refusal(id: string, identity: TestIdentity, hub = HOME) {
      const client = await dial(id, identity, hub)
      assert.equal(await returnCode(client), 5)
      await client.closed
      return newestRefusal(operate, id)
    },
    async register(id: string, identity: TestIdentity): Promise<Answer> {
      const path = `/${app.idScope}/registrations/${id}/register?api-version=2021-06-01`
      return ask(path, { method: 'PUT', body: { registrationId: id }, identity })
    },
    /** The refusal that a registration meets. */
    async registrationRefusal(id: string, identity: TestIdentity) {
      assert.equal((await this.register(id, identity)).status, 401)
      return newestRefusal(operate, id)
    },
    revoke: (body: object, hub = HOME) => operate(`/hubs/${hub}/revocations`, 'POST', body),
    async restart(): Promise<void> {
      await app.close()
      app = await start()
    },
  }
}

async function returnCode(client: RawClient): Promise<number> {
  const answer = await client.next()
  assert.equal(answer.cmd, 'connack')
  return Reflect.get(answer, 'returnCode') as number
}

/** As soon as it is stored: refusals are written in batches. */
async function newestRefusal(operate: (path: string) => Promise<{ value: { rule: string }[] }>, identity: string) {
  const { value } = await operate(`/refusals?identity=${identity}&limit=1&after=0&wait=20`)
  const [newest] = value
  assert.ok(newest, `no refusal of '${identity}' was recorded`)
  return newest as { rule: string; message: string; remedy: string }
}

function startApp(folder: string, time: { skew: number }) {
  const config = readConfig({
    data: join(folder, 'data'),
    hubs: [
      { name: HOME, hosts: ['plant.test'], partitions: 1 },
      { name: AWAY, hosts: ['depot.test'], partitions: 1 },
    ],
    provisioning: { hosts: ['dps.test'] },
    listen: { address: '127.0.0.1', mqtt: 0, https: 0, amqp: 0, crl: 0 },
  })
  return startServer(config, { clock: { now: () => Date.now() + time.skew }, log: createLog({ level: 'silent' }) })
}

function send(
  port: number,
  ca: string,
  token: string,
  path: string,
  { method = 'GET', body, identity, headers, authorization = identity ? '' : `Bearer ${token}` }: Asked,
): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>()
  const bytes = body === undefined ? undefined : JSON.stringify(body)
  const own = identity && { cert: identity.cert, key: identity.key }
  const request = httpsRequest({
    host: '127.0.0.1',
    port,
    path,
    method,
    agent: new Agent({ keepAlive: false }),
    ca,
    servername: 'plant.test',
    ...own,
    headers: {
      host: 'plant.test',
      ...headers,
      authorization,
      ...(bytes === undefined
        ? {}
        : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(bytes) }),
    },
  })
  request.on('error', reject)
  request.on('response', (response) => {
    const chunks: Buffer[] = []
    response.on('error', reject)
    response.on('data', (chunk: Buffer) => chunks.push(chunk))
    response.on('end', () => {
      const all = Buffer.concat(chunks)
      const isJson = response.headers['content-type']?.includes('json') === true && all.length > 0
      resolve({ status: response.statusCode ?? 0, bytes: all, json: isJson ? JSON.parse(all.toString()) : undefined })
    })
  })
  request.end(bytes)
  return promise
}
