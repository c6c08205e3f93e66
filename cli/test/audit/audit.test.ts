import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { Place } from '../start/place.ts'
import type { Foreground } from '../start/place.ts'

describe('operators and the audit log by the command line', { timeout: 120_000 }, () => {
  const place = new Place()
  let server: Foreground
  before(async () => {
    server = place.start('--no-quickstart --quiet --mqtt-port 0 --https-port 0 --amqp-port 0')
    await server.shows(/Ctrl-C stops/)
  })
  after(() => place.leave())

  test('a token does what its role may do, until it is revoked', async () => {
    writeFileSync(place.file('rita.token'), await place.holdfast('operator create rita --role reader --expires 12h'))
    const asRita = `--token-file ${place.file('rita.token')}`
    await place.holdfast(`status ${asRita}`)
    assert.match(
      await place.holdfast(`device create d1 --sas ${asRita}`, 1),
      /'rita' has the role reader, which has no right to devices\.write/,
    )
    assert.match(await place.holdfast('operator list'), /rita +reader\n {2}token [0-9a-f]{12}, until /)
    assert.match(await place.holdfast('operator revoke rita', 2), /'rita' is shut out at once.*Say --yes/)
    await place.holdfast('operator revoke rita --yes')
    assert.match(await place.holdfast(`status ${asRita}`, 1), /Refused\./)
  })

  test('an operator logs in by certificate', async () => {
    await place.holdfast('pki root operators --name Operators')
    await place.holdfast('pki device sofia --ca operators --out sofia')
    await place.holdfast('operator create sofia --role security-officer --no-token')
    await place.holdfast('operator certificate sofia sofia/sofia.cer')
    const asSofia = '--client-cert sofia/sofia.cer --client-key sofia/sofia.key.pem'
    assert.match(await place.holdfast(`audit tail ${asSofia}`), /operator\.add-certificate +outcome|done/)
    assert.match(await place.holdfast(`operator create x --role reader ${asSofia}`, 1), /security-officer/)
  })

  test('deleting a CA says what it cuts off and wants to be meant', async () => {
    await place.holdfast('pki root line7 --name Line7')
    await place.holdfast('ca register line7 line7/ca.cer')
    assert.match(
      await place.holdfast('ca delete line7', 2),
      /0 devices rest on this CA at hub 'localhost', and 0 live connections.*Say --yes/,
    )
    assert.match(await place.holdfast('revoke ca line7/ca.cer', 2), /Say --yes/)
    assert.match(await place.holdfast('ca revocation line7 --policy off', 2), /Say --yes/)
    await place.holdfast('ca delete line7 --yes')
    const found = await place.holdfast('audit search --act authority.delete')
    assert.match(found, /authority\.delete +intent .*owner from .*\n.*authority\.delete +done/)
  })

  test('a log is exported, verified offline, and tells what was done to it', async () => {
    writeFileSync(place.file('kept.json'), await place.holdfast('audit checkpoint'))
    await place.holdfast('audit key --rotate')
    writeFileSync(place.file('key.pem'), await place.holdfast('audit key'))
    await place.holdfast('audit export --to copy')
    await server.interrupt()
    const verify = 'audit verify copy --checkpoint kept.json --public-key key.pem'
    assert.match(await place.holdfast(verify), /the log is as it was written/)
    assert.match(await place.holdfast('audit verify data/audit --checkpoint copy/checkpoint.json'), /as it was written/)
    const path = place.file('copy', '000000000001.jsonl')
    const whole = readFileSync(path, 'utf8')
    writeFileSync(path, whole.replace('"rita"', '"rosa"'))
    assert.match(await place.holdfast(verify, 1), /entry \d+ was changed/)
    writeFileSync(path, whole.split('\n').slice(0, 3).join('\n') + '\n')
    assert.match(await place.holdfast(verify, 1), /the end was cut off/)
    assert.ok(readdirSync(place.file('data', 'audit')).includes('signing-keys.sealed'))
  })
})
