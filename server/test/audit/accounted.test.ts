import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import iothub from 'azure-iothub'
import { openAppendFile } from '../../src/audit/append-file.ts'
import type { OpenAppendFile } from '../../src/audit/append-file.ts'
import { readLine } from '../../src/audit/entry.ts'
import type { AuditEntry } from '../../src/audit/entry.ts'
import { verifyAuditLog } from '../../src/audit/verify.ts'
import { sasToken } from '../hub/workbench.ts'
import { makeProof, makeRoot } from '../http/certificates.ts'
import { HUB_HOST, lead, startServer } from '../http/running-server.ts'
import type { RunningServer } from '../http/running-server.ts'

async function entriesOf(server: RunningServer): Promise<AuditEntry[]> {
  // Events are written without being waited for; what is signed holds all of them.
  await server.operate('/audit/checkpoint', { method: 'POST' })
  const { json } = await server.operate('/audit?limit=1000')
  return json.lines.map((line: string) => {
    const entry = readLine(line)
    assert.ok(typeof entry !== 'string', `${entry}`)
    return entry
  })
}

test('an act is written down before and after: who, from where, what, before and after, without secrets', async (t) => {
  const server = await startServer(t)
  const authority = '/hubs/plant/authorities/line'
  const root = await makeRoot('Plant')
  await server.operate(authority, { method: 'PUT', body: { certificate: root.pem, verified: true } })
  await server.operate(authority, { method: 'DELETE' })
  const device = await server.operate('/hubs/plant/devices/d1', { method: 'PUT', body: {} })
  await server.operate('/hubs/plant/devices/d1', {
    method: 'PATCH',
    body: { status: 'disabled', statusReason: 'stolen' },
  })
  await server.operate('/hubs/plant/devices/d2', { method: 'DELETE' })
  await server.operate('/operators/rita', { method: 'PUT', body: { role: 'reader' } })
  const { json: token } = await server.operate('/operators/rita/tokens', { method: 'POST', body: {} })
  await server.ask('/holdfast/v1/hubs/plant/devices/d1', {
    method: 'DELETE',
    headers: { authorization: `Bearer ${token.token}` },
  })
  await server.ask('/holdfast/v1/status', { headers: { authorization: 'Bearer holdfast_guess' } })
  const entries = await entriesOf(server)
  const told = entries
    .filter(({ kind, act }) => ['intent', 'outcome'].includes(kind) && act !== 'audit.checkpoint')
    .map(({ act, kind, result }) => `${act} ${kind}${result === undefined ? '' : ` ${result}`}`)
  assert.deepEqual(told, [
    'authority.register intent',
    'authority.register outcome done',
    'authority.delete intent',
    'authority.delete outcome done',
    'device.put intent',
    'device.put outcome done',
    'device.change intent',
    'device.change outcome done',
    'device.delete intent',
    'device.delete outcome failed',
    'operator.create intent',
    'operator.create outcome done',
    'operator.issue-token intent',
    'operator.issue-token outcome done',
  ])
  const removed = entries.find(({ act, kind }) => act === 'authority.delete' && kind === 'intent')
  assert.deepEqual(removed?.who, { name: 'owner', role: 'owner', method: 'token' })
  assert.deepEqual(removed?.from, { address: '127.0.0.1', protocol: 'https' })
  assert.deepEqual(removed?.target, { hub: 'plant', name: 'line' })
  assert.match(JSON.stringify(removed?.before), /"state":"verified"/)
  const changed = entries.find(({ act, kind }) => act === 'device.change' && kind === 'intent')
  const outcome = entries.find(({ of }) => of === changed?.sequence)
  assert.match(JSON.stringify(changed?.before), /"status":"enabled"/)
  assert.match(JSON.stringify(outcome?.after), /"status":"disabled"/)
  assert.ok(entries.some(({ act, who }) => act === 'access.denied' && who.name === 'rita'))
  assert.ok(entries.some(({ act, trackingId }) => act === 'login.failed' && trackingId !== null))
  const text = JSON.stringify(entries)
  for (const secret of [device.json.authentication.symmetricKey.primaryKey, token.token, server.token])
    assert.ok(!text.includes(secret), 'a secret is in the log')
})

test('what a service does with its policy is written down in the name of the policy', async (t) => {
  const server = await startServer(t)
  const registry = iothub.Registry.fromConnectionString(await server.hubConnectionString())
  lead(registry, '_restApiClient', server.agent())
  await registry.create({ deviceId: 'd1' })
  const put = (await entriesOf(server)).find(({ act, kind }) => act === 'device.put' && kind === 'outcome')
  assert.deepEqual(put?.who, { name: `${HUB_HOST} iothubowner`, role: null, method: 'policy' })
})

test('start and stop, settings and an end that was none are in the log, which can be verified as it lies', async (t) => {
  const server = await startServer(t)
  const [, started] = await entriesOf(server)
  assert.equal(started?.act, 'server.started')
  assert.match(JSON.stringify(started?.detail), /"secondPerson":false/)
  const folder = join(server.folder, 'data', 'audit')
  const checkpoint = (await server.operate('/audit/checkpoint', { method: 'POST' })).json
  await server.operate('/audit/key/rotate', { method: 'POST' })
  await server.stop()
  const verdict = verifyAuditLog(folder, { checkpoints: [checkpoint], publicKey: checkpoint.publicKey })
  assert.deepEqual(verdict.findings, [])
  assert.equal(verdict.keys.length, 2)
  const text = readdirSync(folder)
    .map((name) => readFileSync(join(folder, name), 'utf8'))
    .join('')
  assert.match(text, /"act":"server.stopped"/)
  assert.ok(
    !text.includes('PRIVATE KEY') &&
      readFileSync(join(folder, 'signing-keys.sealed'), 'utf8').startsWith('holdfast-sealed-1:'),
  )
})

test('an audit log that cannot be written stops acts, which are not done, and neither reading nor telemetry', async (t) => {
  let isFull = false
  const openAuditFile: OpenAppendFile = async (path) => {
    const file = await openAppendFile(path)
    const full = Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' })
    return { ...file, write: (bytes, at) => (isFull ? Promise.reject(full) : file.write(bytes, at)) }
  }
  const server = await startServer(t, {}, { environment: { openAuditFile } })
  const made = await server.operate('/hubs/plant/devices/d1', { method: 'PUT', body: {} })
  assert.equal(made.status, 200)
  isFull = true
  const refused = await server.operate('/hubs/plant/devices/d1', { method: 'DELETE' })
  assert.deepEqual([refused.status, refused.json.error.code], [507, 'storage-full'])
  assert.match(refused.json.error.message, /audit log .*disk is full.*nothing was changed/)
  assert.equal((await server.operate('/hubs/plant/devices/d1')).status, 200)
  assert.ok((await server.operate('/audit/state')).json.trouble)
  const { primaryKey: key } = made.json.authentication.symmetricKey
  const authorization = sasToken({
    sr: encodeURIComponent(`${HUB_HOST}/devices/d1`),
    key,
    se: Math.floor(Date.now() / 1000) + 60,
  })
  const sent = await server.ask('/devices/d1/messages/events?api-version=2021-04-12', {
    method: 'POST',
    body: 'still here',
    headers: { authorization },
  })
  assert.equal(sent.status, 204)
  isFull = false
  assert.equal((await server.operate('/hubs/plant/devices/d1', { method: 'DELETE' })).status, 204)
})

test('what SDKs and the command line change by the other APIs is told as fully: before, after and which CA', async (t) => {
  const server = await startServer(t)
  const base =
    '/subscriptions/s/resourceGroups/g/providers/Microsoft.Devices/IotHubs/plant/certificates/line?api-version=2023-06-30'
  const root = await makeRoot('Plant root')
  const arm = (path: string, method: 'PUT' | 'POST' | 'DELETE', body?: object, etag?: string) =>
    server.ask(path, {
      method,
      headers: { authorization: `Bearer ${server.token}`, ...(etag && { 'if-match': etag }) },
      ...(body && { body }),
    })
  const put = await arm(base, 'PUT', { properties: { certificate: root.der.toString('base64') } })
  assert.equal(put.status, 200, put.text)
  const coded = await arm(base.replace('line?', 'line/generateVerificationCode?'), 'POST', undefined, put.json.etag)
  const code: string = coded.json.properties.verificationCode
  const wrong = await makeProof(root, 'another')
  await arm(base.replace('line?', 'line/verify?'), 'POST', { certificate: wrong.toString('base64') }, coded.json.etag)

  const registry = iothub.Registry.fromConnectionString(await server.hubConnectionString())
  lead(registry, '_restApiClient', server.agent())
  await registry.create({ deviceId: 'd1', tags: { site: 'hall 9' } } as never)
  await registry.update({ deviceId: 'd1', status: 'disabled', etag: '*' } as never)
  await registry.removeDevices([{ deviceId: 'd1' } as never], true)

  const entries = await entriesOf(server)
  const of = (act: string, kind: string) => entries.filter((entry) => entry.act === act && entry.kind === kind)
  const shown = (value: unknown) => JSON.stringify(value)
  const [registered] = of('authority.register', 'outcome')
  const [proof] = of('authority.prove', 'intent')
  assert.deepEqual(registered?.target, { resource: 'plant', certificate: 'line' })
  for (const state of [registered?.after, proof?.before]) {
    assert.match(shown(state), /"subject":"[^"]*Plant root/)
    assert.match(shown(state), /"isVerified":false/)
  }
  assert.match(shown(of('authority.prove', 'outcome')[0]?.after), /"code":"ProofOfPossessionFailed"/)
  assert.match(shown(of('device.put', 'intent').at(-1)?.before), /"status":"enabled"/)
  assert.match(shown(of('device.bulk', 'intent')[0]?.before), /"status":"disabled"/)
  for (const secret of [code, 'hall 9']) assert.ok(!shown(entries).includes(secret), `${secret} is in the log`)
})

test('every other act tells what stood before it, too', async (t) => {
  const server = await startServer(t)
  const root = await makeRoot('Plant root')
  const hub = '/hubs/plant'
  const operate = async (path: string, method: 'PUT' | 'POST' | 'DELETE', body?: object) => {
    const answer = await server.operate(`${hub}${path}`, { method, ...(body && { body }) })
    assert.ok(answer.status < 300, `${path}: ${answer.text}`)
    return answer.json
  }
  await operate('/authorities/line', 'PUT', { certificate: root.pem })
  await operate('/authorities/line/code', 'POST')
  await operate('/devices/d1', 'PUT', { authentication: { type: 'certificateAuthority' } })
  await operate('/devices/d1/duplicates', 'PUT', { policy: 'refuse-new' })
  await operate('/devices/d1/duplicates', 'PUT', { policy: null })
  await operate('/policies/service/rotate', 'POST', { key: 'primary' })
  const { id: hook } = await operate('/webhooks', 'POST', { url: 'https://hooks.example.com/x' })
  await operate(`/webhooks/${hook}`, 'DELETE')
  await operate('/revocation-rules', 'PUT', { authority: 'line', policy: 'require' })
  await operate('/revocation-rules', 'PUT', { authority: 'line', policy: 'prefer' })
  const held = await operate('/revocations', 'POST', { device: 'd1', reason: 'certificateHold' })
  await operate('/revocations/lift', 'POST', { id: held.revocations[0].id })

  const entries = await entriesOf(server)
  const before = (act: string) =>
    JSON.stringify(entries.findLast((entry) => entry.act === act && entry.kind === 'intent')?.before)
  assert.match(before('authority.issue-code'), /"subject":"CN=Plant root"/)
  assert.match(before('device.set-duplicates'), /"duplicates":"refuse-new"/)
  assert.match(before('policy.rotate'), /"name":"service".*"primaryKey":"\(secret [0-9a-f]{16}\)"/)
  assert.match(before('webhook.delete'), /"url":"https:\/\/hooks\.example\.com\//)
  assert.match(before('revocation-rule.set'), /"policy":"require"/)
  assert.match(before('revocation.lift'), /"reason":"certificateHold"/)
  assert.equal(entries.find(({ act }) => act === 'revocation.revoke')?.who.name, 'owner')
  assert.equal(held.revocations[0].by, 'owner')
})
