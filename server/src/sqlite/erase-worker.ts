import { basename } from 'node:path'
import { workerData } from 'node:worker_threads'
import type { DatabaseSync } from 'node:sqlite'
import { sealerFor } from '../keys/sealer-for.ts'
import type { SealingKeys } from '../keys/sealer-for.ts'
import type { DeviceId, HubName } from '../model/ids.ts'
import type { HubEvent } from '../model/message.ts'
import { openWriter, transaction } from './database.ts'
import { BlockWriter, decodeBlock } from './event-codec.ts'
import { blockContext } from './segment.ts'
import { serve } from './worker-service.ts'

export interface EraseWorkerData {
  readonly keys: SealingKeys
}

/** A segment that nothing is written to any more. */
export interface EraseRequest {
  readonly hub: HubName
  readonly path: string
  readonly deviceId: DeviceId
  readonly keepGenerationId: string | null
}

interface BlockRow {
  readonly id: number
  readonly partition: number
  readonly first: number
  readonly count: number
  readonly time: number
  readonly bytes: Uint8Array
}

const sealer = sealerFor('telemetry', (workerData as EraseWorkerData).keys)

serve<EraseRequest>({
  handle: (request): number => {
    const database = openWriter(request.path)
    try {
      // What an update frees is overwritten with zeros, and the write-ahead log is emptied below.
      database.exec('PRAGMA secure_delete = ON')
      const erased = eraseFrom(database, request)
      if (erased > 0) database.exec('PRAGMA wal_checkpoint(TRUNCATE)')
      return erased
    } finally {
      database.close()
    }
  },
  afterwards: () => {},
  close: () => {},
})

/** Empties the device's events block by block; returns how many. */
function eraseFrom(database: DatabaseSync, request: EraseRequest): number {
  const select = database.prepare('SELECT * FROM blocks WHERE id > ? ORDER BY id LIMIT 1')
  const update = database.prepare('UPDATE blocks SET bytes = ? WHERE id = ?')
  let erased = 0
  for (let after = 0; ;) {
    const row = select.get(after) as BlockRow | undefined
    if (row === undefined) return erased
    after = row.id
    const emptied = emptiedBlock(row, request)
    if (emptied === null) continue
    transaction(database, () => update.run(emptied.bytes, row.id))
    erased += emptied.count
  }
}

function emptiedBlock(row: BlockRow, request: EraseRequest): { bytes: Uint8Array; count: number } | null {
  const { hub, path } = request
  const context = blockContext({ ...row, hub, file: basename(path) })
  const { events } = decodeBlock(sealer.open(row.bytes, context), hub, row.count)
  const count = events.filter((event) => isMeant(event, request)).length
  if (count === 0) return null
  const writer = new BlockWriter(row.bytes.length)
  for (const event of events) writer.add(isMeant(event, request) ? emptied(event) : event)
  return { bytes: sealer.seal(writer.written, context), count }
}

/** An event that is empty already is not erased again. */
function isMeant(event: HubEvent, { deviceId, keepGenerationId }: EraseRequest): boolean {
  return (
    event.deviceId === deviceId &&
    event.generationId !== keepGenerationId &&
    (event.body.length > 0 || Object.keys(event.application).length > 0 || Object.keys(event.properties).length > 0)
  )
}

/** Its place stays, so that sequences go on without a gap. */
function emptied(event: HubEvent): HubEvent {
  return { ...event, properties: {}, application: {}, body: new Uint8Array() }
}
