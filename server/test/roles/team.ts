import assert from 'node:assert/strict'
import { readLine } from '../../src/audit/entry.ts'
import type { AuditEntry } from '../../src/audit/entry.ts'
import { startServer } from '../http/running-server.ts'
import type { Ask, Reply, RunningServer } from '../http/running-server.ts'
import type { TestContext } from 'node:test'

export type LogIn = Readonly<Record<string, string>>

/** A server that wants a second person. */
export function startStrict(t: TestContext, more: { folder?: string } = {}): Promise<RunningServer> {
  return startServer(t, {}, { settings: { management: { secondPerson: true } }, ...more })
}

export async function create(server: RunningServer, name: string, role: string, headers: LogIn = {}): Promise<Reply> {
  return server.operate(`/operators/${name}`, { method: 'PUT', body: { role }, headers })
}

export async function issue(server: RunningServer, name: string, headers: LogIn = {}): Promise<LogIn> {
  const made = await server.operate(`/operators/${name}/tokens`, { method: 'POST', body: {}, headers })
  assert.equal(made.status, 201, made.text)
  return { authorization: `Bearer ${made.json.token}` }
}

export async function renew(server: RunningServer, headers: LogIn): Promise<LogIn> {
  const renewed = await server.operate('/own-token/renew', { method: 'POST', headers })
  assert.equal(renewed.status, 200, renewed.text)
  return { authorization: `Bearer ${renewed.json.token}` }
}

/** The first one who can approve: made by the owner alone, with a token that nobody else has seen. */
export async function firstApprover(server: RunningServer, name = 'sofia'): Promise<LogIn> {
  assert.equal((await create(server, name, 'security-officer')).status, 200)
  return renew(server, await issue(server, name))
}

/** Another operator, by the owner and `approver`. */
export async function addOperator(server: RunningServer, name: string, role: string, approver: LogIn): Promise<LogIn> {
  const path = `/operators/${name}`
  await done(server, { path, method: 'PUT', body: { role } }, approver)
  const made = await done(server, { path: `${path}/tokens`, method: 'POST', body: {} }, approver)
  return { authorization: `Bearer ${made.json.token}` }
}

/** Asks as the owner, has it approved, and asks again. */
export async function done(
  server: RunningServer,
  { path, ...ask }: Ask & { readonly path: string },
  approver: LogIn,
): Promise<Reply> {
  const id = waitingId(await server.operate(path, ask))
  assert.equal((await decide(server, id, 'approve', approver)).status, 200)
  const reply = await server.operate(path, ask)
  assert.ok(reply.status < 300, reply.text)
  return reply
}

/** Id of the approval that an answer names. */
export function waitingId(reply: Reply): string {
  assert.equal(reply.status, 403, reply.text)
  const [, id = ''] = /(?:approve |then ')([0-9a-f]{12})/.exec(reply.text) ?? []
  assert.notEqual(id, '', reply.text)
  return id
}

export function decide(server: RunningServer, id: string, verdict: 'approve' | 'deny', headers: LogIn): Promise<Reply> {
  return server.operate(`/approvals/${id}/${verdict}`, { method: 'POST', headers })
}

/** What the audit log holds. */
export async function entriesOf(server: RunningServer): Promise<readonly AuditEntry[]> {
  await server.operate('/audit/checkpoint', { method: 'POST' })
  const { json } = await server.operate('/audit?limit=1000')
  return json.lines.map((line: string) => {
    const entry = readLine(line)
    assert.ok(typeof entry !== 'string', `${entry}`)
    return entry
  })
}

/** Entries of these acts, as one line each. */
export async function told(server: RunningServer, acts: RegExp): Promise<string[]> {
  return (await entriesOf(server))
    .filter(({ act }) => acts.test(act))
    .map(({ act, kind, result, who }) => `${act} ${result ?? kind} ${who.name}`)
}
