import { createHmac } from 'node:crypto'
import type { KeyObject } from 'node:crypto'

/** One delivery, as it is signed and sent. */
export interface WebhookMessage {
  /** The same for each attempt to deliver the same events. */
  readonly id: string
  readonly body: string
}

export interface CallOptions {
  readonly timeoutMs: number
  /** ms. */
  readonly now: number
  readonly signal: AbortSignal
}

export type CallOutcome =
  | { readonly kind: 'accepted' }
  | { readonly kind: 'failed'; readonly reason: string }
  /** Status 410: the receiver asks for no more. */
  | { readonly kind: 'gone' }

/**
 * Headers of Standard Webhooks 1.0: the signature covers id, time (seconds) and body, so that a receiver can tell a
 * message that was altered or recorded earlier.
 */
function signedHeaders({ id, body }: WebhookMessage, key: KeyObject, now: number): Record<string, string> {
  const timestamp = String(Math.floor(now / 1_000))
  const signature = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64')
  return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': `v1,${signature}` }
}

/** One attempt. What goes wrong outside comes back in words; rejects when `signal` is aborted. */
export async function callWebhook(
  url: string,
  message: WebhookMessage,
  key: KeyObject,
  { timeoutMs, now, signal }: CallOptions,
): Promise<CallOutcome> {
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...signedHeaders(message, key, now) },
      body: message.body,
      // The answer must not choose the next address, one that nobody has checked.
      redirect: 'manual',
      signal: AbortSignal.any([AbortSignal.timeout(timeoutMs), signal]),
    })
    // The status says it all: whatever else comes is not read.
    await response.body?.cancel()
    if (response.ok) return { kind: 'accepted' }
    if (response.status === 410) return { kind: 'gone' }
    return { kind: 'failed', reason: `it answered with status ${response.status}` }
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof DOMException && error.name === 'TimeoutError')
      return { kind: 'failed', reason: `it gave no answer within ${timeoutMs / 1_000} s` }
    if (error instanceof TypeError) return { kind: 'failed', reason: `it could not be reached (${codeOf(error)})` }
    throw error
  }
}

function codeOf({ message, cause }: Error): string {
  return cause instanceof Error && 'code' in cause ? String(cause.code) : message
}
