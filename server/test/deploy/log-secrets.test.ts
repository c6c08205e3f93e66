import assert from 'node:assert/strict'
import { createSecretKey } from 'node:crypto'
import { Writable } from 'node:stream'
import { test } from 'node:test'
import { createLog } from '../../src/log.ts'
import { HUB, makeFolder } from '../at-rest/whole-folder.ts'

const CANARY = 'Y2FuYXJ5LW9mLXRoZS1jb2FsLW1pbmUtMDAwMDAwMDA='

test('the log of a server at its most talkative holds no secret that went through it', async (t) => {
  let text = ''
  const destination = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      text += chunk.toString('utf8')
      done()
    },
  })
  const log = createLog({ level: 'debug', destination })
  const server = await makeFolder(t).start({ environment: { log } })
  const symmetricKey = { primaryKey: CANARY, secondaryKey: CANARY }
  await server.operate('PUT', `/hubs/${HUB}/devices/canary`, { authentication: { type: 'sas', symmetricKey } })
  await server.operate('PUT', '/enrollments/canary', { attestation: { type: 'symmetricKey', symmetricKey } })
  await server.operate('POST', '/keys/data/rotate')
  const authorization = `SharedAccessSignature sr=x&sig=${encodeURIComponent(CANARY)}&se=1`
  const asked = { host: 'plant.test', method: 'POST', path: '/devices/canary/messages/events?api-version=2020-03-13' }
  assert.equal((await server.ask({ ...asked, headers: { authorization }, body: CANARY })).status, 401)
  const wrong = { authorization: `Bearer holdfast_${CANARY}` }
  assert.equal((await server.ask({ ...asked, path: '/holdfast/v1/status', method: 'GET', headers: wrong })).status, 401)
  const inText = `Endpoint=sb://x/;SharedAccessKeyName=y;SharedAccessKey=${CANARY}`
  const bytes = Buffer.from(CANARY)
  log.info(
    { some: createSecretKey(bytes), deep: [{ other: bytes }], inText, url: `https://x/?a=1&sig=${CANARY}` },
    'by type',
  )
  log.info({ passphrase: CANARY, device: { primaryKey: CANARY }, a: { b: { token: CANARY } } }, 'logged by mistake')
  await server.close()
  assert.match(text, /logged by mistake/)
  assert.match(text, /"some":"\[redacted\]","deep":\[\{"other":"\[44 bytes\]"\}\]/)
  assert.match(text, /a new data key seals/)
  for (const secret of [CANARY, encodeURIComponent(CANARY)]) assert.ok(!text.includes(secret), text)
})
