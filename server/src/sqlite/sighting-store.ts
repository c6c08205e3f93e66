import type { DeviceId, HubName } from '../model/ids.ts'
import type { PathUse, Sighting } from '../model/sighting.ts'
import type { SightingStore } from '../ports/registry.ts'
import type { Row } from './database.ts'
import { Query, numberOf, textOf } from './registry-reads.ts'
import type { RegistryReader } from './registry-reads.ts'
import type { RegistryWriter } from './registry-writer.ts'
import { WriteBehind } from './write-behind.ts'

/** A sighting reaches the disk within this time, ms: a device that asks by HTTP each second is one row of each write. */
const FLUSH_MS = 2_000
/** Devices that may wait; a sighting of one more is dropped, since the device's next one says the same. */
const MAX_WAITING = 100_000
/** Devices of one write. */
const MAX_BATCH = 2_000
/** RFC 5280 §4.1.2.5: 99991231235959Z, "no well-defined end". */
const END_OF_TIME = Date.UTC(9999, 11, 31, 23, 59, 59)

const COLUMNS = 'hub, device_id, path, leaf, leaf_subject, leaf_not_after, seen, source'

/** A read first writes what waits, so that an operator sees the device that has just connected. */
export class SqliteSightingStore implements SightingStore {
  readonly #paths: Query
  readonly #byPaths: Query
  readonly #ending: Query
  readonly #countEnding: Query
  readonly #waiting: WriteBehind<Sighting>

  constructor(reader: RegistryReader, writer: RegistryWriter, onError: (error: unknown) => void) {
    this.#paths = new Query(reader, 'SELECT path, devices, last_seen FROM sighted_paths WHERE hub = ? ORDER BY path')
    this.#byPaths = new Query(
      reader,
      `SELECT ${COLUMNS} FROM sightings
       WHERE hub = ? AND path IN (SELECT value FROM json_each(?)) AND device_id > ? ORDER BY device_id LIMIT ?`,
    )
    const ending = 'FROM sightings WHERE hub = ? AND leaf_not_after >= ? AND leaf_not_after < ?'
    this.#ending = new Query(reader, `SELECT ${COLUMNS} ${ending} ORDER BY leaf_not_after LIMIT ?`)
    this.#countEnding = new Query(reader, `SELECT count(*) AS count ${ending}`)
    this.#waiting = new WriteBehind({
      flushMs: FLUSH_MS,
      maxWaiting: MAX_WAITING,
      maxBatch: MAX_BATCH,
      write: (sightings) => writer.write({ kind: 'sight', sightings: sightings.map(rowOf) }),
      onError,
    })
  }

  note(sighting: Sighting): void {
    // A slash is in neither alphabet of ids.
    this.#waiting.note(`${sighting.hub}/${sighting.deviceId}`, sighting)
  }

  async paths(hub: HubName): Promise<readonly PathUse[]> {
    await this.flush()
    return this.#paths.all(hub).map((row) => ({
      authorities: authoritiesOf(textOf(row, 'path')),
      devices: numberOf(row, 'devices'),
      lastSeen: numberOf(row, 'last_seen'),
    }))
  }

  async listByPaths(
    hub: HubName,
    paths: readonly (readonly string[])[],
    page: { after: DeviceId | null; limit: number },
  ): Promise<readonly Sighting[]> {
    await this.flush()
    const wanted = JSON.stringify(paths.map(pathOf))
    return this.#byPaths.all(hub, wanted, page.after ?? '', page.limit).map(sightingOf)
  }

  async ending(
    hub: HubName,
    { from, before, limit }: { from: number; before: number; limit: number },
  ): Promise<readonly Sighting[]> {
    await this.flush()
    return this.#ending.all(hub, from, before, limit).map(sightingOf)
  }

  async countEnding(hub: HubName, { from, before }: { from: number; before: number }): Promise<number> {
    await this.flush()
    const row = this.#countEnding.one(hub, from, before)
    return row === null ? 0 : numberOf(row, 'count')
  }

  flush(): Promise<void> {
    return this.#waiting.flush()
  }

  close(): Promise<void> {
    return this.#waiting.close()
  }
}

function rowOf({ hub, deviceId, leaf, authorities, seen, by }: Sighting): Row {
  return {
    hub,
    device_id: deviceId,
    path: pathOf(authorities),
    leaf: leaf.id,
    leaf_subject: leaf.subject,
    leaf_not_after: Math.min(leaf.notAfter, END_OF_TIME),
    seen,
    source: by,
  }
}

function sightingOf(row: Row): Sighting {
  return {
    // Written by `rowOf` from values that were parsed then.
    hub: textOf(row, 'hub') as HubName,
    deviceId: textOf(row, 'device_id') as DeviceId,
    leaf: {
      id: textOf(row, 'leaf'),
      subject: textOf(row, 'leaf_subject'),
      notAfter: numberOf(row, 'leaf_not_after'),
    },
    authorities: authoritiesOf(textOf(row, 'path')),
    seen: numberOf(row, 'seen'),
    by: textOf(row, 'source') as Sighting['by'],
  }
}

/** Ids are hex. */
function pathOf(authorities: readonly string[]): string {
  return authorities.join('/')
}

function authoritiesOf(path: string): readonly string[] {
  return path === '' ? [] : path.split('/')
}
