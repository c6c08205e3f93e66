import { existsSync, readFileSync } from 'node:fs'
import { request } from 'node:https'
import { rootCertificates } from 'node:tls'
import { join } from 'node:path'
import { CommandError } from './command-error.ts'
import { parseEnvFile } from './env-file.ts'

/** How the command line reaches a running server. */
export interface ServerAccess {
  /** e.g. https://localhost or https://hub.example.com:8443 */
  readonly url: URL
  /** null for a log-in by certificate. */
  readonly token: string | null
  /** The operator's certificate and key, PEM. */
  readonly client?: { readonly cert: string; readonly key: string }
  /** PEM of the roots to trust; undefined for the ones that Node ships. */
  readonly ca: string | undefined
}

export interface AccessOptions {
  readonly url?: string
  readonly tokenFile?: string
  readonly caFile?: string
  readonly clientCert?: string
  readonly clientKey?: string
  readonly data?: string
}

/** Options win over the environment, which wins over what a server on this machine wrote into its data folder. */
export function findServer(options: AccessOptions, environment: NodeJS.ProcessEnv): ServerAccess {
  const written = readWrittenAccess(options.data ?? 'data')
  const url = options.url ?? environment['HOLDFAST_MANAGEMENT_URL'] ?? written['HOLDFAST_MANAGEMENT_URL']
  const tokenFile =
    options.tokenFile ?? environment['HOLDFAST_MANAGEMENT_TOKEN_FILE'] ?? written['HOLDFAST_MANAGEMENT_TOKEN_FILE']
  const client = clientOf(options)
  if (!url || (!tokenFile && client === undefined)) {
    throw new CommandError(
      `no server found: there is no holdfast.env in '${options.data ?? 'data'}'. Start one with 'npm start', name its data folder with --data, or give --url and --token-file`,
    )
  }
  return {
    url: parseUrl(url),
    token: client === undefined ? readFileOrExplain(tokenFile ?? '', 'the management token').trim() : null,
    ca: rootsOf(options, environment),
    ...(client && { client }),
  }
}

/** What a request shows to log in. */
export function logInOf({ token, client }: ServerAccess): {
  readonly headers: Record<string, string>
  readonly cert?: string
  readonly key?: string
} {
  return { ...client, headers: token === null ? {} : { authorization: `Bearer ${token}` } }
}

/** A certificate that is named takes the place of every token. */
function clientOf({ clientCert, clientKey }: AccessOptions): ServerAccess['client'] {
  if (clientCert === undefined && clientKey === undefined) return undefined
  if (clientCert === undefined || clientKey === undefined)
    throw new CommandError('--client-cert and --client-key go together', 2)
  return {
    cert: readFileOrExplain(clientCert, 'the client certificate'),
    key: readFileOrExplain(clientKey, 'the key of the client certificate'),
  }
}

/**
 * PEM of the roots to trust besides the ones that Node ships; undefined when there are none. A machine may name a bundle of
 * its company in NODE_EXTRA_CA_CERTS: that must not hide the root that the server on this machine wrote down.
 */
export function rootsOf(options: AccessOptions, environment: NodeJS.ProcessEnv): string | undefined {
  const name = 'NODE_EXTRA_CA_CERTS'
  const known = [environment[name], readWrittenAccess(options.data ?? 'data')[name]].filter((file) => file)
  const files = options.caFile === undefined ? [...new Set(known)] : [options.caFile]
  if (files.length === 0) return undefined
  return [...files.map((file) => readFileOrExplain(file ?? '', 'the CA file')), ...rootCertificates].join('\n')
}

function readWrittenAccess(data: string): Record<string, string> {
  const file = join(data, 'holdfast.env')
  return existsSync(file) ? parseEnvFile(readFileSync(file, 'utf8')) : {}
}

function parseUrl(text: string): URL {
  const url = URL.parse(text)
  if (!url || url.protocol !== 'https:') throw new CommandError(`'${text}' is not an https address`, 2)
  return url
}

function readFileOrExplain(path: string, what: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code
    throw new CommandError(
      `${what} '${path}' cannot be read${code === 'EACCES' ? ': run as the user that runs the server' : ` (${code ?? String(cause)})`}`,
    )
  }
}

export interface ApiRequest {
  readonly method: 'GET' | 'PUT' | 'POST' | 'PATCH' | 'DELETE'
  readonly path: string
  readonly body?: unknown
  readonly headers?: Record<string, string>
}

const RESPONSE_LIMIT = 64 * 1024 * 1024
const TIMEOUT_MS = 60_000

/** Calls the management API; an error answer becomes a CommandError with the server's own words. */
export async function callApi<T>(access: ServerAccess, call: ApiRequest): Promise<T> {
  const { status, text } = await send(access, call)
  const json: unknown = text === '' ? null : parseJson(text)
  if (status < 300) return json as T
  throw new CommandError(explain(status, json, text))
}

function send(access: ServerAccess, call: ApiRequest): Promise<{ status: number; text: string }> {
  const payload = call.body === undefined ? undefined : JSON.stringify(call.body)
  return new Promise((resolve, reject) => {
    const outgoing = request(
      new URL(call.path, access.url),
      {
        method: call.method,
        ca: access.ca,
        ...access.client,
        timeout: TIMEOUT_MS,
        headers: {
          ...(access.token !== null && { authorization: `Bearer ${access.token}` }),
          accept: 'application/json',
          ...(payload === undefined
            ? {}
            : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) }),
          ...call.headers,
        },
      },
      (answer) => {
        const chunks: Buffer[] = []
        let size = 0
        answer.on('data', (chunk: Buffer) => {
          size += chunk.length
          if (size > RESPONSE_LIMIT) answer.destroy(new Error('the answer is too large'))
          else chunks.push(chunk)
        })
        answer.on('error', reject)
        answer.on('end', () =>
          resolve({ status: answer.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') }),
        )
      },
    )
    outgoing.on('timeout', () => outgoing.destroy(new Error(`no answer within ${TIMEOUT_MS / 1000} s`)))
    outgoing.on('error', (cause) => reject(unreachable(access.url, cause)))
    outgoing.end(payload)
  })
}

function unreachable(url: URL, cause: Error & { code?: string }): CommandError {
  if (cause.code === 'ECONNREFUSED') return new CommandError(`nothing listens at ${url.origin}: is the server running?`)
  const trust = cause.code === 'SELF_SIGNED_CERT_IN_CHAIN' || cause.code?.startsWith('UNABLE_TO')
  return new CommandError(
    trust
      ? `the server's certificate at ${url.origin} is signed by a root that is not trusted here: give it with --ca-file`
      : `${url.origin} cannot be reached: ${cause.message}`,
  )
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

function explain(status: number, json: unknown, text: string): string {
  const body = (json ?? {}) as {
    message?: string
    Message?: string
    remedy?: string
    error?: { message?: string }
    trackingId?: string
  }
  const message = body.message ?? body.Message ?? body.error?.message ?? (text.slice(0, 200) || `HTTP ${status}`)
  const remedy = body.remedy ? ` ${body.remedy}` : ''
  if (status === 401)
    return `${message} The token or certificate that was shown does not log in here: it is of another server, was revoked or has expired.`
  const tracking = body.trackingId ? ` (tracking id ${body.trackingId})` : ''
  return `${message}${remedy}${tracking}`
}
