/** What an authority's server is asked for: a CRL, or an answer to one question. */
export interface Download {
  readonly maxBytes: number
  readonly timeoutMs: number
  readonly signal: AbortSignal
  readonly post?: { readonly type: string; readonly body: Uint8Array }
}

/** http or https with a host, and without credentials: what may be asked at all. */
export function isDownloadable(address: string): boolean {
  const url = URL.parse(address)
  return url !== null && /^https?:$/.test(url.protocol) && url.username === '' && url.password === ''
}

/**
 * The bytes behind an address, or in words why there are none. Plain http is fine: what comes is signed (RFC 5280 §8).
 * No redirect is followed, or the answer would choose the next address.
 */
export async function download(address: string, wanted: Download): Promise<Uint8Array | string> {
  if (!isDownloadable(address)) return `'${address.slice(0, 200)}' is no http or https address`
  const { maxBytes, timeoutMs, signal, post } = wanted
  try {
    const response = await fetch(address, {
      ...(post && { method: 'POST', headers: { 'content-type': post.type }, body: new Uint8Array(post.body) }),
      redirect: 'error',
      signal: AbortSignal.any([AbortSignal.timeout(timeoutMs), signal]),
    })
    if (response.status !== 200) {
      await response.body?.cancel()
      return `it answered with status ${response.status}`
    }
    return await bytesOf(response, maxBytes)
  } catch (error) {
    if (error instanceof DOMException && error.name === 'TimeoutError') return 'it gave no answer in time'
    if (error instanceof TypeError || error instanceof DOMException) return `it could not be asked: ${reason(error)}`
    throw error
  }
}

async function bytesOf(response: Response, maxBytes: number): Promise<Uint8Array | string> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of response.body ?? []) {
    size += chunk.length
    if (size > maxBytes) return `it sent more than ${maxBytes} bytes`
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

function reason({ message, cause }: Error): string {
  return cause instanceof Error && 'code' in cause ? String(cause.code) : message
}
