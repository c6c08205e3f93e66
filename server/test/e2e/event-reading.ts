import { earliestEventPosition, EventHubConsumerClient } from '@azure/event-hubs'
import type { ReceivedEventData } from '@azure/event-hubs'

/** Everything that the stream holds now, partition by partition, read by the Event Hubs SDK. */
export async function readEverything(connectionString: string): Promise<readonly ReceivedEventData[]> {
  const events = new Map<string, ReceivedEventData[]>()
  await visitEverything(connectionString, (event, partition) => {
    const before = events.get(partition)
    if (before === undefined) events.set(partition, [event])
    else before.push(event)
  })
  return [...events.values()].flat()
}

/** What the stream holds and what comes after it, until it is enough. */
export async function readUntil(
  connectionString: string,
  isEnough: (events: readonly ReceivedEventData[]) => boolean,
): Promise<readonly ReceivedEventData[]> {
  const client = new EventHubConsumerClient('$Default', connectionString, {
    retryOptions: { maxRetries: 0, timeoutInMs: 10_000 },
  })
  const events: ReceivedEventData[] = []
  const done = Promise.withResolvers<void>()
  try {
    for (const partition of await client.getPartitionIds())
      client.subscribe(
        partition,
        {
          processEvents: async (batch) => {
            events.push(...batch)
            if (isEnough(events)) done.resolve()
          },
          processError: async (error) => done.reject(error),
        },
        { startPosition: earliestEventPosition, maxWaitTimeInSeconds: 1 },
      )
    await done.promise
  } finally {
    await client.close()
  }
  return events
}

/** The same as `readEverything`, without keeping what was read. Partitions are read side by side. */
export async function visitEverything(
  connectionString: string,
  visit: (event: ReceivedEventData, partition: string) => void,
): Promise<void> {
  const client = new EventHubConsumerClient('$Default', connectionString, {
    retryOptions: { maxRetries: 0, timeoutInMs: 10_000 },
  })
  try {
    const partitions = await client.getPartitionIds()
    await Promise.all(
      partitions.map((partition) => readPartition(client, partition, (event) => visit(event, partition))),
    )
  } finally {
    await client.close()
  }
}

async function readPartition(
  client: EventHubConsumerClient,
  partition: string,
  visit: (event: ReceivedEventData) => void,
): Promise<void> {
  const { isEmpty, lastEnqueuedSequenceNumber } = await client.getPartitionProperties(partition)
  if (isEmpty) return
  const done = Promise.withResolvers<void>()
  const subscription = client.subscribe(
    partition,
    {
      processEvents: async (batch) => {
        batch.forEach(visit)
        if ((batch.at(-1)?.sequenceNumber ?? -1) >= lastEnqueuedSequenceNumber) done.resolve()
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
}

export function deviceOf(event: ReceivedEventData): string {
  return String(event.systemProperties?.['iothub-connection-device-id'])
}
