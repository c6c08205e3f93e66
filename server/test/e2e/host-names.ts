import dns from 'node:dns'
import type { LookupAddress, LookupOptions } from 'node:dns'

/** Names under this one exist in tests alone (RFC 6761 §6.2). */
export const DOMAIN = 'holdfast.test'

type Callback = (error: NodeJS.ErrnoException | null, address: string | LookupAddress[], family?: number) => void

/** A line in the hosts file of this process: every name under the domain is this address. */
export function resolveNamesTo(address: string): void {
  const lookup = dns.lookup as (name: string, options: LookupOptions, callback: Callback) => void
  const answer = (name: string, options: LookupOptions | Callback, callback?: Callback): void => {
    const given: LookupOptions = typeof options === 'function' ? {} : options
    const done = typeof options === 'function' ? options : callback
    if (done === undefined) throw new TypeError('a lookup needs a callback')
    if (!name.endsWith(`.${DOMAIN}`)) lookup(name, given, done)
    else if (given.all === true) process.nextTick(done, null, [{ address, family: 4 }])
    else process.nextTick(done, null, address, 4)
  }
  dns.lookup = answer as typeof dns.lookup
}
