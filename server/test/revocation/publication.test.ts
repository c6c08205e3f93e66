import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, request as httpRequest } from 'node:http'
import type { IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import {
  encodePem,
  generateKey,
  issueCrl,
  issueDeltaCrl,
  issueDevice,
  issuerOf,
  keySigner,
  parseCertificate,
  publicationName,
  spkiOf,
} from '@holdfast/pki'
import type { TestAuthority, TestIdentity } from '../http/certificates.ts'
import { makeCrl } from './crls.ts'
import { HOME, openPlant } from './plant.ts'
import type { Plant } from './plant.ts'
import { without } from '../../../test/foreign-program.ts'

const withoutOpenssl = without('openssl')

const DAY = 24 * 60 * 60 * 1000
const CRLS = `/hubs/${HOME}/crls`

interface Asked {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
}

function get(port: number, path: string, { method = 'GET', headers = {} }: Asked = {}) {
  const { promise, resolve, reject } = Promise.withResolvers<{
    status: number
    headers: IncomingHttpHeaders
    bytes: Buffer
  }>()
  const request = httpRequest({ host: '127.0.0.1', port, path, method, headers, agent: false }, (response) => {
    const chunks: Buffer[] = []
    response.on('data', (chunk: Buffer) => chunks.push(chunk))
    response.on('end', () =>
      resolve({ status: response.statusCode ?? 0, headers: response.headers, bytes: Buffer.concat(chunks) }),
    )
  })
  request.on('error', reject)
  request.end()
  return promise
}

/** A device of the line whose certificate says where the CRL of the line is. */
async function publishing({ line, operate }: Plant, id: string, crl: string): Promise<TestIdentity> {
  await operate(`/hubs/${HOME}/devices/${id}`, 'PUT', { authentication: { type: 'certificateAuthority' } })
  const key = generateKey('p256')
  const profile = { id, spki: spkiOf(key), term: { now: Date.now(), lifetime: DAY }, publication: { crls: [crl] } }
  const der = await issueDevice(issuerOfLine(line), profile, randomBytes)
  const cert = encodePem('CERTIFICATE', der) + line.pem
  return { der, cert, key: key.export({ type: 'pkcs8', format: 'pem' }).toString() }
}

function issuerOfLine({ der, key }: TestAuthority) {
  return issuerOf(parseCertificate(der), keySigner(key))
}

test(
  'openssl follows the address in a certificate to the list that the server publishes',
  { skip: withoutOpenssl },
  async (t) => {
    const plant = await openPlant(t)
    const file = `${publicationName(parseCertificate(plant.line.der))}.crl`
    const url = `http://127.0.0.1:${plant.crlPort}/crl/${file}`
    const [good, bad] = [await publishing(plant, 'good', url), await publishing(plant, 'bad', url)]
    await plant.live('good', good)
    const crl = await makeCrl(plant.line, { number: 3, revoked: [bad.der] })
    const taken = await plant.operate(CRLS, 'POST', { crl: crl.toString('base64') })
    assert.equal(taken.path, `/crl/${file}`)
    const folder = mkdtempSync(join(tmpdir(), 'holdfast-crl-download-'))
    t.after(() => rmSync(folder, { recursive: true }))
    writeFileSync(join(folder, 'ca.pem'), plant.root.pem)
    writeFileSync(join(folder, 'line.pem'), plant.line.pem)
    const verify = (identity: TestIdentity) => {
      writeFileSync(join(folder, 'device.pem'), encodePem('CERTIFICATE', identity.der))
      const { promise, resolve } = Promise.withResolvers<string>()
      const files = ['-CAfile', 'ca.pem', '-untrusted', 'line.pem', 'device.pem']
      // The server answers in this very process, so that it must not wait for openssl.
      execFile('openssl', ['verify', '-crl_check', '-crl_download', ...files], { cwd: folder }, (_error, out, err) =>
        resolve(out + err),
      )
      return promise
    }
    assert.match(await verify(good), /device\.pem: OK/)
    assert.match(await verify(bad), /certificate revoked/)
  },
)

test('caches may keep a list, and never beyond the time when the next one is due', async (t) => {
  const plant = await openPlant(t)
  await plant.live('pump', await plant.device('pump'))
  const crl = await makeCrl(plant.line, { number: 7, to: 2 * 3_600_000 })
  const { path, thisUpdate, nextUpdate } = await plant.operate(CRLS, 'POST', { crl: crl.toString('base64') })
  const port = plant.crlPort
  const first = await get(port, path)
  assert.deepEqual([first.status, first.headers['content-type']], [200, 'application/pkix-crl'])
  assert.deepEqual(first.bytes, crl)
  assert.equal(first.headers['cache-control'], 'public, max-age=900')
  assert.equal(first.headers['content-length'], String(crl.length))
  assert.equal(Date.parse(first.headers['last-modified'] ?? ''), Date.parse(thisUpdate))
  const head = await get(port, path, { method: 'HEAD' })
  assert.deepEqual([head.status, head.bytes.length, head.headers['content-length']], [200, 0, String(crl.length)])
  const { etag = '', 'last-modified': modified = '' } = first.headers
  for (const headers of [
    { 'if-none-match': etag },
    { 'if-none-match': `"x", W/${etag}` },
    { 'if-none-match': '*' },
    { 'if-modified-since': modified },
  ]) {
    const again = await get(port, path, { headers })
    assert.deepEqual([again.status, again.bytes.length, again.headers.etag], [304, 0, etag])
  }
  const older = new Date(Date.parse(modified) - 1_000).toUTCString()
  for (const headers of [
    { 'if-none-match': '"6"' },
    { 'if-modified-since': older },
    { 'if-modified-since': 'no date' },
    { 'if-none-match': '"6"', 'if-modified-since': modified },
  ])
    assert.equal((await get(port, path, { headers })).status, 200)
  assert.equal((await get(port, `http://anything.example${path}`)).status, 200)
  plant.time.skew = Date.parse(nextUpdate) - 60_000 - Date.now()
  const late = await get(port, path)
  assert.ok(Number(/max-age=(\d+)$/.exec(late.headers['cache-control'] ?? '')?.[1]) <= 60)
  assert.ok(Date.parse(late.headers.expires ?? '') <= Date.parse(nextUpdate))
  plant.time.skew += 120_000
  assert.equal((await get(port, path)).headers['cache-control'], 'public, max-age=0')
  // Over TLS it is answered in the same words.
  assert.deepEqual((await plant.ask(path)).bytes, crl)
})

test('where a list says that deltas to it are, they are fetched too', async (t) => {
  const plant = await openPlant(t)
  const issuer = issuerOfLine(plant.line)
  const lists = new Map<string, Buffer>()
  const url = await publish(t, lists)
  const identity = await publishing(plant, 'pump', `${url}/base`)
  const now = Date.now()
  const times = { thisUpdate: now - 60_000, nextUpdate: now + DAY }
  lists.set('/base', await issueCrl(issuer, { number: 1n, ...times, revoked: [], deltas: [`${url}/delta`] }))
  const changes = [{ serial: parseCertificate(identity.der).serial, revokedAt: now, reason: 'superseded' }] as const
  lists.set('/delta', await issueDeltaCrl(issuer, { number: 2n, baseNumber: 1n, ...times, changes }))
  await plant.operate(`/hubs/${HOME}/revocation-rules`, 'PUT', { authority: plant.line.pem, fetch: true })
  const live = await plant.live('pump', identity)
  await live.closed
  const { value } = await plant.operate(CRLS)
  assert.deepEqual(
    value.map(({ fetchedFrom, baseNumber }: { fetchedFrom: string; baseNumber: string | null }) => [
      fetchedFrom,
      baseNumber,
    ]),
    [
      [`${url}/base`, null],
      [`${url}/delta`, '1'],
    ],
  )
  assert.equal((await plant.refusal('pump', identity)).rule, 'chain:revoked')
})

async function publish(t: TestContext, lists: ReadonlyMap<string, Buffer>): Promise<string> {
  const server = createServer((request, response) => {
    const list = lists.get(request.url ?? '')
    response.writeHead(list === undefined ? 404 : 200).end(list)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}
