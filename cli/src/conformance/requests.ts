import { request } from 'node:https'
import type { IncomingHttpHeaders } from 'node:http'
import { logInOf } from '../server-access.ts'
import type { ServerAccess } from '../server-access.ts'
import type { Site } from './check.ts'

const TIMEOUT_MS = 15_000

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
}

/**
 * A request with these headers, logged in when `as` says so; only the head of the answer is looked at. With `announced` it is
 * one with a body of so many bytes, of which the first alone is sent: whoever refuses by the head need not read the rest.
 */
export function ask(
  site: Site,
  path: string,
  headers: Record<string, string>,
  { announced, as }: { readonly announced?: number; readonly as?: ServerAccess } = {},
): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>()
  const { url, ca } = site.access
  const method = announced === undefined ? 'GET' : 'PUT'
  const length = announced === undefined ? {} : { 'content-length': announced }
  const logIn = as === undefined ? { headers: {} } : logInOf(as)
  const shown = { ...logIn, headers: { ...logIn.headers, ...headers, ...length } }
  const outgoing = request(
    new URL(path, url),
    { method, ...shown, ca, agent: false, timeout: TIMEOUT_MS },
    (answer) => {
      answer.resume()
      resolve({ status: answer.statusCode ?? 0, headers: answer.headers })
      if (announced !== undefined) outgoing.destroy()
    },
  )
  outgoing.once('timeout', () => outgoing.destroy(new Error(`no answer within ${TIMEOUT_MS / 1000} s`)))
  outgoing.on('error', reject)
  if (announced === undefined) outgoing.end()
  else outgoing.write(' ')
  return promise
}
