import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseCertificate } from '@holdfast/pki'
import { makeDevice, makeRoot } from '../http/certificates.ts'
import { addOperator, create, decide, done, entriesOf, firstApprover, issue, renew, startStrict } from './team.ts'
import { told, waitingId } from './team.ts'

const HOUR_MS = 60 * 60 * 1000
const LINE = '/hubs/plant/authorities/line'

test('a dangerous act waits for a second person, is done once, and only as it was approved', async (t) => {
  const server = await startStrict(t)
  const sofia = await firstApprover(server)
  const root = await makeRoot('Plant')
  const put = () => server.operate(LINE, { method: 'PUT', body: { certificate: root.pem } })
  assert.equal((await put()).status, 200)
  const remove = () => server.operate(LINE, { method: 'DELETE' })
  const first = await remove()
  assert.match(first.json.error.message, /second person: another operator runs 'holdfast approvals approve/)
  const [waiting] = (await server.operate('/approvals')).json.value
  const { act, requestedBy, approvedBy, cutsOff, path } = waiting
  assert.deepEqual([act, requestedBy, approvedBy], ['authority.delete', 'owner', null])
  assert.equal(path, `DELETE /holdfast/v1${LINE}`)
  assert.match(cutsOff, /^0 devices rest on it at hub 'plant', and 0 live connections\.$/)
  assert.ok(!('request' in waiting) && !('state' in waiting))
  assert.equal(waitingId(await remove()), waiting.id, 'asked twice, it waits once')
  assert.equal((await decide(server, waiting.id, 'approve', {})).status, 403, 'nobody approves his own')
  assert.equal((await decide(server, waiting.id, 'approve', sofia)).status, 200)
  // What sofia approved was of the owner and of this CA.
  const bySofia = await server.operate(LINE, { method: 'DELETE', headers: sofia })
  assert.notEqual(waitingId(bySofia), waiting.id)
  assert.equal((await remove()).status, 204)
  assert.equal((await put()).status, 200)
  assert.notEqual(waitingId(await remove()), waiting.id, 'used up')
})

test('what waits, and what is approved, outlives a restart; what expires is written down', async (t) => {
  const server = await startStrict(t)
  const sofia = await firstApprover(server)
  const root = await makeRoot('Plant')
  await server.operate(LINE, { method: 'PUT', body: { certificate: root.pem } })
  const id = waitingId(await server.operate(LINE, { method: 'DELETE' }))
  const other = waitingId(await create(server, 'otto', 'operator'))
  assert.equal((await decide(server, id, 'approve', sofia)).status, 200)
  await server.stop()
  const again = await startStrict(t, { folder: server.folder })
  const kept = (await again.operate('/approvals')).json.value
  assert.deepEqual(
    kept.map((each: { id: string; approvedBy: string | null }) => [each.id, each.approvedBy]),
    [
      [id, 'sofia'],
      [other, null],
    ],
  )
  assert.equal((await again.operate(LINE, { method: 'DELETE' })).status, 204)
  again.skew = HOUR_MS + 1
  assert.deepEqual((await again.operate('/approvals')).json.value, [])
  assert.equal((await decide(again, other, 'approve', sofia)).status, 404)
  await again.stop()
  const last = await startStrict(t, { folder: server.folder })
  assert.deepEqual((await last.operate('/approvals')).json.value, [])
  assert.deepEqual(await told(last, /^approval\./), [
    'approval.requested event owner',
    'approval.requested event owner',
    'approval.approve intent sofia',
    'approval.approve done sofia',
    'approval.used event owner',
    'approval.expired event server',
    'approval.approve intent sofia',
    'approval.approve failed sofia',
  ])
  const used = (await entriesOf(last)).find(({ act }) => act === 'approval.used')
  assert.match(JSON.stringify(used?.detail), /"act":"authority\.delete".*"approvedBy":"sofia"/)
})

test('an approval is for one method, path, query, body and If-Match', async (t) => {
  const server = await startStrict(t)
  const sofia = await firstApprover(server)
  const [root, other] = [await makeRoot('Plant'), await makeRoot('Other')]
  const { etag } = (await server.operate(LINE, { method: 'PUT', body: { certificate: root.pem } })).json
  const replace = (path: string, certificate: string, ifMatch: string) =>
    server.operate(path, { method: 'PUT', body: { certificate }, headers: { 'if-match': ifMatch } })
  const ids = [
    waitingId(await replace(LINE, other.pem, '*')),
    waitingId(await replace(LINE, other.pem, etag)),
    waitingId(await replace(`${LINE}?x=1`, other.pem, '*')),
    waitingId(await replace(LINE, (await makeRoot('Third')).pem, '*')),
    waitingId(await server.operate(LINE, { method: 'DELETE' })),
    waitingId(await server.operate(LINE, { method: 'DELETE', headers: { 'if-match': '*' } })),
  ]
  assert.equal(new Set(ids).size, ids.length)
  assert.equal((await decide(server, ids[0] ?? '', 'approve', sofia)).status, 200)
  for (const [path, ifMatch] of [
    [LINE, etag],
    [`${LINE}?x=1`, '*'],
  ])
    assert.equal((await replace(path, other.pem, ifMatch)).status, 403)
  assert.equal((await replace(LINE, other.pem, '*')).status, 200)
})

test('who approves is told each dangerous act that is in one request, the gravest by name', async (t) => {
  const server = await startStrict(t)
  await firstApprover(server)
  const put = (body: object) =>
    server.operate('/enrollment-groups/line', { method: 'PUT', body, headers: { 'if-match': '*' } })
  const attestation = { type: 'symmetricKey' }
  const made = await server.operate('/enrollment-groups/line', {
    method: 'PUT',
    body: { attestation, sealed: 'verify' },
  })
  assert.equal(made.status, 200, made.text)
  const key = Buffer.alloc(32, 7).toString('base64')
  // Once disabled and given other keys, it could be enabled again without a question.
  const other = { ...attestation, symmetricKey: { primaryKey: key, secondaryKey: key } }
  waitingId(await put({ attestation: other, sealed: 'off', provisioningStatus: 'disabled' }))
  const root = await makeRoot('Plant')
  const [ca, another] = [await makeRoot('Plant'), await makeRoot('Other')]
  await server.operate(LINE, { method: 'PUT', body: { certificate: ca.pem } })
  const vouched = { certificate: another.pem, verified: true }
  waitingId(await server.operate(LINE, { method: 'PUT', body: vouched, headers: { 'if-match': '*' } }))
  const [group, authority] = (await server.operate('/approvals')).json.value
  assert.equal(group.act, 'enrollment-group.reroot')
  assert.match(group.cutsOff, /'enrollment-group\.unseal' too.*'enrollment-group\.disable' too/)
  assert.equal(authority.act, 'authority.vouch')
  assert.match(authority.cutsOff, new RegExp(`${parseCertificate(another.der).sha256}.* 'line' now goes: 0 devices`))
  // Another responder is one that may say nothing.
  const rules = '/hubs/plant/revocation-rules'
  const ocsp = (url: string) => server.operate(rules, { method: 'PUT', body: { authority: root.pem, ocsp: { url } } })
  assert.equal((await ocsp('http://127.0.0.1:9/a')).status, 200)
  waitingId(await ocsp('http://127.0.0.1:9/b'))
})

test('no file of the server is looked into before it is approved', async (t) => {
  const server = await startStrict(t)
  await firstApprover(server)
  const rotate = (uri: string) => server.operate('/keys/kek/rotate', { method: 'POST', body: { keyToken: uri } })
  const token = 'pkcs11:token=holdfast;id=%01?module-path=/usr/lib/p11.so'
  // Whether there is such a file, and what is in it, would be told by the answer; reading a pipe would stop the server.
  waitingId(await rotate(`${token}&pin-source=/nowhere/at/all`))
  assert.equal((await rotate(`${token}&pin-value=1234`)).status, 400)
})

test('what was approved of one state is not done to another', async (t) => {
  const server = await startStrict(t)
  const sofia = await firstApprover(server)
  const root = await makeRoot('Plant')
  await server.operate(LINE, { method: 'PUT', body: { certificate: root.pem } })
  const remove = () => server.operate(LINE, { method: 'DELETE', headers: { 'if-match': '*' } })
  const id = waitingId(await remove())
  assert.equal((await decide(server, id, 'approve', sofia)).status, 200)
  // A verification code moves the etag.
  assert.equal((await server.operate(`${LINE}/code`, { method: 'POST' })).status, 200)
  const voided = await remove()
  assert.match(voided.json.error.message, /has changed since/)
  assert.notEqual(waitingId(voided), id)
  assert.equal((await server.operate(LINE)).status, 200)
  assert.deepEqual(await told(server, /^approval\.(void|used)/), ['approval.void event owner'])
})

test('the first second person is made by one alone, loudly; nobody else is, and never again', async (t) => {
  const server = await startStrict(t)
  const lonely = await server.operate('/keys/kek/rotate', { method: 'POST', body: {} })
  assert.match(lonely.json.error.message, /there is none: make one with 'holdfast operator create/)
  assert.equal((await create(server, 'rita', 'reader')).status, 403, 'a reader helps nobody to approve')
  assert.equal((await create(server, 'sofia', 'security-officer')).status, 200)
  assert.equal((await create(server, 'carl', 'owner')).status, 403)
  const first = await issue(server, 'sofia')
  const second = await server.operate('/operators/sofia/tokens', { method: 'POST', body: {} })
  assert.equal(second.status, 403)
  assert.deepEqual(await told(server, /^second-person/), [
    'second-person.bypassed event owner',
    'second-person.bypassed event owner',
  ])
  const sofia = await renew(server, first)
  assert.equal((await server.operate('/operators', { headers: first })).status, 401, 'the old token is no more')
  // Whoever removes the second person does not get the way around back.
  assert.equal((await server.operate('/operators/sofia', { method: 'DELETE' })).status, 204)
  assert.equal((await server.operate('/operators', { headers: sofia })).status, 401)
  assert.equal((await create(server, 'puppet', 'security-officer')).status, 403)
  await server.stop()
  const again = await startStrict(t, { folder: server.folder })
  assert.equal((await create(again, 'puppet', 'security-officer')).status, 403)
})

test('who asks has no hand in who approves', async (t) => {
  const server = await startStrict(t)
  assert.equal((await create(server, 'sofia', 'security-officer')).status, 200)
  const seenByOwner = await issue(server, 'sofia')
  const ask = () => server.operate('/keys/kek/rotate', { method: 'POST', body: {} })
  const next = waitingId(await ask())
  const seen = await decide(server, next, 'approve', seenByOwner)
  assert.match(seen.json.error.message, /'owner' may have been told this token.*holdfast operator renew/)
  const sofia = await renew(server, seenByOwner)
  // carl is made by the owner, with sofia's consent, while the owner's act waits.
  const carl = await renew(server, await addOperator(server, 'carl', 'security-officer', sofia))
  const young = await decide(server, next, 'approve', carl)
  assert.match(young.json.error.message, /'carl', or this log-in, was made after 'owner' had asked/)
  const root = await makeRoot('Operators')
  const identity = await makeDevice(root, 'sofia')
  const body = { certificate: identity.cert }
  await done(server, { path: '/operators/sofia/certificates', method: 'POST', body }, sofia)
  const byCertificate = await server.ask(`/holdfast/v1/approvals/${next}/approve`, { method: 'POST', identity })
  assert.match(byCertificate.json.error.message, /this log-in, was made after/)
  assert.equal((await decide(server, next, 'approve', sofia)).status, 200)
  assert.equal((await ask()).status, 200)
})

test('an approval falls with the one who gave it, and with the one who asked', async (t) => {
  const server = await startStrict(t)
  const sofia = await firstApprover(server)
  const carl = await renew(server, await addOperator(server, 'carl', 'security-officer', sofia))
  server.skew += 1_000
  const ask = (headers = {}) => server.operate('/keys/kek/rotate', { method: 'POST', body: {}, headers })
  const id = waitingId(await ask())
  assert.equal((await decide(server, id, 'approve', carl)).status, 200)
  assert.equal((await server.operate('/operators/carl', { method: 'DELETE' })).status, 204)
  const fallen = await ask()
  assert.match(fallen.json.error.message, /who approved it has gone/)
  const bySofia = waitingId(await ask(sofia))
  assert.equal((await decide(server, bySofia, 'approve', {})).status, 200)
  assert.equal((await ask(sofia)).status, 200)
})

test('somebody denies it, and of one who asks no more than a hundred acts wait', async (t) => {
  const server = await startStrict(t)
  const sofia = await firstApprover(server)
  const ask = (name: string) => create(server, name, 'reader')
  const id = waitingId(await ask('r0'))
  assert.equal((await decide(server, id, 'deny', sofia)).status, 204)
  assert.equal((await decide(server, id, 'approve', sofia)).status, 404)
  for (let count = 0; count < 100; count++) assert.equal((await ask(`r${count}`)).status, 403)
  const full = await ask('one-more')
  assert.deepEqual([full.status, full.json.error.code], [429, 'throttled'])
  // Nobody is kept from asking by another.
  waitingId(await server.operate('/keys/kek/rotate', { method: 'POST', body: {}, headers: sofia }))
  assert.deepEqual(await told(server, /^approval\.deny/), ['approval.deny intent sofia', 'approval.deny done sofia'])
})
