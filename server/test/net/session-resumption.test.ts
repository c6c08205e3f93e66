import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { makeDevice, makeRoot } from '../http/certificates.ts'
import { startListening } from './listening.ts'
import type { Listening } from './listening.ts'

const hasOpenssl = spawnSync('openssl', ['version']).status === 0

describe('TLS sessions are never resumed', { skip: hasOpenssl ? false : 'openssl is not installed' }, () => {
  let listening: Listening
  let folder: string
  before(async () => {
    listening = await startListening()
    folder = await mkdtemp(join(tmpdir(), 'holdfast-resumption-'))
    const device = await makeDevice(await makeRoot('Device root'), 'dev1')
    await writeFile(join(folder, 'dev1.pem'), device.cert + device.key)
  })
  after(async () => {
    await listening.close()
    await rm(folder, { recursive: true })
  })

  /** Runs `openssl s_client` until the server has greeted; returns its lines about new and reused sessions. */
  async function sessions(options: readonly string[]): Promise<string[]> {
    const port = String(listening.ports.mqtts)
    const identity = join(folder, 'dev1.pem')
    const client = spawn(
      'openssl',
      ['s_client', '-connect', `127.0.0.1:${port}`, '-cert', identity, '-key', identity, ...options],
      { stdio: ['pipe', 'pipe', 'ignore'] },
    )
    let output = ''
    client.stdout.on('data', (chunk: Buffer) => {
      output += chunk
      if (output.includes('hello')) client.stdin.end('Q\n')
    })
    await once(client, 'close')
    return [...output.matchAll(/^(New|Reused), TLS/gm)].map((match) => match[1] ?? '')
  }

  for (const version of ['-tls1_2', '-tls1_3']) {
    test(`${version}: neither by ticket nor by session id`, async () => {
      const file = join(folder, `session${version}`)
      assert.deepEqual(await sessions([version, '-sess_out', file]), ['New'])
      assert.deepEqual(await sessions([version, '-sess_in', file]), ['New'])
      const chains = listening.mqtt.accepted.slice(-2).map(({ peer }) => peer.chain.length)
      assert.deepEqual(chains, [1, 1])
    })
  }

  test('-tls1_2 -reconnect: five times a full handshake', async () => {
    assert.deepEqual(await sessions(['-tls1_2', '-reconnect']), Array<string>(6).fill('New'))
  })
})
