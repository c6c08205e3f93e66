/**
 * Whether the server may post to this address: https, or plain http on this machine itself, since over a network anyone
 * could read along and answer in its place. No credentials in it: they would end up in logs.
 */
export function mayPostTo(address: string): boolean {
  const url = URL.parse(address)
  if (url === null || url.username !== '' || url.password !== '') return false
  if (url.protocol === 'https:') return true
  return url.protocol === 'http:' && /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/.test(url.hostname)
}
