import { workerData } from 'node:worker_threads'
import type { DatabaseSync } from 'node:sqlite'
import { sealerFor } from '../keys/sealer-for.ts'
import type { SealingKeys } from '../keys/sealer-for.ts'
import type { DataKey } from '../keys/envelope.ts'
import { Checkpointer } from './checkpointer.ts'
import { openWriter, transaction } from './database.ts'
import { faultOf } from './fault.ts'
import type { Fault } from './fault.ts'
import { RegistryWrites } from './registry-writes.ts'
import type { Write, WriteResult } from './registry-writes.ts'
import { resealStep } from './reseal.ts'
import type { ResealCursor, ResealStep } from './reseal.ts'
import { RowCipher } from './row-cipher.ts'
import { serve } from './worker-service.ts'

export interface RegistryWorkerData {
  readonly path: string
  readonly maxPages: number | undefined
  readonly keys: SealingKeys
}

export type RegistryRequest =
  | { readonly kind: 'write'; readonly batch: readonly Write[] }
  | { readonly kind: 'add-key'; readonly key: DataKey }
  | { readonly kind: 'reseal'; readonly cursor: ResealCursor | null }

export type WriteAnswer = { readonly result: WriteResult } | { readonly fault: Fault }
export type RegistryAnswer = readonly WriteAnswer[] | ResealStep | null

/** Rough size of a row in the write-ahead log, index pages included. */
const BYTES_PER_WRITE = 4_096
const CHECKPOINT_BYTES = 8 * 1024 * 1024

const { path, maxPages, keys } = workerData as RegistryWorkerData
const database = openWriter(path, { maxPages })
// What is deleted is overwritten: a device's keys must not stay in free pages.
database.exec('PRAGMA secure_delete = ON')
const sealer = sealerFor('registry', keys)
const rows = new RowCipher(sealer)
const writes = new RegistryWrites(database, rows)
const checkpointer = new Checkpointer(database, CHECKPOINT_BYTES)

serve<RegistryRequest>({
  handle: (request): RegistryAnswer => {
    if (request.kind === 'write') {
      return transaction(database, () => request.batch.map((write) => attempt(database, write)))
    }
    if (request.kind === 'reseal') return transaction(database, () => resealStep(database, rows, request.cursor))
    sealer.add(request.key)
    return null
  },
  afterwards: (request) => {
    if (request.kind === 'write') {
      checkpointer.committed(request.batch.length * BYTES_PER_WRITE, request.batch.some(erases))
    }
    if (request.kind === 'reseal') checkpointer.committed(BYTES_PER_WRITE, true)
  },
  close: () => {
    checkpointer.close()
    database.close()
  },
})

/** Whether a write takes away what was stored before. */
function erases(write: Write): boolean {
  if (write.kind === 'several') return write.writes.some(erases)
  return ['delete', 'replace', 'put', 'complete'].includes(write.kind)
}

/** One write of a batch stands or falls alone, unless its failure took the whole transaction with it. */
function attempt(database: DatabaseSync, write: Write): WriteAnswer {
  database.exec('SAVEPOINT one')
  try {
    const result = writes.run(write)
    database.exec('RELEASE one')
    return { result }
  } catch (error) {
    if (!database.isTransaction) throw error
    database.exec('ROLLBACK TO one; RELEASE one')
    return { fault: faultOf(error) }
  }
}
