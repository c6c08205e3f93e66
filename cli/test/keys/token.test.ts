import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { Place } from '../start/place.ts'
import type { Foreground } from '../start/place.ts'

const MODULE = '/usr/lib/softhsm/libsofthsm2.so'
const PIN = '987654'
const START = 'start --no-quickstart --quiet --mqtt-port 0 --https-port 0 --amqp-port 0'
const skip = existsSync(MODULE) && existsSync('/usr/bin/pkcs11-tool') ? false : 'needs softhsm2 and opensc'

describe('a key in a token by the command line', { timeout: 480_000, skip }, () => {
  const place = new Place()
  const uri = `pkcs11:token=plant;id=%01?module-path=${MODULE}&pin-source=file:${place.file('pin')}`
  let server: Foreground
  after(() => place.leave())

  before(() => {
    mkdirSync(place.file('tokens'))
    writeFileSync(place.file('softhsm2.conf'), `directories.tokendir = ${place.file('tokens')}\n`)
    writeFileSync(place.file('pin'), `${PIN}\n`)
    process.env['SOFTHSM2_CONF'] = place.file('softhsm2.conf')
    execFileSync('softhsm2-util', `--init-token --free --label plant --so-pin 12345678 --pin ${PIN}`.split(' '))
    const made = '--keygen --key-type AES:32 --id 01 --sensitive'
    execFileSync('pkcs11-tool', `--module ${MODULE} --token-label plant --login --pin ${PIN} ${made}`.split(' '), {
      stdio: 'pipe',
    })
  })

  async function start(more = ''): Promise<void> {
    server = place.start(`${START.slice('start '.length)} ${more}`.trim())
    await server.shows(/Ctrl-C stops/)
  }

  test('a keyring moves from its file into the token', async () => {
    await start()
    const moved = await place.holdfast(`keys rotate-kek --key-token ${uri} --yes`)
    assert.match(moved, /in a token, which it never leaves[^]*needs this --key-token/)
    assert.equal(await server.interrupt(), 0)
    assert.match(await place.holdfast(START, 78), /Name the token with --key-token/)
  })

  test('the server starts with it; a PIN in the URI, or none without a terminal, is refused', async () => {
    const inUri = uri.replace(/pin-source=.*/, `pin-value=${PIN}`)
    const told = await place.holdfast(`${START} --key-token ${inUri}`, 2)
    assert.match(told, /a PIN does not belong into it/)
    const unnamed = uri.replace(/&pin-source=.*/, '')
    assert.match(await place.holdfast(`${START} --key-token ${unnamed}`, 1), /no terminal to ask on/)
    await start(`--key-token ${uri}`)
    assert.match(await place.holdfast('keys show'), /in a token, which it never leaves/)
  })

  test('a backup is proven and restored with it', async () => {
    await place.holdfast('device create pump-1 --ca')
    const taken = await place.holdfast(`backup plant.backup --key-token ${uri}`)
    assert.match(taken, /Proven: it was unpacked/)
    assert.equal(await server.interrupt(), 0)
    assert.match(await place.holdfast(`backup verify plant.backup --key-token ${uri}`), /everything in it is whole/)
    rmSync(place.file('data'), { recursive: true })
    assert.match(await place.holdfast('restore plant.backup', 1), /sealed with a token, not with a key file/)
    assert.match(await place.holdfast(`restore plant.backup --key-token ${uri}`), /restored into data/)
    await start(`--key-token ${uri}`)
    assert.match(await place.holdfast('device list'), /pump-1/)
  })

  test('and back into a file', async () => {
    await place.holdfast(`keys rotate-kek --key-file ${place.file('kek')} --yes`)
    assert.equal(await server.interrupt(), 0)
    await start('--key-file kek')
    assert.match(await place.holdfast('device list'), /pump-1/)
  })
})
