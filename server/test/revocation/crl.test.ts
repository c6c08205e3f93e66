import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import type { TestContext } from 'node:test'
import { parseCertificate } from '@holdfast/pki'
import { makeRoot } from '../http/certificates.ts'
import type { TestAuthority } from '../http/certificates.ts'
import { makeCrl } from './crls.ts'
import { HOME, openPlant } from './plant.ts'
import type { Plant } from './plant.ts'
import { without } from '../../../test/foreign-program.ts'

const withoutOpenssl = without('openssl')

const CRLS = `/hubs/${HOME}/crls`

function take(plant: Plant, crl: Uint8Array) {
  return plant.operate(CRLS, 'POST', { crl: Buffer.from(crl).toString('base64') })
}

function refuse(plant: Plant, crl: Uint8Array): Promise<string> {
  return plant.refused(CRLS, 'POST', { crl: Buffer.from(crl).toString('base64') })
}

function rule(plant: Plant, authority: string, changes: object) {
  return plant.operate(`/hubs/${HOME}/revocation-rules`, 'PUT', { authority, ...changes })
}

/** A device that connected once, so that the server knows the intermediate above it. */
async function met(plant: Plant, id: string) {
  const identity = await plant.device(id)
  return { identity, live: await plant.live(id, identity) }
}

/** Before the keep-alive of a connection that nobody ends would end it. */
const SOON = { timeout: 40_000 }

suite('a CRL', () => {
  test('closes who is on it, refuses him at every door, and outlives a restart', async (t) => {
    const plant = await openPlant(t)
    const [bad, good] = [await met(plant, 'bad'), await met(plant, 'good')]
    const taken = await take(plant, await makeCrl(plant.line, { number: 7, revoked: [bad.identity.der] }))
    assert.deepEqual([taken.number, taken.entries], ['7', 1])
    await bad.live.closed
    const refusal = await plant.refusal('bad', bad.identity)
    assert.equal(refusal.rule, 'chain:revoked')
    assert.match(refusal.message, /keyCompromise; CRL 7 of "CN=Line 7"/)
    assert.equal((await plant.registrationRefusal('bad', bad.identity)).rule, 'chain:revoked')
    assert.equal(good.live.socket.destroyed, false)
    await plant.restart()
    assert.equal((await plant.refusal('bad', bad.identity)).rule, 'chain:revoked')
    await plant.live('good', good.identity)
  })

  test('of the root takes an intermediate with everything below it', async (t) => {
    const plant = await openPlant(t)
    const { live, identity } = await met(plant, 'pump')
    await take(plant, await makeCrl(plant.root, { number: 1, revoked: [plant.line.der], reason: 'cACompromise' }))
    await live.closed
    const refusal = await plant.refusal('pump', identity)
    assert.match(refusal.message, /CA certificate "CN=Line 7" was revoked .*CRL 1 of "CN=Plant Root"/)
  })

  test('ends a live session also while it cannot be settled whether a CA further up was revoked', SOON, async (t) => {
    const plant = await openPlant(t)
    const { live, identity } = await met(plant, 'pump')
    // No list of the root is at hand.
    await rule(plant, 'root', { policy: 'require' })
    assert.equal(live.socket.destroyed, false)
    await take(plant, await makeCrl(plant.line, { number: 1, revoked: [identity.der] }))
    await live.closed
  })

  test('is refused when its number does not grow, when another signed it, or when it is no CRL', async (t) => {
    const plant = await openPlant(t)
    await met(plant, 'pump')
    const five = await makeCrl(plant.line, { number: 5 })
    await take(plant, five)
    await take(plant, five)
    assert.match(await refuse(plant, await makeCrl(plant.line, { number: 5 })), /5 is not greater than 5/)
    assert.match(await refuse(plant, await makeCrl(plant.line, { number: 4 })), /4 is not greater than 5/)
    const impostor = await makeRoot('Plant Root')
    assert.match(await refuse(plant, await makeCrl(impostor, { number: 9 })), /not signed with the key of the CA/)
    const stranger = await makeRoot('Nobody')
    assert.match(await refuse(plant, await makeCrl(stranger, { number: 9 })), /no CA that hub 'plant' knows/)
    assert.match(await refuse(plant, Buffer.from('30030201', 'hex')), /cannot be read/)
    assert.match(
      await refuse(plant, await makeCrl(plant.line, { number: 6, from: 3_600_000, to: 7_200_000 })),
      /future/,
    )
    const { value } = await plant.operate(CRLS)
    assert.deepEqual(
      value.map(({ number }: { number: string }) => number),
      ['5'],
    )
  })

  test('must be current where the CA is set to require it, and the refusal says what to import', async (t) => {
    const plant = await openPlant(t)
    const { identity, live } = await met(plant, 'pump')
    const set = await rule(plant, plant.line.pem, { policy: 'require' })
    assert.equal(set.policy, 'require')
    const unknown = await plant.refusal('pump', identity)
    assert.equal(unknown.rule, 'chain:revocation-unknown')
    assert.match(unknown.message, /no CRL of its issuer is at hand/)
    assert.match(unknown.remedy, /Import a current CRL of its issuer "CN=Line 7"/)
    // Who is connected stays: nothing is known against him.
    assert.equal(live.socket.destroyed, false)
    await take(plant, await makeCrl(plant.line, { number: 1, to: 60_000 }))
    await plant.live('pump', identity)
    plant.time.skew = 120_000
    const stale = await plant.dial('pump', identity)
    assert.equal(await plant.returnCode(stale), 5)
    await rule(plant, plant.line.pem, { policy: 'prefer' })
    await plant.live('pump', identity)
    await rule(plant, plant.line.pem, { policy: 'require' })
    await plant.restart()
    assert.equal(await plant.returnCode(await plant.dial('pump', identity)), 5)
    // By its name, where it is registered.
    assert.equal((await rule(plant, 'root', { policy: 'off' })).subject, 'CN=Plant Root')
  })

  test('is obeyed by lists of the CA alone whose certificate it is, and not at all where that is off', async (t) => {
    const plant = await openPlant(t)
    const { identity } = await met(plant, 'pump')
    await rule(plant, plant.line.pem, { policy: 'off' })
    await take(plant, await makeCrl(plant.line, { number: 1, revoked: [identity.der] }))
    await plant.live('pump', identity)
    await rule(plant, plant.line.pem, { policy: 'prefer' })
    assert.equal((await plant.refusal('pump', identity)).rule, 'chain:revoked')
  })

  test('may be followed by a delta, made by another tool', { skip: withoutOpenssl }, async (t) => {
    const plant = await openPlant(t)
    const [first, second] = [await met(plant, 'first'), await met(plant, 'second')]
    const tool = new OpenSslCa(t, plant.line)
    await take(plant, tool.crl(20, [first.identity.der]))
    await first.live.closed
    const delta = tool.crl(21, [second.identity.der], 20)
    const taken = await take(plant, delta)
    assert.deepEqual([taken.number, taken.baseNumber], ['21', '20'])
    await second.live.closed
    assert.equal((await plant.refusal('second', second.identity)).rule, 'chain:revoked')
    assert.equal((await plant.refusal('first', first.identity)).rule, 'chain:revoked')
    const { value } = await plant.operate(CRLS)
    assert.equal(value.length, 2)
  })

  test('is served to everybody, byte for byte, under an address that stays', async (t) => {
    const plant = await openPlant(t)
    await met(plant, 'pump')
    const one = await makeCrl(plant.line, { number: 1 })
    const two = await makeCrl(plant.line, { number: 2 })
    const { path } = await take(plant, one)
    assert.match(path, /^\/crl\/[0-9a-f]{40}\.crl$/)
    assert.deepEqual((await plant.ask(path)).bytes, one)
    assert.equal((await take(plant, two)).path, path)
    await plant.restart()
    assert.deepEqual((await plant.ask(path)).bytes, two)
    assert.equal((await plant.ask('/crl/none.crl')).status, 404)
  })

  test('is fetched on a schedule, and one that is refused leaves the one at hand', async (t) => {
    const plant = await openPlant(t)
    const { identity, live } = await met(plant, 'pump')
    const published = { body: await makeCrl(await makeRoot('Plant Root'), { number: 1 }), asked: 0 }
    const server = createServer((_request, response) => {
      published.asked += 1
      response.writeHead(200, { 'content-type': 'application/pkix-crl' }).end(published.body)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    t.after(() => server.close())
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/line7.crl`
    const set = await rule(plant, plant.line.pem, { crlUrls: [url], policy: 'require' })
    assert.deepEqual(set.crlUrls, [url])
    await until(() => published.asked > 0)
    assert.deepEqual((await plant.operate(CRLS)).value, [])
    published.body = await makeCrl(plant.line, { number: 1, revoked: [identity.der] })
    // Its first retry is due within half a minute.
    plant.time.skew = 31_000
    await live.closed
    const { value } = await plant.operate(CRLS)
    assert.equal(value[0].fetchedFrom, url)
    const wrong = await plant.ask(`/holdfast/v1/hubs/${HOME}/revocation-rules`, {
      method: 'PUT',
      body: { authority: plant.line.pem, crlUrls: ['file:///etc/passwd'] },
    })
    assert.equal(wrong.status, 400)
  })
})

async function until(isTrue: () => boolean): Promise<void> {
  for (let attempt = 0; attempt < 500 && !isTrue(); attempt++) await new Promise((resolve) => setTimeout(resolve, 20))
  assert.ok(isTrue())
}

/** `openssl ca` as the CA that publishes: it makes deltas, which our own issuing does not. */
class OpenSslCa {
  readonly #folder: string

  constructor(t: TestContext, { pem, key }: TestAuthority) {
    this.#folder = mkdtempSync(join(tmpdir(), 'holdfast-crl-'))
    t.after(() => rmSync(this.#folder, { recursive: true }))
    writeFileSync(join(this.#folder, 'ca.cer'), pem)
    writeFileSync(join(this.#folder, 'ca.key'), key.export({ type: 'pkcs8', format: 'pem' }))
  }

  crl(number: number, revoked: readonly Uint8Array[], baseNumber?: number): Buffer {
    const path = (name: string) => join(this.#folder, name)
    const lines = revoked.map((der) => {
      const serial = parseCertificate(der).serialHex.toUpperCase()
      return `R\t300101000000Z\t250101000000Z,keyCompromise\t${serial}\tunknown\t/CN=x\n`
    })
    writeFileSync(path('index.txt'), lines.join(''))
    writeFileSync(path('number'), `${number.toString(16).padStart(4, '0')}\n`)
    const delta =
      baseNumber === undefined ? '' : `2.5.29.27=critical,DER:0201${baseNumber.toString(16).padStart(2, '0')}\n`
    const config = `[ca]\ndefault_ca=d\n[d]\ndatabase=${path('index.txt')}\ncrlnumber=${path('number')}\ndefault_md=sha256\ndefault_crl_days=2\ncrl_extensions=e\n[e]\nauthorityKeyIdentifier=keyid:always\n${delta}`
    writeFileSync(path('conf'), config)
    const files = ['-config', path('conf'), '-cert', path('ca.cer'), '-keyfile', path('ca.key'), '-out', path('crl')]
    execFileSync('openssl', ['ca', '-gencrl', ...files], { stdio: 'pipe' })
    return execFileSync('openssl', ['crl', '-in', path('crl'), '-outform', 'DER'], { stdio: 'pipe' })
  }
}
