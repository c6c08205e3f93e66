/** What a TLS listener presents: one certificate of each key type that it has. */
export type TlsMaterial = readonly [TlsPair, ...TlsPair[]]

export interface TlsPair {
  /** PEM: the server certificate, then its intermediates. */
  readonly certificates: string
  /** PEM, PKCS#8. */
  readonly key: string
}
