import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { test } from 'node:test'
import type { StatedAccess } from '../../src/http/stated-access.ts'
import { DEFAULT_HUB_POLICIES, DEFAULT_PROVISIONING_POLICIES } from '../../src/model/access-policy.ts'
import { OPERATOR_RIGHTS, ROLES } from '../../src/model/operator.ts'
import type { Role } from '../../src/model/operator.ts'
import { makeDevice, makeRoot } from '../http/certificates.ts'
import type { TestIdentity } from '../http/certificates.ts'
import { HUB_HOST, PROVISIONING_HOST } from '../http/running-server.ts'
import type { Reply, RunningServer } from '../http/running-server.ts'
import { ALLOWED, OPERATOR_ROUTES } from './rights-table.ts'
import { startWithRoutes } from './routes.ts'
import type { Route } from './routes.ts'

const MINUTE_MS = 60_000
/** Nothing of this name is there: what is let in fails later, or changes what nobody misses. */
const PARAMETER = 'nobody'

test('every route of the operator asks for the right in the table, of every role and of strangers', async (t) => {
  const { server, routes } = await startWithRoutes(t)
  const stated = routes.filter(({ access }) => access?.kind === 'operator' || access === undefined)
  assert.deepEqual(
    Object.fromEntries(
      stated.map(({ method, url, access }) => [`${method.replace('HEAD', 'GET')} ${url}`, rightOf(access)]).toSorted(),
    ),
    Object.fromEntries(Object.entries(OPERATOR_ROUTES).toSorted()),
  )
  const tokens = await tokensOf(server)
  const stranger = await makeDevice(await makeRoot('Strangers'), 'stranger')
  const denied = await strangers(server, tokens)
  // Renewing the certificate by a clock that is ahead ends all new connections.
  const rank = ({ url }: Route): number => Number(url.endsWith('/server-certificate/renew'))
  const inOrder = stated.toSorted((a, b) => rank(a) - rank(b))
  for (const { method, url, access } of inOrder) {
    const right = rightOf(access)
    for (const [who, headers] of Object.entries(denied)) {
      const reply = await knock(server, { method, url }, headers)
      assert.equal(reply.status, 401, `${method} ${url} for ${who}`)
    }
    assert.equal((await knock(server, { method, url }, {}, stranger)).status, 401, `${method} ${url} for a stranger`)
    // Failed log-ins are counted by the minute.
    server.skew += MINUTE_MS
    for (const role of ROLES) {
      const reply = await knock(server, { method, url }, { authorization: `Bearer ${tokens[role]}` })
      const expected = ALLOWED[role].includes(right)
      if (right === 'own-token.renew') tokens[role] = reply.json.token
      assert.equal(isLetIn(reply), expected, `${method} ${url} (${right}) for ${role}: ${reply.status} ${reply.text}`)
    }
  }
})

test('the table of rights names every right and nothing else', () => {
  assert.deepEqual([...ALLOWED.owner].toSorted(), [...OPERATOR_RIGHTS].toSorted())
  const used = new Set(Object.values(OPERATOR_ROUTES))
  // Shows more of what another right lets see.
  used.add('devices.secrets')
  assert.deepEqual([...used].toSorted(), [...OPERATOR_RIGHTS].toSorted())
})

test('every route of a service asks for the right of its policy', async (t) => {
  const { server, routes } = await startWithRoutes(t)
  const policies = [
    ...DEFAULT_HUB_POLICIES.map((policy) => ({ ...policy, kind: 'hub-policy', host: HUB_HOST })),
    ...DEFAULT_PROVISIONING_POLICIES.map((policy) => ({
      ...policy,
      kind: 'provisioning-policy',
      host: PROVISIONING_HOST,
    })),
  ]
  let walked = 0
  for (const { method, url, access } of routes) {
    if (access?.kind !== 'hub-policy' && access?.kind !== 'provisioning-policy') continue
    for (const { name, rights, kind, host } of policies) {
      const rightsOfPolicy: readonly string[] = rights
      const expected: boolean = kind === access.kind && rightsOfPolicy.includes(access.right)
      const token = await sasToken(server, kind, host, name)
      const askedHost = access.kind === 'hub-policy' ? HUB_HOST : PROVISIONING_HOST
      const reply = await knock(server, { method, url }, { authorization: token }, undefined, askedHost)
      assert.equal(isLetIn(reply), expected, `${method} ${url} (${access.right}) for ${name}: ${reply.status}`)
    }
    const host = access.kind === 'hub-policy' ? HUB_HOST : PROVISIONING_HOST
    assert.equal((await knock(server, { method, url }, {}, undefined, host)).status, 401, `${method} ${url} for nobody`)
    const bearer = { authorization: `Bearer ${server.token}` }
    assert.equal(
      (await knock(server, { method, url }, bearer, undefined, host)).status,
      401,
      `${method} ${url} for an owner`,
    )
    walked++
  }
  assert.ok(walked > 20, `${walked} routes`)
})

test('every other route says that it is for devices or for everybody', async (t) => {
  const { server, routes } = await startWithRoutes(t)
  const others = routes.filter(({ access }) => access?.kind === 'device' || access?.kind === 'everybody')
  const open: string[] = []
  for (const { method, url, access } of others) {
    const reply = await knock(server, { method, url }, {})
    if (access?.kind === 'device') assert.equal(reply.status, 401, `${method} ${url}`)
    else if (reply.status !== 501) open.push(`${method} ${url}`)
  }
  assert.deepEqual(open.filter((each) => !each.startsWith('HEAD')).toSorted(), [
    'GET /crl/:file',
    'GET /healthz',
    'GET /holdfast/v1/openapi.json',
    'GET /readyz',
  ])
})

function rightOf(access: StatedAccess | undefined): string {
  return access !== undefined && 'right' in access ? access.right : 'not stated'
}

async function tokensOf(server: RunningServer): Promise<Record<Role, string>> {
  const tokens: Partial<Record<Role, string>> = {}
  for (const role of ROLES) tokens[role] = await operatorToken(server, `test-${role}`, role)
  return tokens as Record<Role, string>
}

async function operatorToken(server: RunningServer, name: string, role: Role, expiresIn?: number): Promise<string> {
  assert.equal((await server.operate(`/operators/${name}`, { method: 'PUT', body: { role } })).status, 200)
  const body = expiresIn === undefined ? {} : { expiresIn }
  const made = await server.operate(`/operators/${name}/tokens`, { method: 'POST', body })
  assert.equal(made.status, 201)
  return made.json.token
}

async function strangers(
  server: RunningServer,
  tokens: Record<Role, string>,
): Promise<Record<string, Record<string, string>>> {
  const expired = await operatorToken(server, 'test-expired', 'owner', 1)
  server.skew += 2_000
  const revoked = await operatorToken(server, 'test-revoked', 'owner')
  assert.equal((await server.operate('/operators/test-revoked', { method: 'DELETE' })).status, 204)
  return {
    nobody: {},
    'an expired token': { authorization: `Bearer ${expired}` },
    'a revoked token': { authorization: `Bearer ${revoked}` },
    'a guessed token': { authorization: `Bearer ${tokens.owner.slice(0, -2)}xx` },
  }
}

function knock(
  server: RunningServer,
  { method, url }: { method: string; url: string },
  headers: Record<string, string>,
  identity?: TestIdentity,
  host = HUB_HOST,
): Promise<Reply> {
  const path = url.replaceAll(/:\w+/g, PARAMETER)
  const version = url.startsWith('/holdfast') ? '' : '?api-version=2021-04-12'
  const hasBody = ['POST', 'PUT', 'PATCH'].includes(method)
  return server.ask(`${path}${version}`, {
    method,
    host,
    headers: { 'if-match': '*', ...headers },
    ...(hasBody && { body: {} }),
    ...(identity && { identity }),
  })
}

function isLetIn({ status }: Reply): boolean {
  return status !== 401 && status !== 403
}

async function sasToken(server: RunningServer, kind: string, host: string, name: string): Promise<string> {
  const path = kind === 'hub-policy' ? '/hubs/plant/policies' : '/provisioning/policies'
  const { json } = await server.operate(path)
  const { primaryKey } = json.value.find((policy: { name: string }) => policy.name === name)
  const [resource, expiry] = [encodeURIComponent(host), Math.floor(Date.now() / 1000) + 3600]
  const signature = createHmac('sha256', Buffer.from(primaryKey, 'base64'))
    .update(`${resource}\n${expiry}`)
    .digest('base64')
  return `SharedAccessSignature sr=${resource}&sig=${encodeURIComponent(signature)}&se=${expiry}&skn=${name}`
}
