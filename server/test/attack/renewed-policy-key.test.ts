import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setDefaultCACertificates } from 'node:tls'
import { earliestEventPosition, EventHubConsumerClient } from '@azure/event-hubs'
import { renewPolicyKey } from '../../src/hub/registry/access-policies.ts'
import { event, HUB, startAmqpServer } from '../amqp/amqp-server.ts'
import type { AmqpServer } from '../amqp/amqp-server.ts'

let server: AmqpServer
before(async () => {
  server = await startAmqpServer()
  setDefaultCACertificates([server.ca])
  await server.telemetryLog.append(0, event('{"n":0}'))
})
after(() => server.close())

async function reader(key: string) {
  const address = `Endpoint=sb://localhost:${server.port}/;SharedAccessKeyName=service;SharedAccessKey=${key};EntityPath=hub1`
  const client = new EventHubConsumerClient('$Default', address, {
    retryOptions: { maxRetries: 0, timeoutInMs: 5_000 },
  })
  const bodies: number[] = []
  let onEvent = (): void => {}
  const failed = Promise.withResolvers<Error & { code?: string }>()
  const subscription = client.subscribe(
    '0',
    {
      processEvents: async (events) => {
        for (const { body } of events) bodies.push((body as { n: number }).n)
        onEvent()
      },
      processError: async (error) => failed.resolve(error),
    },
    { startPosition: earliestEventPosition, maxWaitTimeInSeconds: 1 },
  )
  return {
    failed: failed.promise,
    async reads(last: number): Promise<void> {
      while (bodies.at(-1) !== last) await new Promise<void>((resolve) => (onEvent = resolve))
    },
    async close(): Promise<void> {
      await subscription.close()
      await client.close()
    },
  }
}

test('a live reader ends with the key of its policy, and no other reader does', { timeout: 30_000 }, async () => {
  const policy = await server.policy('service')
  const thief = await reader(policy.primaryKey)
  const honest = await reader(policy.secondaryKey)
  await Promise.all([thief.reads(0), honest.reads(0)])
  await renewPolicyKey({ kind: 'hub', hub: HUB }, 'service', 'primary', {
    ...server,
    policies: server.registry.policies,
  })
  assert.match((await thief.failed).message, /counts no more/)
  await server.telemetryLog.append(0, event('{"n":1}'))
  await honest.reads(1)
  await Promise.all([thief.close(), honest.close()])
})
