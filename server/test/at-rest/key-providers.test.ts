import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { makeKeyFile, readKeyFile } from '../../src/keys/key-file.ts'
import { passphraseKey } from '../../src/keys/passphrase-key.ts'
import { keyProviderContract } from './key-provider.contract.ts'

const random = { bytes: (count: number) => randomBytes(count) }

keyProviderContract('file', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-kek-'))
  const path = join(folder, 'kek')
  const reread = () => {
    const kek = readKeyFile(path, random)
    assert.ok(kek)
    return kek
  }
  return {
    provider: makeKeyFile(path, random),
    reopen: async () => reread(),
    other: async () => makeKeyFile(join(folder, 'other'), random),
    dispose: async () => rmSync(folder, { recursive: true }),
  }
})

keyProviderContract('passphrase', async () => {
  const passphrase = 'correct horse battery staple'
  const provider = await passphraseKey(passphrase, { random })
  return {
    provider,
    reopen: () => passphraseKey(passphrase, { random, known: provider.parameters }),
    // The same words with another salt.
    other: () => passphraseKey(passphrase, { random }),
    dispose: () => provider.close(),
  }
})

test('a key file is never overwritten, and one that holds something else is refused', () => {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-kek-'))
  const path = join(folder, 'kek')
  makeKeyFile(path, random)
  assert.throws(() => makeKeyFile(path, random), { code: 'EEXIST' })
  for (const [index, text] of ['', 'holdfast-kek-1:', 'holdfast-kek-1:AAAA', 'something else'].entries()) {
    const wrong = join(folder, `wrong${index}`)
    writeFileSync(wrong, text, { mode: 0o600 })
    assert.throws(() => readKeyFile(wrong, random), /does not hold a key-encryption key/)
  }
  rmSync(folder, { recursive: true })
})

test('a passphrase is the same however its accents were typed', async () => {
  const composed = await passphraseKey('Schlüssel für alles', { random })
  const decomposed = await passphraseKey('Schlüssel für alles'.normalize('NFD'), {
    random,
    known: composed.parameters,
  })
  assert.equal(decomposed.id, composed.id)
})

test('a keyring cannot ask for more memory or time than there is', async () => {
  for (const parameters of [
    { salt: 'AAAA', memory: 2 ** 31, passes: 3, parallelism: 4 },
    { salt: 'AAAA', memory: 65_536, passes: 1e9, parallelism: 4 },
    { salt: 'AAAA', memory: 65_536, passes: 3, parallelism: 0 },
  ]) {
    await assert.rejects(passphraseKey('correct horse battery', { random, known: parameters }), /out of range/)
  }
})
