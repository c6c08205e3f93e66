// Loaded before everything else into each Node of a page's shell: `localhost` is an address of the page's own, so that it has
// the standard ports for itself while the commands stay as they are printed.
import dns from 'node:dns'

const address = process.env.PAGE_LOOPBACK
const lookup = dns.lookup

dns.lookup = (name, options, callback) => {
  const given = typeof options === 'function' ? {} : options
  const done = typeof options === 'function' ? options : callback
  if (name !== 'localhost') lookup(name, given, done)
  else if (given.all) process.nextTick(done, null, [{ address, family: 4 }])
  else process.nextTick(done, null, address, 4)
}
