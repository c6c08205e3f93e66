import { fork } from 'node:child_process'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { BenchServer } from './load/holdfast.ts'
import type { SessionOrder, SessionReport } from './load/sessions.ts'

export interface RevokeMarks {
  readonly sessions: number
  /** ms from the operator's call until a client sees its connection end. */
  readonly median: number
  readonly p99: number
  readonly last: number
  /** ms until the call is answered. */
  readonly answered: number
  /** ms of processor time that the server spent from the call to the answer: what other load on the machine does not change. */
  readonly processor: number
}

/** Revokes the one intermediate that all of so many live sessions rest on; server and clients in processes of their own. */
export async function measureRevoke({ sessions }: { readonly sessions: number }): Promise<RevokeMarks> {
  const server = await BenchServer.start()
  try {
    const devices = await server.makeDevices(sessions, 'press', { register: false })
    await server.register(devices.map(({ id }) => id))
    const load = holdSessions({ port: server.ports.mqtt, ca: server.ca, devices })
    await load.open
    await server.quiet()
    const before = await server.usage()
    const start = performance.timeOrigin + performance.now()
    const { closedSessions } = await server.revokeIntermediate()
    const answered = performance.timeOrigin + performance.now() - start
    const processor = ((await server.usage()).cpu - before.cpu) * 1_000
    const ends = (await load.report).map((end) => end - start).toSorted((a, b) => a - b)
    if (closedSessions !== sessions) throw new Error(`${closedSessions} sessions were closed, not ${sessions}`)
    const at = (share: number): number => ends[Math.min(ends.length - 1, Math.floor(ends.length * share))] ?? NaN
    return { sessions, median: at(0.5), p99: at(0.99), last: at(1), answered, processor }
  } finally {
    await server.stop()
  }
}

function holdSessions(order: SessionOrder): { open: Promise<void>; report: Promise<SessionReport> } {
  const open = Promise.withResolvers<void>()
  const report = Promise.withResolvers<SessionReport>()
  // Whichever fails first is the one that is waited for.
  report.promise.catch(() => {})
  const child = fork(fileURLToPath(new URL('load/sessions.ts', import.meta.url)), {
    execArgv: ['--conditions=source'],
  })
  child.on('message', (message: 'open' | { report?: SessionReport; error?: string }) => {
    if (message === 'open') open.resolve()
    else if (message.report) report.resolve(message.report)
    else {
      const error = new Error(`the load failed: ${message.error ?? 'no reason given'}`)
      open.reject(error)
      report.reject(error)
    }
  })
  child.once('error', open.reject)
  child.send(order)
  return { open: open.promise, report: report.promise }
}

function ms(value: number): string {
  return `${value.toFixed(0)} ms`
}

/** Rows of name, value and note, for a table. */
export function describeRevoke(marks: RevokeMarks): readonly (readonly [string, string, string])[] {
  const { sessions, median, p99, last, answered, processor } = marks
  return [
    [`revoke to close, ${sessions.toLocaleString('en')} live sessions, p99`, ms(p99), 'at most 250 ms'],
    ['  median', ms(median), `the last after ${ms(last)}, the call answered after ${ms(answered)}`],
    ['  processor time of the server', ms(processor), 'from the call to the answer, all threads'],
  ]
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const rows = describeRevoke(await measureRevoke({ sessions: 5_000 }))
  for (const [name, value, note] of rows) console.log(`${name.padEnd(48)}${value.padStart(10)}  ${note}`)
}
