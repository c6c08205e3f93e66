import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { HUB, HUB_HOST, startWholeServer } from '../e2e/whole-server.ts'
import type { WholeServer } from '../e2e/whole-server.ts'
import { makeDevice, makeIntermediate, makeRoot } from '../http/certificates.ts'
import { connect } from '../mqtt/packet-bytes.ts'
import { without } from '../../../test/foreign-program.ts'

const CONNACK_ACCEPTED = Buffer.from([0x20, 2, 0, 0])

describe('openssl s_client', { skip: without('openssl') }, () => {
  let server: WholeServer
  let folder: string
  before(async () => {
    server = await startWholeServer()
    folder = mkdtempSync(join(tmpdir(), 'holdfast-openssl-'))
    const root = await makeRoot('Plant root')
    const line = await makeIntermediate(root, 'Line 1')
    await server.operator.registerAuthority(HUB, 'root', root)
    await server.operator.createDevice(HUB, 'press')
    const { cert, key } = await makeDevice(line, 'press')
    for (const [name, text] of Object.entries({ ca: server.operator.ca, cert, key, line: line.pem }))
      writeFileSync(join(folder, name), text)
  })
  after(async () => {
    await server.close()
    rmSync(folder, { recursive: true })
  })

  /** Runs until `isEnough` of what it prints, or until it ends by itself. */
  async function sClient(
    port: number,
    args: readonly string[],
    input: Buffer = Buffer.alloc(0),
    isEnough: (output: Buffer) => boolean = () => false,
  ): Promise<Buffer> {
    const trust = ['-CAfile', 'ca', '-verify_return_error', '-servername', HUB_HOST, '-verify_hostname', HUB_HOST]
    const child = spawn('openssl', ['s_client', '-connect', `127.0.0.1:${port}`, ...trust, ...args], {
      cwd: folder,
      timeout: 20_000,
    })
    let output: Buffer = Buffer.alloc(0)
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        output = Buffer.concat([output, chunk])
        if (isEnough(output)) child.kill()
      })
    }
    child.stdin.on('error', () => {})
    if (input.length > 0) child.stdin.write(input)
    else child.stdin.end()
    await once(child, 'close')
    return output
  }

  const ports = () => Object.entries(server.ports).filter((entry): entry is [string, number] => entry[1] !== null)

  for (const version of ['-tls1_2', '-tls1_3']) {
    test(
      `trusts every port by the one root, asked for a certificate, with ${version}`,
      { timeout: 60_000 },
      async () => {
        for (const [, port] of ports()) {
          const text = (await sClient(port, [version])).toString()
          assert.match(text, /Verify return code: 0 \(ok\)/)
          assert.match(text, /New, TLSv1\.[23], Cipher is (ECDHE-ECDSA-|TLS_)(AES|CHACHA)/)
          assert.match(text, /No client certificate CA names sent/)
        }
      },
    )
  }

  test('finds no older version and no suite without forward secrecy', { timeout: 60_000 }, async () => {
    const { mqtt } = server.ports
    const old = (await sClient(mqtt, ['-tls1_1', '-cipher', 'ALL:@SECLEVEL=0'])).toString()
    assert.match(old, /Cipher is \(NONE\)/)
    const plain = (await sClient(mqtt, ['-tls1_2', '-cipher', 'AES128-GCM-SHA256:AES256-SHA'])).toString()
    assert.match(plain, /Cipher is \(NONE\)/)
  })

  test('opens MQTT with certificate, key and intermediate from files', { timeout: 30_000 }, async () => {
    const hello = connect({ clientId: 'press', userName: `${HUB_HOST}/press/?api-version=2021-04-12` })
    const identity = ['-cert', 'cert', '-key', 'key', '-quiet']
    const output = await sClient(server.ports.mqtt, [...identity, '-cert_chain', 'line'], hello, (seen) =>
      seen.includes(CONNACK_ACCEPTED),
    )
    assert.ok(output.includes(CONNACK_ACCEPTED))
    // Without the intermediate the chain leads nowhere.
    const refused = await sClient(server.ports.mqtt, identity, hello, (seen) =>
      seen.includes(Buffer.from([0x20, 2, 0, 5])),
    )
    assert.ok(refused.includes(Buffer.from([0x20, 2, 0, 5])))
    assert.equal((await server.operator.refusal({ identity: 'press' })).rule, 'chain:issuer-not-found')
  })
})
