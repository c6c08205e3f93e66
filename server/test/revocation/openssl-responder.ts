import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { promisify } from 'node:util'
import { parseCertificate } from '@holdfast/pki'
import type { TestAuthority } from '../http/certificates.ts'

const run = promisify(execFile)

export interface Responder {
  readonly url: string
  /** Requests so far. */
  readonly asked: number
  /** Most of them that were open at the same time. */
  readonly peak: number
  /** What it says of each certificate; of others it knows nothing. */
  says(certificates: ReadonlyMap<Uint8Array, 'good' | 'revoked'>): void
  /** Takes requests and answers none. */
  hang(): void
  /** Lets another key sign: PEM of its certificate, and its key. */
  signWith(signer: { readonly pem: string; readonly keyPem: string }): void
}

/** `openssl ocsp` behind a loopback port, for the certificates of one CA. */
export async function startResponder(t: TestContext, ca: TestAuthority): Promise<Responder> {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-ocsp-'))
  const path = (name: string) => join(folder, name)
  writeFileSync(path('ca.cer'), ca.pem)
  const setSigner = (pem: string, keyPem: string | Buffer): void => {
    writeFileSync(path('signer.cer'), pem)
    writeFileSync(path('signer.key'), keyPem)
  }
  setSigner(ca.pem, ca.key.export({ type: 'pkcs8', format: 'pem' }))
  writeFileSync(path('index.txt'), '')
  const state = { asked: 0, open: 0, peak: 0, hangs: false }
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    state.open += 1
    state.peak = Math.max(state.peak, state.open)
    response.on('close', () => (state.open -= 1))
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const number = (state.asked += 1)
      if (state.hangs) return
      writeFileSync(path(`request-${number}`), Buffer.concat(chunks))
      answer(path, number).then(
        (body) => response.writeHead(200, { 'content-type': 'application/ocsp-response' }).end(body),
        () => response.writeHead(500).end(),
      )
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
    rmSync(folder, { recursive: true })
  })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    get asked() {
      return state.asked
    },
    get peak() {
      return state.peak
    },
    says: (certificates) => {
      const lines = [...certificates].map(([der, status]) => {
        const serial = parseCertificate(der).serialHex.toUpperCase()
        return status === 'good'
          ? `V\t350101000000Z\t\t${serial}\tunknown\t/CN=${serial}\n`
          : `R\t350101000000Z\t250101000000Z,keyCompromise\t${serial}\tunknown\t/CN=${serial}\n`
      })
      writeFileSync(path('index.txt'), lines.join(''))
    },
    hang: () => {
      state.hangs = true
    },
    signWith: ({ pem, keyPem }) => setSigner(pem, keyPem),
  }
}

async function answer(path: (name: string) => string, number: number): Promise<Buffer> {
  const files = ['-index', path('index.txt'), '-CA', path('ca.cer')]
  const signer = ['-rsigner', path('signer.cer'), '-rkey', path('signer.key'), '-ndays', '1']
  const io = ['-reqin', path(`request-${number}`), '-respout', path(`response-${number}`)]
  await run('openssl', ['ocsp', ...files, ...signer, ...io])
  return readFile(path(`response-${number}`))
}
