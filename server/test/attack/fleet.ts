import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { Operator } from '../e2e/operator.ts'
import { HUB } from '../e2e/whole-server.ts'
import { makeDevice, makeIntermediate, makeRoot } from '../http/certificates.ts'
import type { TestAuthority } from '../http/certificates.ts'
import type { LoadResult, LoadSettings, LoadTask } from './fleet-child.ts'

/** Devices of one factory: a root, an intermediate, and a certificate each. */
export async function makeFleet(size: number): Promise<{ root: TestAuthority; devices: LoadSettings['devices'] }> {
  const root = await makeRoot('Fleet root')
  const intermediate = await makeIntermediate(root, 'Fleet intermediate')
  const ids = Array.from({ length: size }, (_, number) => `fleet-${number}`)
  const devices = ids.map(async (id) => {
    const { cert, key } = await makeDevice(intermediate, id, [intermediate])
    return { id, cert, key }
  })
  return { root, devices: await Promise.all(devices) }
}

/** Registers their root and creates the devices. */
export async function enrollFleet(operator: Operator, root: TestAuthority, ids: readonly string[]): Promise<void> {
  await operator.registerAuthority(HUB, 'fleet', root)
  for (let start = 0; start < ids.length; start += 50)
    await Promise.all(ids.slice(start, start + 50).map((id) => operator.createDevice(HUB, id)))
}

/** Devices in a process of their own. */
export class Fleet {
  readonly #child: ChildProcess

  constructor(settings: LoadSettings) {
    this.#child = fork(join(import.meta.dirname, 'fleet-child.ts'))
    this.#child.send(settings)
  }

  async run(task: LoadTask): Promise<LoadResult> {
    this.#child.send(task)
    const [result] = (await once(this.#child, 'message')) as [LoadResult]
    return result
  }

  close(): void {
    this.#child.kill()
  }
}
