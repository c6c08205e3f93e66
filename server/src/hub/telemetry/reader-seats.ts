import { HubError } from '../../errors.ts'
import { printable } from '../../model/ids.ts'
import type { LogReader } from './event-reader.ts'

/** The service's limit of readers without epoch for one partition and group. */
const MAX_SHARED_READERS = 5

/**
 * Who reads a partition for a consumer group. Either one reader with an epoch, who displaces all others unless the one
 * there has a higher epoch, or up to five without. Bounded by groups × partitions × 5.
 */
export class ReaderSeats {
  readonly #seats = new Map<string, Set<LogReader>>()

  /** Throws `reader-stolen` or `reader-limit-exceeded`: then the reader got no seat. */
  take(place: string, reader: LogReader): void {
    const seated = this.#seats.get(place) ?? new Set()
    const owner = [...seated].find(({ identity }) => identity.epoch !== null)
    const { name, epoch } = reader.identity
    if (owner !== undefined && (epoch === null || epoch < (owner.identity.epoch ?? 0))) throw outranked(reader, owner)
    if (epoch === null && seated.size >= MAX_SHARED_READERS)
      throw new HubError(
        'reader-limit-exceeded',
        `${MAX_SHARED_READERS} readers share this partition and consumer group already; use another group.`,
      )
    if (epoch !== null) for (const other of seated) other.end(displaced(name, epoch, other))
    this.#sit(place, reader)
  }

  /** Ends every reader whose place begins so. */
  clear(prefix: string, reason: HubError): void {
    for (const [place, seated] of this.#seats) {
      if (place.startsWith(prefix)) for (const reader of seated) reader.end(reason)
    }
  }

  #sit(place: string, reader: LogReader): void {
    const seated = this.#seats.get(place) ?? new Set()
    this.#seats.set(place, seated.add(reader))
    reader.onClose(() => {
      seated.delete(reader)
      if (seated.size === 0 && this.#seats.get(place) === seated) this.#seats.delete(place)
    })
  }
}

function displaced(name: string, epoch: number, { identity }: LogReader): HubError {
  return new HubError(
    'reader-stolen',
    `New receiver '${printable(name)}' with higher epoch of '${epoch}' is created hence current receiver ` +
      `'${printable(identity.name)}' with epoch '${identity.epoch ?? 0}' is getting disconnected.`,
  )
}

function outranked({ identity }: LogReader, owner: LogReader): HubError {
  return new HubError(
    'reader-stolen',
    `Receiver '${printable(identity.name)}' with epoch '${identity.epoch ?? 'none'}' cannot be created because receiver ` +
      `'${printable(owner.identity.name)}' with epoch '${owner.identity.epoch ?? 0}' reads this partition.`,
  )
}
