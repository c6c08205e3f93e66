import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { makeFolder } from '../at-rest/whole-folder.ts'

const DASHBOARD = join(import.meta.dirname, '..', '..', '..', 'deploy', 'grafana-dashboard.json')

interface Dashboard {
  readonly panels: readonly { readonly title: string; readonly targets: readonly { readonly expr: string }[] }[]
}

test('every query of the dashboard names a metric of a running server', async (t) => {
  const server = await makeFolder(t).start()
  const token = readFileSync(server.managementTokenFile, 'utf8').trim()
  const headers = { authorization: `Bearer ${token}` }
  const { text } = await server.ask({ host: 'plant.test', method: 'GET', path: '/metrics', headers })
  const metrics = new Set([...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name ?? ''))
  const { panels } = JSON.parse(readFileSync(DASHBOARD, 'utf8')) as Dashboard
  const used = panels.flatMap(({ targets }) => targets.flatMap(({ expr }) => metricsIn(expr)))
  assert.deepEqual(
    [...new Set(used)].filter((name) => !metrics.has(name)),
    [],
  )
  // What the product counts is on the dashboard, all of it.
  assert.deepEqual(
    [...metrics].filter((name) => name.startsWith('holdfast_') && !used.includes(name)),
    [],
  )
})

/** Names of series; a histogram's buckets belong to the metric without the ending. */
function metricsIn(expr: string): string[] {
  return [...expr.matchAll(/\b(?:holdfast|process|nodejs)_\w+/g)].map(([name]) => name.replace(/_bucket$/, ''))
}
