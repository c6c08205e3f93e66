import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { tokenKey } from '../../src/keys/token-key.ts'
import type { TokenPlace } from '../../src/keys/token-key.ts'
import { keyProviderContract } from './key-provider.contract.ts'
import { HUB, makeFolder } from './whole-folder.ts'

const MODULE = '/usr/lib/softhsm/libsofthsm2.so'
const PIN = '987654'
const random = { bytes: (count: number) => randomBytes(count) }
const missing = existsSync(MODULE) && existsSync('/usr/bin/pkcs11-tool') ? false : 'needs softhsm2 and opensc'

function run(tool: string, line: string): void {
  execFileSync(tool, line.split(' '), { stdio: 'pipe' })
}

/** A SoftHSM token of its own for this process, with two keys. */
function makeToken(): { place: TokenPlace; folder: string } {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-token-'))
  mkdirSync(join(folder, 'tokens'))
  writeFileSync(join(folder, 'softhsm2.conf'), `directories.tokendir = ${join(folder, 'tokens')}\n`)
  process.env['SOFTHSM2_CONF'] = join(folder, 'softhsm2.conf')
  run('softhsm2-util', `--init-token --free --label holdfast --so-pin 12345678 --pin ${PIN}`)
  for (const key of ['01', '02']) {
    const made = `--keygen --key-type AES:32 --id ${key} --sensitive`
    run('pkcs11-tool', `--module ${MODULE} --token-label holdfast --login --pin ${PIN} ${made}`)
  }
  return { place: { module: MODULE, token: 'holdfast', key: '01', pin: PIN }, folder }
}

if (missing === false) {
  keyProviderContract('PKCS#11 token', async () => {
    const { place, folder } = makeToken()
    const provider = await tokenKey(place, { random })
    const known = provider.parameters
    return {
      provider,
      reopen: () => tokenKey(place, { random, known }),
      // Another key of the token under the same salt.
      other: () => tokenKey({ ...place, key: '02' }, { random, known }),
      dispose: async () => rmSync(folder, { recursive: true }),
    }
  })
}

test(
  'a server is sealed by a token: without it, or with a wrong PIN, it does not start',
  { skip: missing },
  async (t) => {
    const { place, folder: tokenFolder } = makeToken()
    t.after(() => rmSync(tokenFolder, { recursive: true }))
    const folder = makeFolder(t)
    const pinFile = join(folder.parent, 'pin')
    writeFileSync(pinFile, `${PIN}\n`)
    const { pin: _pin, ...token } = place
    const keys = { token: { ...token, pinFile } }
    const server = await folder.start({ keys })
    await server.operate('PUT', `/hubs/${HUB}/devices/d`, { authentication: { type: 'sas' } })
    await server.operate('POST', '/keys/kek/rotate', {})
    await server.close()
    assert.ok(!existsSync(folder.keyFile))
    await assert.rejects(folder.start(), /sealed with a token, not with a key file/)
    await assert.rejects(folder.start({ keys: { token: { ...keys.token, key: '02' } } }), /is not the one/)
    writeFileSync(pinFile, '000000\n')
    await assert.rejects(folder.start({ keys }), /Key 01 of token 'holdfast' cannot be used: .*PIN_INCORRECT/)
    writeFileSync(pinFile, `${PIN}\n`)
    const again = await folder.start({ keys })
    await again.operate('GET', `/hubs/${HUB}/devices/d`)
  },
)
