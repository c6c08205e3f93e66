import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import { HubError } from '../../src/errors.ts'
import type { KeyProvider } from '../../src/ports/key-provider.ts'

export interface ProviderSubject {
  readonly provider: KeyProvider
  /** The same KEK, opened again from where it lies. */
  readonly reopen: () => Promise<KeyProvider>
  /** Another KEK of the same kind. */
  readonly other: () => Promise<KeyProvider>
  readonly dispose: () => Promise<void>
}

const isHubError = (error: unknown): boolean => error instanceof HubError

/** What every provider of a key-encryption key has to keep; run on the real thing. */
export function keyProviderContract(name: string, open: () => Promise<ProviderSubject>): void {
  describe(`key provider contract: ${name}`, () => {
    check(open, 'what was wrapped is unwrapped, also after reopening', async ({ provider, reopen }) => {
      const key = randomBytes(32)
      const wrapped = await provider.wrap(key, 'place')
      assert.deepEqual(Buffer.from(await provider.unwrap(wrapped, 'place')), key)
      const again = await reopen()
      assert.deepEqual(Buffer.from(await again.unwrap(wrapped, 'place')), key)
      await again.close()
    })

    check(open, 'two wraps of one key differ and show nothing of it', async ({ provider }) => {
      const key = randomBytes(32)
      const wraps = await Promise.all([provider.wrap(key, 'place'), provider.wrap(key, 'place')])
      const [first, second] = wraps.map((wrapped) => Buffer.from(wrapped)) as [Buffer, Buffer]
      assert.ok(!first.equals(second))
      assert.ok(!first.includes(key.subarray(0, 8)) && !second.includes(key.subarray(0, 8)))
    })

    check(open, 'another context, another KEK and every changed byte are refused', async ({ provider, other }) => {
      const wrapped = await provider.wrap(randomBytes(32), 'place')
      await assert.rejects(provider.unwrap(wrapped, 'another place'), isHubError)
      const stranger = await other()
      await assert.rejects(stranger.unwrap(wrapped, 'place'), isHubError)
      await stranger.close()
      const changes = Array.from(wrapped, (byte, index) => Uint8Array.from(wrapped).fill(byte ^ 1, index, index + 1))
      // A token takes a moment for each: a few at a time.
      while (changes.length > 0) {
        const some = changes.splice(-4)
        await Promise.all(some.map((changed) => assert.rejects(provider.unwrap(changed, 'place'), isHubError)))
      }
      for (const length of [0, 11, 12, 27, 28, wrapped.length - 1]) {
        await assert.rejects(provider.unwrap(wrapped.slice(0, length), 'place'), isHubError)
      }
    })

    check(open, 'the id is that of the key, not of the place', async ({ provider, reopen, other }) => {
      const again = await reopen()
      const stranger = await other()
      assert.equal(again.id, provider.id)
      assert.notEqual(stranger.id, provider.id)
      assert.equal(again.kind, provider.kind)
      await again.close()
      await stranger.close()
    })
  })
}

function check(
  open: () => Promise<ProviderSubject>,
  title: string,
  body: (subject: ProviderSubject) => Promise<void>,
): void {
  test(title, async () => {
    const subject = await open()
    try {
      await body(subject)
    } finally {
      await subject.dispose()
    }
  })
}
