import assert from 'node:assert/strict'
import { EventEmitter, once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { HubError } from '../../src/errors.ts'
import type { LogRequest } from '../../src/sqlite/log-worker.ts'
import { DATA_KEYS } from '../at-rest/data-keys.ts'
import { openSqliteStores } from '../../src/sqlite/open.ts'
import { WorkerLink } from '../../src/sqlite/worker-link.ts'
import { NOW } from '../contract/nouns.ts'

const SUBJECT = 'The telemetry log'

describe('storage worker', () => {
  test('one that dies rejects what is pending and what comes later, and says so once', async () => {
    const failures = new EventEmitter()
    const told: HubError[] = []
    failures.on('failure', (error: HubError) => told.push(error))
    const link = await WorkerLink.start<LogRequest, null>('log-worker', {
      data: { checkpointBytes: 1, maxPages: undefined, keys: DATA_KEYS },
      subject: SUBJECT,
      onFailure: (error) => failures.emit('failure', error),
    })
    const failure = once(failures, 'failure')
    // Not a request that the type allows: what the worker does after answering it throws.
    const deadly = { kind: 'commit', hub: 'x', path: '/nonexistent/x', origins: [], time: 0 } as unknown as LogRequest
    const answers = await Promise.allSettled([link.request(deadly), link.request({ kind: 'drop', paths: [] })])
    await failure
    assert.deepEqual(
      answers.map((answer) => answer.status),
      ['rejected', 'rejected'],
    )
    const stopped = { code: 'internal', message: /^The telemetry log has stopped working and accepts nothing/ }
    await assert.rejects(link.request({ kind: 'drop', paths: [] }), stopped)
    await link.close()
    assert.equal(told.length, 1)
  })

  test('one that cannot start rejects the start and does not count as a failure later', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'holdfast-worker-'))
    try {
      writeFileSync(join(folder, 'registry.db'), 'this is not a database at all'.repeat(100))
      const told: HubError[] = []
      const options = { folder, refusalCapacity: 1, clock: { now: () => NOW } }
      await assert.rejects(
        openSqliteStores({ ...options, keys: DATA_KEYS, onFailure: (error) => told.push(error) }),
        /file is not a database/,
      )
      assert.deepEqual(told, [])
      rmSync(join(folder, 'registry.db'))
      await (await openSqliteStores({ ...options, keys: DATA_KEYS })).close()
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})
