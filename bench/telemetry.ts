import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { runLoad } from './load/fork.ts'
import { BenchServer } from './load/holdfast.ts'
import { makeServerCertificate } from './load/server-certificate.ts'
import type { PublishOrder, PublishReport } from './load/publishers.ts'
import { printTable, ratio } from './table.ts'
import { isInstalled } from './load/installed.ts'

const CONNECTIONS = 200
const PAYLOAD_BYTES = 200
const WINDOW = 50

export interface TelemetryMarks {
  readonly holdfast: LoadMarks
  /** null where nats-server is not installed. */
  readonly nats: LoadMarks | null
}

export interface LoadMarks {
  /** Durable QoS 1 messages a second, 50 under way on each of 200 connections. */
  readonly pipelined: PublishReport
  /** The same with one under way on each. */
  readonly oneInFlight: PublishReport
  /** Processor seconds of the server for each second of the pipelined run; null when not known. */
  readonly serverCpu: number | null
}

type Target = Pick<PublishOrder, 'host' | 'port' | 'ca' | 'devices'>

export async function measureTelemetry(options: { seconds: number }): Promise<TelemetryMarks> {
  return {
    holdfast: await loadHoldfast(options.seconds),
    nats: isInstalled('nats-server') ? await loadNats(options.seconds) : null,
  }
}

async function loadHoldfast(seconds: number): Promise<LoadMarks> {
  const server = await BenchServer.start()
  try {
    const devices = await server.makeDevices(CONNECTIONS, 'press', { register: true })
    const target: Target = {
      host: '127.0.0.1',
      port: server.ports.mqtt,
      ca: server.ca,
      devices: devices.map(({ id, cert, key }) => ({
        id,
        cert,
        key,
        userName: `localhost/${id}/?api-version=2021-04-12`,
        topic: `devices/${id}/messages/events/`,
      })),
    }
    await publish(target, WINDOW, 1)
    const oneInFlight = await publish(target, 1, seconds)
    const before = await server.usage()
    const pipelined = await publish(target, WINDOW, seconds)
    const after = await server.usage()
    return { oneInFlight, pipelined, serverCpu: (after.cpu - before.cpu) / pipelined.seconds }
  } finally {
    await server.stop()
  }
}

/** nats-server with MQTT over TLS; a session with a subscription keeps the messages in JetStream's file store. */
async function loadNats(seconds: number): Promise<LoadMarks> {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-bench-nats-'))
  const { ca, certificate, key } = await makeServerCertificate()
  writeFileSync(join(folder, 'server.pem'), certificate)
  writeFileSync(join(folder, 'server.key'), key)
  const port = await freePort()
  writeFileSync(
    join(folder, 'nats.conf'),
    `server_name: bench\nhost: 127.0.0.1\nport: ${await freePort()}\njetstream { store_dir: "${folder}/js" }\nmqtt { host: 127.0.0.1, port: ${port}, tls { cert_file: "${folder}/server.pem", key_file: "${folder}/server.key" } }\n`,
  )
  const nats = spawn('nats-server', ['-c', join(folder, 'nats.conf')], { stdio: ['ignore', 'ignore', 'pipe'] })
  try {
    await new Promise<void>((resolve, reject) => {
      nats.stderr.on('data', (chunk: Buffer) => chunk.includes('Server is ready') && resolve())
      nats.once('exit', (code) => reject(new Error(`nats-server ended with ${code}`)))
    })
    const target: Target = {
      host: '127.0.0.1',
      port,
      ca,
      devices: Array.from({ length: CONNECTIONS }, (_, index) => ({
        id: `press-${index}`,
        topic: `devices/press-${index}/events`,
      })),
    }
    await publish(target, WINDOW, 1)
    const oneInFlight = await publish(target, 1, seconds)
    return { oneInFlight, pipelined: await publish(target, WINDOW, seconds), serverCpu: null }
  } finally {
    nats.kill()
    rmSync(folder, { recursive: true, force: true })
  }
}

function publish(target: Target, window: number, seconds: number): Promise<PublishReport> {
  return runLoad<PublishOrder, PublishReport>('publishers.ts', {
    ...target,
    window,
    seconds,
    payloadBytes: PAYLOAD_BYTES,
  })
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() =>
        typeof address === 'object' && address ? resolve(address.port) : reject(new Error('no port')),
      )
    })
  })
}

export function describeTelemetry({ holdfast, nats }: TelemetryMarks): string[][] {
  const rate = ({ acknowledged, seconds }: PublishReport) => Math.round(acknowledged / seconds)
  const row = (label: string, pick: (marks: LoadMarks) => PublishReport, mark: string) => [
    label,
    `${rate(pick(holdfast))}/s, p99 ${pick(holdfast).p99.toFixed(1)} ms`,
    nats === null
      ? 'nats-server not installed'
      : `nats-server ${rate(pick(nats))}/s, p99 ${pick(nats).p99.toFixed(1)} ms`,
    nats === null ? '' : ratio(rate(pick(holdfast)), rate(pick(nats))),
    mark,
  ]
  return [
    row('durable QoS 1, 50 under way on 200 connections', (marks) => marks.pipelined, '≥ 1.0'),
    row('durable QoS 1, one under way on 200 connections', (marks) => marks.oneInFlight, '≥ 0.7'),
    ['processor use of the server while pipelined', `${(holdfast.serverCpu ?? 0).toFixed(2)} cores`, '', '', ''],
  ]
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href)
  printTable(describeTelemetry(await measureTelemetry({ seconds: 5 })))
