import { HubError } from '../errors.ts'
import type { AmqpFailure } from './rhea.ts'
import type { Login } from './sasl.ts'

/**
 * Tells a reader that came to the hub's own address where the Event Hubs-compatible endpoint is. `rest` is what followed
 * `/messages/events/`. Throws HubError `unauthorized` unless the reader logged in with a policy.
 */
export function redirectTo(login: Login, rest: string, port: number): AmqpFailure {
  if (login.kind !== 'policy')
    throw new HubError('unauthorized', 'Log in by SASL PLAIN as {policy}@sas.root.{hub} to be redirected')
  const { hosts, name } = login.hub
  const host = hosts[0] ?? name
  const address = `amqps://${host}:${port}/${[name, rest].filter((part) => part !== '').join('/')}`
  return {
    condition: 'amqp:link:redirect',
    description: `The events of this hub are read at ${address}`,
    info: { hostname: host, 'network-host': host, port, address },
  }
}
