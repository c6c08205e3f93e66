import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { once } from 'node:events'
import { get } from 'node:https'
import type { IncomingMessage } from 'node:http'
import { json } from 'node:stream/consumers'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { connect } from 'node:tls'
import type { ConnectionOptions, PeerCertificate } from 'node:tls'
import {
  encodePem,
  generateKey,
  issueRoot,
  issueServer,
  issuerOf,
  keySigner,
  parseCertificate,
  spkiOf,
} from '@holdfast/pki'
import type { Issuer } from '@holdfast/pki'
import { startServer } from '../../src/app.ts'
import type { RunningServer } from '../../src/app.ts'
import { readConfig } from '../../src/config.ts'

const DAY = 24 * 60 * 60 * 1000

interface Site {
  readonly folder: string
  start(hosts: readonly string[], tls?: object, later?: number): Promise<RunningServer>
}

function makeSite(t: TestContext): Site {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-certificate-'))
  const servers: RunningServer[] = []
  t.after(async () => {
    for (const server of servers) await server.close()
    rmSync(folder, { recursive: true })
  })
  const start: Site['start'] = async (hosts, tls, later = 0) => {
    const config = readConfig({
      data: join(folder, 'data'),
      hubs: [{ name: 'plant', hosts: [...hosts] }],
      provisioning: { hosts: [...hosts] },
      listen: { address: '127.0.0.1', mqtt: 0, https: 0, amqp: 0 },
      ...(tls && { tls }),
      log: { level: 'silent' },
    })
    const server = await startServer(config, { clock: { now: () => Date.now() + later } })
    servers.push(server)
    return server
  }
  return { folder, start }
}

/** What the server presents; rejects where Node's own client would refuse it. */
async function presented(
  server: RunningServer,
  servername: string,
  ca: string,
  options: ConnectionOptions = {},
): Promise<PeerCertificate> {
  const socket = connect({ host: '127.0.0.1', port: server.ports.https, servername, ca, ...options })
  try {
    await once(socket, 'secureConnect')
    return socket.getPeerCertificate()
  } finally {
    socket.destroy()
  }
}

const rootOf = (server: RunningServer): string => readFileSync(server.rootFile ?? assert.fail('no root'), 'utf8')

interface Company {
  readonly issuer: Issuer
  readonly pem: string
}

async function makeCompany(): Promise<Company> {
  const key = generateKey('p256')
  const term = { now: Date.now() - 3 * DAY, lifetime: 30 * DAY }
  const der = await issueRoot(keySigner(key), { subject: { commonName: 'Company CA' }, term }, randomBytes)
  return { issuer: issuerOf(parseCertificate(der), keySigner(key)), pem: encodePem('CERTIFICATE', der) }
}

async function giveFiles(
  { issuer }: Company,
  folder: string,
  { name, key, passphrase, lifetime = DAY }: { name: string; key: KeyObject; passphrase?: string; lifetime?: number },
): Promise<{ certificate: string; key: string; passphraseFile?: string }> {
  const term = { now: Date.now() - 2 * DAY, lifetime: lifetime + 2 * DAY }
  const request = { names: ['hub.example.test'] as const, spki: spkiOf(key), term }
  const files = { certificate: join(folder, `${name}.cer`), key: join(folder, `${name}.key`) }
  writeFileSync(files.certificate, encodePem('CERTIFICATE', await issueServer(issuer, request, randomBytes)))
  const encryption = passphrase === undefined ? {} : { cipher: 'aes-256-cbc', passphrase }
  writeFileSync(files.key, key.export({ type: 'pkcs8', format: 'pem', ...encryption }))
  if (passphrase === undefined) return files
  const passphraseFile = join(folder, `${name}.pass`)
  writeFileSync(passphraseFile, `${passphrase}\n`)
  return { ...files, passphraseFile }
}

test('a data folder goes on under more host names, with a certificate that carries them all', async (t) => {
  const site = makeSite(t)
  const first = await site.start(['localhost'])
  const before = await presented(first, 'localhost', rootOf(first))
  await first.close()

  const second = await site.start(['localhost', 'hub.example.test'])
  const after = await presented(second, 'hub.example.test', rootOf(second))
  assert.notEqual(after.fingerprint256, before.fingerprint256)
  assert.match(after.subjectaltname ?? '', /DNS:hub\.example\.test/)
  for (const name of ['DNS:localhost', 'IP Address:127.0.0.1', 'IP Address:0:0:0:0:0:0:0:1'])
    assert.ok(after.subjectaltname?.includes(name), `${name} in ${after.subjectaltname}`)
  await second.close()

  const third = await site.start(['localhost', 'hub.example.test'])
  assert.equal((await presented(third, 'localhost', rootOf(third))).fingerprint256, after.fingerprint256)
})

test('what expires names the root of the server and its certificates, told apart by their keys', async (t) => {
  const server = await makeSite(t).start(['localhost'])
  const token = readFileSync(server.managementTokenFile, 'utf8').trim()
  const options = { host: '127.0.0.1', port: server.ports.https, servername: 'localhost', ca: rootOf(server) }
  const asked = get({
    ...options,
    path: `/holdfast/v1/expiry?within=${30 * 365 * 86_400}`,
    headers: { host: 'localhost', authorization: `Bearer ${token}` },
  })
  const [answer] = (await once(asked, 'response')) as [IncomingMessage]
  const { value } = (await json(answer)) as { value: { kind: string; name: string }[] }
  const names = value.filter(({ kind }) => kind === 'server').map(({ name }) => name)
  assert.deepEqual(names.slice(0, 2).toSorted(), ['CN=localhost (EC)', 'CN=localhost (RSA)'])
  assert.match(names[2] ?? '', /^CN=Holdfast server root [0-9a-f]{8} \(EC\)$/)
  assert.equal(names.length, 3)
})

test('the certificate is renewed under the same root when a third of its life is left', async (t) => {
  const site = makeSite(t)
  const first = await site.start(['localhost'])
  const root = rootOf(first)
  const before = await presented(first, 'localhost', root)
  await first.close()
  const early = await site.start(['localhost'], undefined, 59 * DAY)
  assert.equal((await presented(early, 'localhost', root)).fingerprint256, before.fingerprint256)
  await early.close()

  const due = await site.start(['localhost'], undefined, 61 * DAY)
  // To this client the new certificate is not valid yet.
  const trust = { ca: root, rejectUnauthorized: false }
  const renewed = await presented(due, 'localhost', root, trust)
  assert.notEqual(renewed.fingerprint256, before.fingerprint256)
  assert.ok(Date.parse(renewed.valid_to) > Date.parse(before.valid_to) + 59 * DAY)
  assert.equal(renewed.issuer.CN, before.issuer.CN)
  assert.equal(rootOf(due), root)
})

test('a bought certificate is presented, of either key type, also when it does not carry localhost', async (t) => {
  const site = makeSite(t)
  const company = await makeCompany()
  const ec = await giveFiles(company, site.folder, { name: 'ec', key: generateKey('p256'), passphrase: 'open sesame' })
  const rsa = await giveFiles(company, site.folder, { name: 'rsa', key: generateKey('rsa2048') })
  const server = await site.start(['hub.example.test'], { ...ec, alternative: rsa })
  assert.equal(server.rootFile, null)
  const modern = await presented(server, 'hub.example.test', company.pem)
  assert.equal(modern.subject.CN, 'hub.example.test')
  assert.equal(modern.asn1Curve, 'prime256v1')
  const old = await presented(server, 'hub.example.test', company.pem, {
    maxVersion: 'TLSv1.2',
    ciphers: 'ECDHE-RSA-AES128-GCM-SHA256',
  })
  assert.equal(old.bits, 2048)
})

test('a bought certificate that cannot be used stops the start in words', async (t) => {
  const site = makeSite(t)
  const company = await makeCompany()
  const good = await giveFiles(company, site.folder, {
    name: 'good',
    key: generateKey('p256'),
    passphrase: 'open sesame',
  })
  const other = await giveFiles(company, site.folder, { name: 'other', key: generateKey('p256') })
  const old = await giveFiles(company, site.folder, { name: 'old', key: generateKey('p256'), lifetime: -DAY })
  const bad = join(site.folder, 'bad.pem')
  writeFileSync(bad, 'no PEM at all')
  const cases: [object, RegExp][] = [
    [{ ...other, key: good.key, passphraseFile: good.passphraseFile }, /does not belong to the certificate/],
    [{ certificate: good.certificate, key: good.key }, /passphrase/],
    [old, /expired on/],
    [{ ...other, certificate: bad }, /bad\.pem/],
    [{ ...other, key: join(site.folder, 'missing.key') }, /missing\.key/],
    [{ ...other, alternative: good }, /must be of another type/],
  ]
  for (const [tls, message] of cases) await assert.rejects(site.start(['hub.example.test'], tls), message)
})
