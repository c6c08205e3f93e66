import { pathToFileURL } from 'node:url'
import { runLoad } from './load/fork.ts'
import { BenchServer } from './load/holdfast.ts'
import type { RegisterOrder, RegisterReport } from './load/registrants.ts'
import { printTable } from './table.ts'

const PARALLEL = 32

/** New devices that register by their chain, each over a full mutual TLS handshake of its own. */
export async function measureProvisioning(options: { devices: number }): Promise<RegisterReport> {
  const server = await BenchServer.start()
  try {
    await server.enrollGroup('bench')
    const devices = await server.makeDevices(options.devices, 'new', { register: false })
    return await runLoad<RegisterOrder, RegisterReport>('registrants.ts', {
      port: server.ports.https,
      ca: server.ca,
      scope: server.idScope,
      devices,
      parallel: PARALLEL,
    })
  } finally {
    await server.stop()
  }
}

export function describeProvisioning({ assigned, seconds }: RegisterReport): string[][] {
  return [
    ['registrations by chain, each on its own connection', `${Math.round(assigned / seconds)}/s`, '', '', '≥ 200/s'],
  ]
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href)
  printTable(describeProvisioning(await measureProvisioning({ devices: 2_000 })))
