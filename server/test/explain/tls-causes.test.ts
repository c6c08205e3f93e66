import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { connect as tlsConnect } from 'node:tls'
import type { ConnectionOptions } from 'node:tls'
import { setImmediate as turn } from 'node:timers/promises'
import { makeRoot } from '../http/certificates.ts'
import { closeOf, startListening } from '../net/listening.ts'
import type { Listening } from '../net/listening.ts'
import { assertExplained } from './explained.ts'
import type { Explanation } from './explained.ts'
import { without } from '../../../test/foreign-program.ts'

interface Cause extends Explanation {
  readonly name: string
  readonly attempt: (listening: Listening) => Promise<void>
}

/** Dials as the options say, and ends with whatever error the client sees. */
const dial =
  (options: ConnectionOptions) =>
  async (listening: Listening): Promise<void> => {
    const socket = tlsConnect({
      host: '127.0.0.1',
      port: listening.ports.mqtts ?? 0,
      ca: listening.root.pem,
      servername: 'localhost',
      ...options,
    })
    await closeOf(socket)
  }

const send =
  (bytes: string) =>
  async (listening: Listening): Promise<void> => {
    const socket = connect(listening.ports.mqtts ?? 0, '127.0.0.1')
    socket.end(bytes)
    socket.resume()
    await closeOf(socket)
  }

/** Node's own client hangs up without a word; openssl says what it did not like (RFC 8446 §6.2, unknown_ca). */
const distrust = async (listening: Listening): Promise<void> => {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-distrust-'))
  const trusted = join(folder, 'another-root.pem')
  writeFileSync(trusted, (await makeRoot('Another root')).pem)
  const address = `127.0.0.1:${listening.ports.mqtts ?? 0}`
  const args = ['s_client', '-connect', address, '-verify_return_error', '-CAfile', trusted]
  const client = spawn('openssl', args, { stdio: 'ignore' })
  await new Promise((resolve) => client.once('close', resolve))
  rmSync(folder, { recursive: true })
}

const CAUSES: readonly Cause[] = [
  {
    name: 'the client is too old for TLS 1.2',
    rule: 'tls-version-unsupported',
    attempt: dial({ minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }),
    message: /only versions of TLS that the server does not speak: 1\.1 or older/,
    remedy: /TLS 1\.2 or 1\.3/,
    evidence: { code: /^ERR_SSL_/ },
  },
  {
    name: 'the client offers no cipher suite of ours',
    rule: 'tls-cipher-mismatch',
    attempt: dial({ maxVersion: 'TLSv1.2', ciphers: 'AES128-SHA' }),
    message: /no cipher suite that the server accepts/,
    remedy: /AES-GCM or ChaCha20-Poly1305 with ECDHE/,
  },
  {
    name: 'the client does not trust the server',
    rule: 'server-certificate-refused',
    attempt: distrust,
    message: /does not know the CA that signed this server's certificate/,
    remedy: /Give the client the root that signed the server certificate/,
  },
  {
    name: 'the client speaks HTTP',
    rule: 'tls-not-spoken',
    attempt: send('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'),
    message: /plain HTTP/,
    remedy: /https:\/\//,
  },
  {
    name: 'the client speaks MQTT without TLS',
    rule: 'tls-not-spoken',
    attempt: send('\u0010\u000c\u0000\u0004MQTT\u0004\u0002\u0000\u003c\u0000\u0000'),
    message: /not TLS/,
    remedy: /Switch TLS on/,
  },
]

suite('a refused handshake is explained when', () => {
  let listening: Listening
  before(async () => {
    listening = await startListening()
  })
  after(() => listening.close())

  for (const { name, attempt, ...explanation } of CAUSES) {
    test(name, { timeout: 30_000, skip: attempt === distrust && without('openssl') }, async () => {
      listening.refusals.length = 0
      await attempt(listening)
      while (listening.refusals.length === 0) await turn()
      const [refusal] = listening.refusals
      if (refusal !== undefined) assertExplained(refusal, explanation)
    })
  }
})
