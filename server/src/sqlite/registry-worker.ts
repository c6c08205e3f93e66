import { workerData } from 'node:worker_threads'
import type { DatabaseSync } from 'node:sqlite'
import { Checkpointer } from './checkpointer.ts'
import { openWriter, transaction } from './database.ts'
import { faultOf } from './fault.ts'
import type { Fault } from './fault.ts'
import { RegistryWrites } from './registry-writes.ts'
import type { Write, WriteResult } from './registry-writes.ts'
import { serve } from './worker-service.ts'

export interface RegistryWorkerData {
  readonly path: string
  readonly maxPages: number | undefined
}

export type WriteAnswer = { readonly result: WriteResult } | { readonly fault: Fault }

/** Rough size of a row in the write-ahead log, index pages included. */
const BYTES_PER_WRITE = 4_096
const CHECKPOINT_BYTES = 8 * 1024 * 1024

const { path, maxPages } = workerData as RegistryWorkerData
const database = openWriter(path, { maxPages })
const writes = new RegistryWrites(database)
const checkpointer = new Checkpointer(database, CHECKPOINT_BYTES)

serve<readonly Write[]>({
  handle: (batch): readonly WriteAnswer[] =>
    transaction(database, () => batch.map((write) => attempt(database, write))),
  afterwards: (batch) => checkpointer.committed(batch.length * BYTES_PER_WRITE),
  close: () => {
    checkpointer.close()
    database.close()
  },
})

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
