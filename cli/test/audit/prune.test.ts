import assert from 'node:assert/strict'
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { readConfig, startServer } from '@holdfast/server'
import { Place } from '../start/place.ts'

const DAY_MS = 24 * 60 * 60 * 1000

test('the older part of the log is archived, verified, confirmed and taken off; both verify together', async (t) => {
  const place = new Place()
  t.after(() => place.leave())
  const time = { skew: 0 }
  const config = readConfig({
    data: place.file('data'),
    hubs: [{ name: 'plant', hosts: ['localhost'] }],
    provisioning: { hosts: ['localhost'] },
    listen: { address: '127.0.0.1', mqtt: 0, https: 0, amqp: 0 },
    log: { level: 'silent' },
  })
  const server = await startServer(config, { clock: { now: () => Date.now() + time.skew } })
  t.after(() => server.close())
  const access = `--url https://localhost:${server.ports.https} --token-file ${server.managementTokenFile} --ca-file ${server.rootFile}`
  const holdfast = (line: string, status = 0) => place.holdfast(`${line} ${access}`, status)

  await holdfast('device create d1 --ca')
  writeFileSync(place.file('kept.json'), await holdfast('audit checkpoint'))
  assert.match(await holdfast('audit prune --before 2100-01-01 --to archive'), /nothing to prune/)
  assert.ok(!existsSync(place.file('archive')))
  assert.match(await holdfast('audit prune --before soon --to archive', 2), /a date is needed/)
  // A file ends after thirty days.
  time.skew = 31 * DAY_MS
  await holdfast('device create d2 --ca')
  assert.match(
    await holdfast('audit prune --before 2100-01-01 --to archive', 2),
    /Entries 1 to \d+ leave the server; 'archive\/000000000001\.jsonl' is then the only copy.*Say --yes/,
  )
  const tail = await holdfast('audit search --act device.put')
  assert.match(tail, /d1/)
  assert.match(
    await holdfast('audit prune --before 2100-01-01 --to archive --yes'),
    /entries 1 to \d+ are in 'archive\/000000000001\.jsonl', verified, and off the server/,
  )
  assert.ok(!existsSync(place.file('data', 'audit', '000000000001.jsonl')))
  const left = await holdfast('audit search --act device.put')
  assert.ok(!left.includes('d1') && left.includes('d2'))
  assert.match(await holdfast('audit search --act audit.pruned'), /audit\.pruned +event +owner/)
  await holdfast('audit export --to copy')
  await server.close()

  assert.match(
    await place.holdfast('audit verify data/audit'),
    /entries 1 to \d+ were moved into an archive.*\n.*\n.*as it was written/,
  )
  const both = 'audit verify archive data/audit --checkpoint kept.json'
  assert.match(await place.holdfast(both), /entries, 1 to \d+; .*\nthe log is as it was written/)
  assert.match(await place.holdfast('audit verify archive copy --checkpoint kept.json'), /as it was written/)
  const [mark = ''] = readdirSync(place.file('archive')).filter((name) => name.startsWith('checkpoint-'))
  assert.match(await place.holdfast(`audit verify archive --checkpoint archive/${mark}`), /as it was written/)
  assert.match(
    await place.holdfast('audit verify data/audit --checkpoint kept.json', 1),
    /was taken off: name the folder/,
  )
  cpSync(place.file('archive'), place.file('cut'), { recursive: true })
  const path = place.file('cut', '000000000001.jsonl')
  writeFileSync(path, readFileSync(path, 'utf8').split('\n').slice(0, -2).join('\n') + '\n')
  assert.match(await place.holdfast('audit verify cut data/audit', 1), /entry \d+ was removed/)
  rmSync(place.file('archive'), { recursive: true })
  assert.match(await place.holdfast('audit verify archive data/audit', 1), /'archive' is no folder/)
})
