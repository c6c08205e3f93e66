import assert from 'node:assert/strict'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { Place } from '../start/place.ts'
import type { Foreground } from '../start/place.ts'

describe('a second person by the command line', { timeout: 120_000 }, () => {
  const place = new Place()
  let server: Foreground
  const start = async (): Promise<void> => {
    server = place.start('--no-quickstart --quiet --mqtt-port 0 --https-port 0 --amqp-port 0 --config holdfast.json')
    await server.shows(/Ctrl-C stops/)
  }
  before(async () => {
    writeFileSync(place.file('holdfast.json'), JSON.stringify({ management: { secondPerson: true } }))
    await start()
  })
  after(() => place.leave())

  /** Id of the approval that the complaint names. */
  const waiting = (complaint: string): string => /approve ([0-9a-f]{12})/.exec(complaint)?.[1] ?? assert.fail(complaint)

  test('the first one is made, renews what the owner has seen, and approves what the owner asks for', async () => {
    writeFileSync(place.file('sofia.token'), await place.holdfast('operator create sofia --role security-officer'), {
      mode: 0o600,
    })
    const asSofia = '--token-file sofia.token'
    await place.holdfast('pki root line7 --name Line7')
    await place.holdfast('ca register line7 line7/ca.cer')
    const id = waiting(await place.holdfast('ca delete line7 --yes', 1))
    assert.match(
      await place.holdfast('approvals list'),
      new RegExp(
        `^${id} {2}authority\\.delete by owner, waits until .*\\n {2}It cuts off every device whose certificate rests on the CA\\. 0 devices rest on it .*\\n {2}DELETE /subscriptions`,
      ),
    )
    assert.match(await place.holdfast(`approvals approve ${id}`, 1), /nobody approves what he asked for himself/)
    assert.match(
      await place.holdfast(`approvals approve ${id} ${asSofia}`, 1),
      /renew it first, by 'holdfast operator renew'/,
    )
    assert.match(await place.holdfast('operator renew --replace', 2), /--replace needs --token-file/)
    const seen = readFileSync(place.file('sofia.token'), 'utf8')
    assert.equal(await place.holdfast(`operator renew --replace ${asSofia}`), '')
    assert.notEqual(readFileSync(place.file('sofia.token'), 'utf8'), seen)
    assert.equal(statSync(place.file('sofia.token')).mode & 0o777, 0o600)
    assert.match(
      await place.holdfast(`approvals approve ${id} ${asSofia}`),
      /'owner' may do it now, once, by the same command/,
    )
    await server.interrupt()
    await start()
    await place.holdfast('ca delete line7 --yes')
    assert.match(await place.holdfast('approvals list'), /nothing waits for a second person/)
  })

  test('another operator takes an approval for himself and one for his token, and the command says so', async () => {
    const asSofia = '--token-file sofia.token'
    const create = 'operator create rita --role reader'
    await place.holdfast(`approvals approve ${waiting(await place.holdfast(create, 1))} ${asSofia}`)
    const half = await place.holdfast(create, 1)
    assert.match(
      half,
      /'rita' is there now, without a token: 'holdfast operator token rita' makes it\. This needs a second/,
    )
    await place.holdfast(`approvals approve ${waiting(half)} ${asSofia}`)
    assert.match(await place.holdfast('operator token rita'), /^holdfast_[0-9a-f]{12}_/)
    const denied = waiting(await place.holdfast('operator token rita --expires 1h', 1))
    assert.match(await place.holdfast(`approvals deny ${denied} ${asSofia}`), /does not wait any more/)
    assert.match(await place.holdfast('approvals deny 000000000000', 1), /Nothing waits for approval under/)
  })
})
