import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodePem } from '@holdfast/pki'
import type { OperatorRight, Role } from '../../src/model/operator.ts'
import { ROLES } from '../../src/model/operator.ts'
import { makeRoot } from '../http/certificates.ts'
import { startServer } from '../http/running-server.ts'
import type { RunningServer } from '../http/running-server.ts'
import { ALLOWED, OPERATOR_ROUTES } from './rights-table.ts'

/** What lets somebody act, and the right of those who may see it. */
type Secret = readonly [text: string, right: OperatorRight]

const PARAMETERS: Readonly<Record<string, string>> = {
  ':hub': 'plant',
  ':name': 'line',
  ':certificate': 'line',
  ':id': 'line',
  ':deviceId': 'line',
  ':resource': 'plant',
  ':subscription': 'any',
  ':group': 'any',
}

test('no answer shows a secret to a role that may not act by it', async (t) => {
  const server = await startServer(t)
  const secrets = await plant(server)
  const shown = new Set<Secret>()
  for (const role of ROLES) {
    const headers = { authorization: `Bearer ${await tokenOf(server, role)}` }
    for (const route of Object.keys(OPERATOR_ROUTES)) {
      const [method, template = ''] = route.split(' ')
      if (method !== 'GET') continue
      const path = template.replaceAll(/:\w+/g, (name) => PARAMETERS[name] ?? 'line')
      const { text } = await server.ask(path, { headers })
      for (const secret of secrets) {
        if (!text.includes(secret[0])) continue
        assert.ok(ALLOWED[role].includes(secret[1]), `${route} shows ${role} what is for those with ${secret[1]}`)
        shown.add(secret)
      }
    }
  }
  // Whoever may act by it sees it: the walk has met each of them.
  assert.equal(shown.size, secrets.length)
})

test('what hides a secret leaves the rest', async (t) => {
  const server = await startServer(t)
  await plant(server)
  const headers = { authorization: `Bearer ${await tokenOf(server, 'reader')}` }
  const read = async (path: string) => (await server.ask(`/holdfast/v1${path}`, { headers })).json
  assert.equal((await read('/hubs/plant/webhooks')).value[0].url, 'https://hooks.example.com/…')
  const { customAllocationDefinition } = await read('/enrollment-groups/line')
  assert.equal(customAllocationDefinition.webhookUrl, 'https://allocate.example.com/…')
  const authority = await read('/hubs/plant/authorities/line')
  assert.equal(authority.state, 'code-issued')
  assert.ok(Date.parse(authority.verificationCodeExpires) > 0)
})

async function plant(server: RunningServer): Promise<readonly Secret[]> {
  const operate = async (path: string, method: string, body: object = {}) => {
    const answer = await server.operate(path, { method, body })
    assert.ok(answer.status < 300, `${method} ${path}: ${answer.status} ${answer.text}`)
    return answer.json
  }
  const custom = (secret: string) => ({
    attestation: { type: 'symmetricKey', symmetricKey: { primaryKey: '', secondaryKey: '' } },
    allocationPolicy: 'custom',
    customAllocationDefinition: {
      webhookUrl: `https://allocate.example.com/${secret}?code=${secret}`,
      apiVersion: '2021-10-01',
    },
  })
  await operate('/hubs/plant/webhooks', 'POST', { url: 'https://hooks.example.com/T0/planted-in-webhook?k=1' })
  await operate('/enrollment-groups/line', 'PUT', custom('planted-in-group'))
  await operate('/enrollments/line', 'PUT', custom('planted-in-enrollment'))
  const certificate = encodePem('CERTIFICATE', (await makeRoot('Line')).der)
  await operate('/hubs/plant/authorities/line', 'PUT', { certificate })
  const { verificationCode: code } = await operate('/hubs/plant/authorities/line/code', 'POST')
  assert.ok(code.length >= 32)
  return [
    ['planted-in-webhook', 'webhooks.write'],
    ['planted-in-group', 'enrollments.write'],
    ['planted-in-enrollment', 'enrollments.write'],
    [code, 'authorities.write'],
  ]
}

async function tokenOf(server: RunningServer, role: Role): Promise<string> {
  await server.operate(`/operators/${role}`, { method: 'PUT', body: { role } })
  return (await server.operate(`/operators/${role}/tokens`, { method: 'POST', body: {} })).json.token
}
