import { Writable } from 'node:stream'
import { createLog } from '../../src/log.ts'
import type { Log } from '../../src/log.ts'

export type Line = Readonly<Record<string, unknown>>

/** The log of a server, as it is written, line by line. */
export class LogLines {
  readonly lines: Line[] = []
  readonly log: Log
  readonly #waiting = new Set<() => void>()

  constructor(level: string) {
    let rest = ''
    const destination = new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        const parts = `${rest}${chunk.toString('utf8')}`.split('\n')
        rest = parts.pop() ?? ''
        this.lines.push(...parts.map((part) => JSON.parse(part) as Line))
        for (const wake of this.#waiting) wake()
        done()
      },
    })
    this.log = createLog({ level, destination })
  }

  /** The first line with this message, as soon as there is one. */
  async saying(message: string | RegExp, from = 0): Promise<Line> {
    for (;;) {
      const found = this.lines.slice(from).find(({ msg }) => matches(String(msg), message))
      if (found !== undefined) return found
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#waiting.add(resolve)
      await promise
      this.#waiting.delete(resolve)
    }
  }
}

function matches(text: string, wanted: string | RegExp): boolean {
  return typeof wanted === 'string' ? text === wanted : wanted.test(text)
}
