import assert from 'node:assert/strict'
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { after, describe, test } from 'node:test'
import { Place } from '../start/place.ts'
import type { Foreground } from '../start/place.ts'

const START = '--no-quickstart --quiet --mqtt-port 0 --https-port 0 --amqp-port 0'

describe('the keys of the data folder by the command line', { timeout: 480_000 }, () => {
  const place = new Place()
  after(() => place.leave())
  let server: Foreground

  async function start(more = ''): Promise<string> {
    server = place.start(`${START} ${more}`.trim())
    const [, said = ''] = await server.shows(/(data sealed with .*)/)
    await server.shows(/Ctrl-C stops/)
    return said
  }

  test('a start says where the key lies and that it is to be kept apart', async () => {
    assert.match(await start(), /data sealed with the key in .*data\.key: keep it apart/)
    assert.equal(statSync(place.file('data.key')).mode & 0o777, 0o600)
    assert.match(
      await place.holdfast('keys show'),
      /key-encryption key [0-9a-f]{16}, in .*data\.key\ndata key 1 of .*, seals now/,
    )
  })

  test('every key is turned over while the server runs', async () => {
    const before = readFileSync(place.file('data.key'), 'utf8')
    assert.match(
      await place.holdfast('keys rotate-kek --yes'),
      /1 data keys are wrapped with key-encryption key [0-9a-f]{16}/,
    )
    assert.notEqual(readFileSync(place.file('data.key'), 'utf8'), before)
    assert.match(await place.holdfast('keys rotate-data'), /data key 2 seals from now on/)
    assert.match(await place.holdfast('keys reseal'), /resealed \d+ of \d+ rows; 1 data keys destroyed/)
    assert.match(await place.holdfast('keys renew-server-certificate'), /ec certificate, valid until .*\n.*SHA-256/)
    // A client that connects now trusts the new certificate by the same root.
    assert.match(await place.holdfast('keys show'), /data key 2 of .*, seals now/)
  })

  test('a passphrase takes the place of the key file', async () => {
    const passphrase = place.file('passphrase')
    writeFileSync(passphrase, 'correct horse battery\n')
    assert.match(
      await place.holdfast(`keys rotate-kek --yes --passphrase-file ${passphrase}`),
      /made from a passphrase/,
    )
    await server.interrupt()
    assert.match(
      await place.holdfast(`start ${START}`, 78),
      /sealed with a passphrase, not with a key file\. Give it with --key-passphrase-file/,
    )
    assert.match(await start(`--key-passphrase-file ${passphrase}`), /sealed with your passphrase or token/)
    assert.ok(existsSync(place.file('data', 'keyring.json')))
    await server.interrupt()
  })
})
