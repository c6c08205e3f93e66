// Reads what the hub holds, oldest first, with the Azure Event Hubs SDK, and ends after a number of events.
//   node read.mjs COUNT
// The environment says where: EVENTHUB_CONNECTION_STRING, NODE_EXTRA_CA_CERTS.
import { EventHubConsumerClient, earliestEventPosition } from '@azure/event-hubs'

let left = Number(process.argv[2] ?? 1)
const client = new EventHubConsumerClient('$Default', process.env.EVENTHUB_CONNECTION_STRING)
const done = Promise.withResolvers()

const subscription = client.subscribe(
  {
    processEvents: async (events, { partitionId }) => {
      for (const event of events) {
        const device = event.systemProperties['iothub-connection-device-id']
        console.log(`partition ${partitionId}, sequence ${event.sequenceNumber}, ${device}:`, event.body)
        left -= 1
      }
      if (left <= 0) done.resolve()
    },
    processError: async (error) => done.reject(error),
  },
  { startPosition: earliestEventPosition },
)

await done.promise
await subscription.close()
await client.close()
