import { checkDeviceId, IssueError } from '@holdfast/pki'
import { CommandError } from '../command-error.ts'
import { readInput } from './files.ts'

export interface IdOptions {
  readonly count?: number
  readonly start?: number
  readonly csv?: string
}

/** The ids to make, from exactly one of: the arguments, a prefix with --count, a file with --csv. All are checked. */
export function deviceIds(args: readonly string[], { count, start, csv }: IdOptions): string[] {
  if (csv !== undefined) {
    if (args.length > 0 || count !== undefined) throw new CommandError('give ids, --count or --csv, not several', 2)
    return idsFromCsv(readInput(csv, 'the list of ids').toString('utf8'), csv)
  }
  const [first, ...more] = args
  if (first === undefined) throw new CommandError('give the id of a device, or --csv FILE', 2)
  if (count === undefined) return unique([first, ...more])
  if (more.length > 0) throw new CommandError('with --count give one prefix, such as sensor-', 2)
  return numbered(first, start ?? 1, count)
}

/** `sensor-` with three: sensor-1, sensor-2, sensor-3; padded with zeros to one width, so that they sort. */
function numbered(prefix: string, start: number, count: number): string[] {
  const last = start + count - 1
  checkDeviceId(`${prefix}${last}`)
  const width = String(last).length
  return Array.from({ length: count }, (_, index) => prefix + String(start + index).padStart(width, '0'))
}

function unique(ids: readonly string[]): string[] {
  const seen = new Set<string>()
  for (const id of ids) {
    checkDeviceId(id)
    if (seen.has(id)) throw new CommandError(`the id '${id}' is given twice`)
    seen.add(id)
  }
  return [...seen]
}

/** Names that a header line may have over the column of ids. */
const HEADERS = new Set(['id', 'deviceid', 'device id', 'registrationid', 'registration id'])

function idsFromCsv(text: string, path: string): string[] {
  const seen = new Map<string, number>()
  for (const [index, line] of text
    .replace(/^\u{feff}/u, '')
    .split(/\r?\n/)
    .entries()) {
    const id = firstField(line)
    if (id === '' || (index === 0 && HEADERS.has(id.toLowerCase()))) continue
    try {
      checkDeviceId(id)
    } catch (cause) {
      if (!(cause instanceof IssueError)) throw cause
      throw new CommandError(`${path}, line ${index + 1}: ${cause.message} ${cause.remedy}`, 1, { cause })
    }
    const earlier = seen.get(id)
    if (earlier !== undefined) {
      throw new CommandError(`${path}, line ${index + 1}: '${id}' is on line ${earlier} already`)
    }
    seen.set(id, index + 1)
  }
  if (seen.size === 0) throw new CommandError(`${path} holds no ids: put one on each line, in the first column`)
  return [...seen.keys()]
}

/** RFC 4180: a field in quotes may hold commas, and quotes doubled. */
function firstField(line: string): string {
  const quoted = /^\s*"((?:[^"]|"")*)"\s*(?:,|$)/.exec(line)?.[1]
  return quoted === undefined ? (line.split(/[,;\t]/, 1)[0] ?? '').trim() : quoted.replaceAll('""', '"')
}
