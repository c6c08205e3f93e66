import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SpawnedServer } from '../server/test/e2e/spawned-server.ts'
import { HUB_HOST } from '../server/test/e2e/whole-server.ts'
import { makeRoot, makeServer } from '../server/test/http/certificates.ts'
import type { TestAuthority } from '../server/test/http/certificates.ts'
import { enrollFleet, Fleet, makeFleet } from '../server/test/attack/fleet.ts'
import type { LoadSettings, LoadTask } from '../server/test/attack/fleet-child.ts'

export interface ConnectMark {
  readonly server: 'holdfast' | 'holdfast, resumed' | 'bare Node TLS' | 'bare Node TLS, resumed' | 'mosquitto'
  /** Mutual TLS 1.3 and CONNECT to CONNACK, per second: client and server on the same machine. */
  readonly perSecond: number
  /** ms of the server's processor time for each. */
  readonly cpu: number
  /** kB of resident memory for each idle connection; null when resumed. */
  readonly residentKilobytes: number | null
}

/** A server under measurement: where it listens and which process it is. */
interface Subject {
  readonly name: 'holdfast' | 'bare Node TLS' | 'mosquitto'
  readonly port: number
  readonly pid: number
  readonly ca: string
  close(): Promise<void> | void
}

const CONCURRENCY = 32
const ROUNDS = 3
/** Per second, as Linux counts processor time for user space. */
const CLOCK_TICKS = 100

/** Measures all three in turns, round by round, so that a busy machine is busy for each of them. */
export async function measureConnect(
  options: { connects?: number; idle?: number } = {},
): Promise<readonly ConnectMark[]> {
  const { connects = 300, idle = 1_000 } = options
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-bench-'))
  const { root, devices } = await makeFleet(idle)
  const subjects: Subject[] = []
  try {
    subjects.push(
      await startHoldfast(
        folder,
        root,
        devices.map(({ id }) => id),
      ),
    )
    subjects.push(await startBare())
    const mosquitto = await startMosquitto(folder, root)
    if (mosquitto !== null) subjects.push(mosquitto)
    return await measureAll(subjects, devices, connects)
  } finally {
    for (const subject of subjects) await subject.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

async function measureAll(
  subjects: readonly Subject[],
  devices: LoadSettings['devices'],
  connects: number,
): Promise<ConnectMark[]> {
  const loads = subjects.map((subject) => new Load(subject, devices))
  try {
    const marks: ConnectMark[] = []
    const full = await inTurns(loads, { kind: 'connect', count: connects, concurrency: CONCURRENCY, resume: false })
    for (const [index, load] of loads.entries()) {
      const { name } = load.subject
      const figures = full[index]
      if (figures) marks.push({ server: name, ...figures, residentKilobytes: await idleCost(load, devices.length) })
    }
    const resuming = loads.filter(({ subject }) => subject.name !== 'mosquitto')
    const task = { kind: 'connect', count: connects, concurrency: CONCURRENCY, resume: true } as const
    // The first time each device gets its ticket.
    for (const load of resuming) await load.run({ ...task, count: devices.length })
    const resumed = await inTurns(resuming, task)
    for (const [index, { subject }] of resuming.entries()) {
      const figures = resumed[index]
      if (figures && subject.name !== 'mosquitto')
        marks.push({ server: `${subject.name}, resumed`, ...figures, residentKilobytes: null })
    }
    return marks
  } finally {
    for (const load of loads) load.close()
  }
}

async function inTurns(loads: readonly Load[], task: LoadTask & { kind: 'connect' }) {
  const rounds = loads.map((): { perSecond: number; cpu: number }[] => [])
  for (const load of loads) await load.run({ ...task, count: Math.ceil(task.count / 2) })
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [index, load] of loads.entries()) {
      const before = cpuSeconds(load.subject.pid)
      const { seconds, failures } = await load.run(task)
      if (failures > 0) throw new Error(`${failures} of ${task.count} connects to ${load.subject.name} failed`)
      const cpu = ((cpuSeconds(load.subject.pid) - before) * 1000) / task.count
      rounds[index]?.push({ perSecond: task.count / seconds, cpu })
    }
  }
  return rounds.map((ofLoad) => ({
    perSecond: median(ofLoad.map(({ perSecond }) => perSecond)),
    cpu: median(ofLoad.map(({ cpu }) => cpu)),
  }))
}

async function idleCost(load: Load, count: number): Promise<number> {
  const before = residentKilobytes(load.subject.pid)
  const { failures } = await load.run({ kind: 'hold', concurrency: 16 })
  if (failures > 0) throw new Error(`${failures} of ${count} connections to ${load.subject.name} could not be held`)
  const after = residentKilobytes(load.subject.pid)
  await load.run({ kind: 'release' })
  return (after - before) / count
}

/** One server and the process that loads it. */
class Load {
  readonly subject: Subject
  readonly #fleet: Fleet

  constructor(subject: Subject, devices: LoadSettings['devices']) {
    this.subject = subject
    this.#fleet = new Fleet({ port: subject.port, ca: subject.ca, host: HUB_HOST, devices })
  }

  run(task: LoadTask): ReturnType<Fleet['run']> {
    return this.#fleet.run(task)
  }

  close(): void {
    this.#fleet.close()
  }
}

async function startHoldfast(folder: string, root: TestAuthority, ids: readonly string[]): Promise<Subject> {
  const server = await SpawnedServer.start(join(folder, 'data'))
  await enrollFleet(server.operator, root, ids)
  const { ports, pid, operator } = server
  return { name: 'holdfast', port: ports.mqtt, pid, ca: operator.ca, close: () => server.stop() }
}

async function startBare(): Promise<Subject> {
  const root = await makeRoot('Bench server root')
  const { cert, key } = await makeServer(root, [HUB_HOST])
  const child = spawn(process.execPath, [join(import.meta.dirname, 'connect-bare.ts'), cert, key], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [line] = (await once(child.stdout, 'data')) as [Buffer]
  const { port } = JSON.parse(line.toString('utf8')) as { port: number }
  return { name: 'bare Node TLS', port, pid: child.pid ?? 0, ca: root.pem, close: () => void child.kill() }
}

/** Null when it is not installed. */
async function startMosquitto(folder: string, devices: TestAuthority): Promise<Subject | null> {
  const root = await makeRoot('Bench server root')
  const { cert, key } = await makeServer(root, [HUB_HOST])
  const port = await freePort()
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text, { mode: 0o644 })
    return join(folder, name)
  }
  const config = [
    `listener ${port} 127.0.0.1`,
    `cafile ${file('devices.pem', devices.pem)}`,
    `certfile ${file('server.pem', cert)}`,
    `keyfile ${file('server.key', key)}`,
    'require_certificate true',
    'use_identity_as_username true',
    'allow_anonymous false',
    'persistence false',
    'log_dest none',
    `user ${process.env['USER'] ?? 'root'}`,
  ]
  const child = spawn('mosquitto', ['-c', file('mosquitto.conf', config.join('\n'))], { stdio: 'inherit' })
  const started = await Promise.race([once(child, 'spawn').then(() => true), once(child, 'error').then(() => false)])
  if (!started) return null
  await reachable(port, child)
  return { name: 'mosquitto', port, pid: child.pid ?? 0, ca: root.pem, close: () => void child.kill() }
}

async function reachable(port: number, child: ChildProcess): Promise<void> {
  while (child.exitCode === null) {
    const isOpen = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => resolve(true))
      socket.on('error', () => resolve(false))
      socket.once('connect', () => socket.destroy())
    })
    if (isOpen) return
  }
  throw new Error('mosquitto did not start')
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  return port
}

function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS
}

function residentKilobytes(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}

if (import.meta.main) {
  const marks = await measureConnect({ idle: process.argv.includes('--full') ? 10_000 : 1_000 })
  const own = marks.find(({ server }) => server === 'holdfast')
  console.table(
    marks.map(({ server, perSecond, cpu, residentKilobytes: resident }) => ({
      server,
      'connects/s': Math.round(perSecond),
      'CPU ms/connect': cpu.toFixed(2),
      'CPU this/holdfast': own ? (cpu / own.cpu).toFixed(2) : '',
      'holdfast/this': own ? (own.perSecond / perSecond).toFixed(2) : '',
      'kB/idle connection': resident === null ? '' : resident.toFixed(0),
    })),
  )
  const cpuOf = (name: ConnectMark['server']): number => marks.find(({ server }) => server === name)?.cpu ?? Number.NaN
  // Of TLS itself: what a bare server saves is all that there is to save.
  const ofFull = (name: 'holdfast' | 'bare Node TLS'): string => (cpuOf(`${name}, resumed`) / cpuOf(name)).toFixed(2)
  console.log(`resumed costs ${ofFull('holdfast')} of a full connect, at the bare server ${ofFull('bare Node TLS')}`)
}
