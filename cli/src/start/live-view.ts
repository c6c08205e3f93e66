import type { RunningServer } from '@holdfast/server'
import type { EventHubAddress } from '../events/connection-string.ts'
import { EventReading } from '../events/reader.ts'
import type { ReadFrom, ReceivedEvent } from '../events/reader.ts'
import { showEvent } from '../events/show-event.ts'
import { hubKey } from '../resource-manager.ts'
import { accessTo } from './server-facts.ts'
import type { Steps } from './steps.ts'

/** Shows events of the home hub as they arrive, read like any other client would. */
export async function showLive(server: RunningServer, steps: Steps): Promise<{ close(): Promise<void> }> {
  const reading = await readEvents(server, { kind: 'latest' }, (event) =>
    steps.say(showEvent(event, { verbose: false })),
  )
  reading.ended.catch((error: Error) => steps.say(`the live view ended: ${error.message}`))
  return reading
}

export async function readEvents(
  server: RunningServer,
  from: ReadFrom,
  onEvent: (event: ReceivedEvent) => void,
): Promise<EventReading> {
  const access = accessTo(server)
  const { keyName, primaryKey } = await hubKey(access, server.hub.name, 'service')
  const address: EventHubAddress = {
    host: server.reachedAt,
    port: server.ports.amqp,
    keyName,
    key: primaryKey,
    entity: server.hub.name,
  }
  return EventReading.open({ address, ca: access.ca, group: '$Default', from, onEvent })
}
