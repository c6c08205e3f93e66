// Loaded before everything else into each Node of a page's shell: `localhost` is an address of the page's own, so that it has
// the standard ports for itself while the commands stay as they are printed.
import dns from 'node:dns'
import { Server } from 'node:net'

const address = process.env.PAGE_LOOPBACK
const { lookup } = dns
const listen = Reflect.get(Server.prototype, 'listen')
/** What a server that listens on both loopback addresses gets instead. */
const replaced = new Map([
  ['127.0.0.1', address],
  ['::1', address.replace(/\d+$/, (last) => String(Number(last) + 100))],
])

dns.lookup = (name, options, callback) => {
  const given = typeof options === 'function' ? {} : options
  const done = typeof options === 'function' ? options : callback
  if (name !== 'localhost') lookup(name, given, done)
  else if (given.all) process.nextTick(done, null, [{ address, family: 4 }])
  else process.nextTick(done, null, address, 4)
}

Server.prototype.listen = function listenOnOwn(options, ...others) {
  const host = replaced.get(options?.host)
  return listen.call(this, host === undefined ? options : { ...options, host }, ...others)
}
