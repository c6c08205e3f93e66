import type { Operator } from '../e2e/operator.ts'
import { HUB } from '../e2e/whole-server.ts'
import { makeDevice, makeIntermediate, makeRoot } from '../http/certificates.ts'
import { PipelinedDevice } from './pipelined-device.ts'

/** Devices that the hub knows, under a CA that it trusts; their messages are filled up to `bytes`. */
export async function makeFleet(operator: Operator, count: number, bytes = 0): Promise<readonly PipelinedDevice[]> {
  const root = await makeRoot('Plant root')
  const line = await makeIntermediate(root, 'Line 1')
  await operator.registerAuthority(HUB, 'root', root)
  const devices: PipelinedDevice[] = []
  for (let index = 0; index < count; index++) {
    const id = `device-${index}`
    await operator.createDevice(HUB, id)
    devices.push(new PipelinedDevice(id, await makeDevice(line, id, [line]), bytes))
  }
  return devices
}
