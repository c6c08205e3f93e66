import type { Operator } from '../e2e/operator.ts'
import { HUB_HOST } from '../e2e/whole-server.ts'
import { sasToken } from '../hub/workbench.ts'

/** Sends one event over HTTPS as a device with a symmetric key; resolves when it is acknowledged. */
export async function sendAs(operator: Operator, deviceId: string, key: string, body: string): Promise<void> {
  const se = Math.floor(Date.now() / 1000) + 600
  const authorization = sasToken({ sr: `${HUB_HOST}%2Fdevices%2F${deviceId}`, key, se })
  const path = `/devices/${deviceId}/messages/events?api-version=2020-03-13`
  await operator.call('POST', path, body, { authorization, host: HUB_HOST })
}
