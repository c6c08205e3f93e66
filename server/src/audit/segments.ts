import { readdirSync } from 'node:fs'
import { join } from 'node:path'

const NAME = /^(\d{12})\.jsonl$/

/** One file of the log; its name is the sequence of its first entry. */
export interface Segment {
  readonly first: number
  readonly path: string
}

/** The files of a log in their order. */
export function segmentsOf(folder: string): readonly Segment[] {
  return readdirSync(folder)
    .flatMap((name) => {
      const first = NAME.exec(name)?.[1]
      return first === undefined ? [] : [{ first: Number(first), path: join(folder, name) }]
    })
    .toSorted((a, b) => a.first - b.first)
}

export function segmentPath(folder: string, first: number): string {
  return join(folder, `${String(first).padStart(12, '0')}.jsonl`)
}
