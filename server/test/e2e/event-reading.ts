import { earliestEventPosition, EventHubConsumerClient } from '@azure/event-hubs'
import type { ReceivedEventData } from '@azure/event-hubs'

/** Everything that the stream holds now, partition by partition, read by the Event Hubs SDK. */
export async function readEverything(connectionString: string): Promise<readonly ReceivedEventData[]> {
  const client = new EventHubConsumerClient('$Default', connectionString, {
    retryOptions: { maxRetries: 0, timeoutInMs: 10_000 },
  })
  try {
    const partitions = await client.getPartitionIds()
    return (await Promise.all(partitions.map((partition) => readPartition(client, partition)))).flat()
  } finally {
    await client.close()
  }
}

async function readPartition(client: EventHubConsumerClient, partition: string): Promise<ReceivedEventData[]> {
  const { isEmpty, lastEnqueuedSequenceNumber } = await client.getPartitionProperties(partition)
  if (isEmpty) return []
  const events: ReceivedEventData[] = []
  const done = Promise.withResolvers<void>()
  const subscription = client.subscribe(
    partition,
    {
      processEvents: async (batch) => {
        events.push(...batch)
        if ((events.at(-1)?.sequenceNumber ?? -1) >= lastEnqueuedSequenceNumber) done.resolve()
      },
      processError: async (error) => done.reject(error),
    },
    { startPosition: earliestEventPosition, maxBatchSize: 1_000, maxWaitTimeInSeconds: 1, prefetchCount: 5_000 },
  )
  try {
    await done.promise
  } finally {
    await subscription.close()
  }
  return events
}

export function deviceOf(event: ReceivedEventData): string {
  return String(event.systemProperties?.['iothub-connection-device-id'])
}
