import { createHmac } from 'node:crypto'

/** A token as the SDKs make it; `now` in ms. */
export function createSasTokenFor(
  policy: { readonly name: string; readonly primaryKey: string },
  resource: string,
  rule: 'iot' | 'event-hubs',
  expiresAt = Date.now() + 3_600_000,
): string {
  return signToken(resource, policy.primaryKey, rule, expiresAt) + `&skn=${encodeURIComponent(policy.name)}`
}

export function signToken(resource: string, key: string, rule: 'iot' | 'event-hubs', expiresAt: number): string {
  const audience = encodeURIComponent(resource)
  const expiry = Math.floor(expiresAt / 1_000)
  const hmac = createHmac('sha256', rule === 'iot' ? Buffer.from(key, 'base64') : key)
  const signature = encodeURIComponent(hmac.update(`${audience}\n${expiry}`).digest('base64'))
  return `SharedAccessSignature sr=${audience}&sig=${signature}&se=${expiry}`
}
