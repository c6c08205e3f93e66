/**
 * Holds a key-encryption key (KEK) and wraps data keys with it. A data key is 32 bytes.
 *
 * Contract, for every provider:
 * - `unwrap(wrap(key, context), context)` is the key; two wraps of one key differ.
 * - `unwrap` rejects with `HubError` for anything else: another KEK, another context, a changed byte. It never returns
 *   a wrong key.
 * - `id` stands for the KEK itself, not for the place where it lies: a copy of the key has the same id, a new key another
 *   one, and nothing about the key can be learnt from it.
 */
export interface KeyProvider {
  readonly kind: KeyProviderKind
  readonly id: string
  /** What is needed besides the secret to have the same KEK again; stored beside the wrapped keys, not secret. */
  readonly parameters: KeyProviderParameters
  wrap(dataKey: Uint8Array, context: string): Promise<Uint8Array>
  unwrap(wrapped: Uint8Array, context: string): Promise<Uint8Array>
  close(): Promise<void>
}

export type KeyProviderKind = 'file' | 'passphrase' | 'token'

export type KeyProviderParameters = Readonly<Record<string, string | number>>
