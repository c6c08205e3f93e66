import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  encodePem,
  generateKey,
  issueDevice,
  issueIntermediate,
  issueRoot,
  issuerOf,
  keySigner,
  parseCertificate,
  spkiOf,
} from '@holdfast/pki'
import type { Issuer } from '@holdfast/pki'

const DAY = 24 * 60 * 60 * 1000

export interface BenchDevice {
  readonly id: string
  /** PEM: leaf and intermediate. */
  readonly cert: string
  readonly key: string
}

/** A server in its own process and folder, with a verified CA, for the benchmarks to load. */
export class BenchServer {
  readonly ports: { readonly mqtt: number; readonly https: number; readonly amqp: number }
  readonly idScope: string
  readonly ca: string
  readonly #token: string
  readonly #child: ChildProcess
  readonly #folder: string
  readonly #issuer: Issuer
  readonly #intermediate: Buffer

  private constructor(child: ChildProcess, folder: string, hello: Hello, issuer: Issuer, intermediate: Buffer) {
    this.#child = child
    this.#folder = folder
    this.ports = hello.ports
    this.idScope = hello.idScope
    this.ca = readFileSync(hello.rootFile, 'utf8')
    this.#token = readFileSync(hello.tokenFile, 'utf8').trim()
    this.#issuer = issuer
    this.#intermediate = intermediate
  }

  static async start(): Promise<BenchServer> {
    const folder = mkdtempSync(join(tmpdir(), 'holdfast-bench-'))
    const child = fork(fileURLToPath(new URL('server-process.ts', import.meta.url)), {
      execArgv: ['--conditions=source'],
    })
    const hello = await ask<Hello>(child, { data: join(folder, 'data') })
    const { root, issuer, intermediate } = await makeAuthorities()
    const server = new BenchServer(child, folder, hello, issuer, intermediate)
    await server.#call('PUT', '/holdfast/v1/hubs/localhost/authorities/bench', {
      certificate: encodePem('CERTIFICATE', root),
      verified: true,
    })
    return server
  }

  /** Device certificates under the registered root; with `register` also their identities in the hub. */
  async makeDevices(count: number, prefix: string, options: { register: boolean }): Promise<BenchDevice[]> {
    const devices: BenchDevice[] = []
    for (let index = 0; index < count; index++) {
      const key = generateKey('p256')
      const id = `${prefix}-${index}`
      const der = await issueDevice(
        this.#issuer,
        { id, spki: spkiOf(key), term: { now: Date.now(), lifetime: DAY } },
        randomBytes,
      )
      devices.push({
        id,
        cert: encodePem('CERTIFICATE', der) + encodePem('CERTIFICATE', this.#intermediate),
        key: key.export({ type: 'pkcs8', format: 'pem' }) as string,
      })
    }
    if (options.register) {
      const body = { authentication: { type: 'certificateAuthority' } }
      for (const { id } of devices) await this.#call('PUT', `/holdfast/v1/hubs/localhost/devices/${id}`, body)
    }
    return devices
  }

  /** Puts many identities into the hub, a hundred at a time. */
  async register(ids: readonly string[]): Promise<void> {
    const body = { authentication: { type: 'certificateAuthority' } }
    for (let start = 0; start < ids.length; start += 100) {
      const batch = ids.slice(start, start + 100)
      await Promise.all(batch.map((id) => this.#call('PUT', `/holdfast/v1/hubs/localhost/devices/${id}`, body)))
    }
  }

  /** Takes the trust from the CA under which every device here is. */
  revokeIntermediate(): Promise<{ closedSessions: number }> {
    const authority = encodePem('CERTIFICATE', this.#intermediate)
    return this.#call('POST', '/holdfast/v1/hubs/localhost/revocations', { authority })
  }

  enrollGroup(id: string): Promise<void> {
    return this.#call('PUT', `/holdfast/v1/enrollment-groups/${id}`, {
      attestation: { type: 'x509', x509: { caReferences: { primary: 'bench' } } },
    })
  }

  /** Processor seconds used so far, and resident bytes. */
  async usage(): Promise<{ cpu: number; rss: number }> {
    const { cpu, rss } = await ask<{ cpu: NodeJS.CpuUsage; rss: number }>(this.#child, 'usage')
    return { cpu: (cpu.user + cpu.system) / 1e6, rss }
  }

  /** Resolves once what the connects left to be written down is written, or after 30 s. */
  async quiet(): Promise<void> {
    for (let look = 0, before = await this.usage(); look < 60; look++) {
      await new Promise((resolve) => setTimeout(resolve, 500))
      const after = await this.usage()
      if (after.cpu - before.cpu < 0.05) return
      before = after
    }
  }

  async stop(): Promise<void> {
    const gone = new Promise((resolve) => this.#child.once('exit', resolve))
    this.#child.send('stop')
    await gone
    rmSync(this.#folder, { recursive: true, force: true })
  }

  #call<Answer = void>(method: string, path: string, body: object): Promise<Answer> {
    const payload = JSON.stringify(body)
    return new Promise((resolve, reject) => {
      const call = request(
        {
          host: '127.0.0.1',
          servername: 'localhost',
          port: this.ports.https,
          ca: this.ca,
          method,
          path,
          headers: {
            authorization: `Bearer ${this.#token}`,
            'content-type': 'application/json',
            'content-length': Buffer.byteLength(payload),
          },
        },
        (answer) => {
          const chunks: Buffer[] = []
          answer.on('data', (chunk: Buffer) => chunks.push(chunk))
          answer.once('end', () =>
            (answer.statusCode ?? 500) < 300
              ? resolve(JSON.parse(Buffer.concat(chunks).toString('utf8')) as Answer)
              : reject(new Error(`${method} ${path}: HTTP ${answer.statusCode}`)),
          )
        },
      )
      call.once('error', reject)
      call.end(payload)
    })
  }
}

interface Hello {
  readonly ports: { readonly mqtt: number; readonly https: number; readonly amqp: number }
  readonly idScope: string
  readonly rootFile: string
  readonly tokenFile: string
}

function ask<Answer>(child: ChildProcess, question: object | string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    child.once('message', (answer) => resolve(answer as Answer))
    child.once('exit', (code) => reject(new Error(`the server ended with ${code}`)))
    child.send(question)
  })
}

async function makeAuthorities(): Promise<{ root: Buffer; issuer: Issuer; intermediate: Buffer }> {
  const term = { now: Date.now(), lifetime: 30 * DAY }
  const rootKey = generateKey('p256')
  const root = await issueRoot(keySigner(rootKey), { subject: { commonName: 'Bench Root' }, term }, randomBytes)
  const key = generateKey('p256')
  const parent = issuerOf(parseCertificate(root), keySigner(rootKey))
  const intermediate = await issueIntermediate(
    parent,
    { subject: { commonName: 'Bench Line' }, spki: spkiOf(key), term },
    randomBytes,
  )
  return { root, intermediate, issuer: issuerOf(parseCertificate(intermediate), keySigner(key)) }
}
