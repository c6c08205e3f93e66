import { existsSync } from 'node:fs'
import type { Command } from 'commander'
import { addAccessOptions, addHubOption, serverOf } from '../access-options.ts'
import type { RemoteOptions } from '../access-options.ts'
import { CommandError } from '../command-error.ts'
import { print, printJson } from '../output.ts'
import { callApi } from '../server-access.ts'
import type { Check, Outcome, Site } from './check.ts'
import { fail } from './check.ts'
import { IDENTITY_CHECKS } from './identity-checks.ts'
import { RESOURCE_CHECKS } from './resource-checks.ts'
import { STORAGE_CHECKS } from './storage-checks.ts'
import { TLS_CHECKS } from './tls-checks.ts'

interface ConformanceOptions extends RemoteOptions {
  readonly withChanges?: true
  readonly keyFile?: string
}

interface Status {
  readonly ports: Site['ports']
  readonly hubs: readonly { readonly name: string; readonly hosts: readonly string[] }[]
}

const CHECKS: readonly Check[] = [...TLS_CHECKS, ...IDENTITY_CHECKS, ...STORAGE_CHECKS, ...RESOURCE_CHECKS]

/** `holdfast conformance`: what a running server can be shown to fulfil, clause by clause. */
export function register(command: Command): void {
  addHubOption(addAccessOptions(command))
    .option('--key-file <file>', 'the key-encryption key, to prove that a backup can be restored (default: <data>.key)')
    .option('--with-changes', 'allow checks that register something for a moment and take it away again')
    .addHelpText(
      'after',
      `
It claims only what it has just seen. Checks log in wrongly on purpose: from this address wrong log-ins are put off for a
minute afterwards. The exit code is 1 when a check fails.

Example:
  holdfast conformance --with-changes`,
    )
    .action(async (options: ConformanceOptions) => {
      const site = await siteOf(options)
      const rows: (Outcome & { readonly check: string; readonly clauses: readonly string[] })[] = []
      for (const check of CHECKS)
        rows.push({ check: check.name, clauses: check.clauses, ...(await outcomeOf(check, site)) })
      if (options.json) printJson({ server: site.access.url.origin, checks: rows })
      else for (const row of rows) show(row)
      const failed = rows.filter(({ result }) => result === 'fail').length
      if (!options.json) {
        const count = (wanted: string): number => rows.filter(({ result }) => result === wanted).length
        print(`${count('pass')} passed, ${failed} failed, ${count('not-checked')} not checked`)
      }
      if (failed > 0) throw new CommandError(`${failed} checks failed`)
    })
}

async function siteOf(options: ConformanceOptions): Promise<Site> {
  const access = serverOf(options)
  const { ports, hubs } = await callApi<Status>(access, { method: 'GET', path: '/holdfast/v1/status' })
  const hub = options.hub === undefined ? hubs[0] : hubs.find(({ name }) => name === options.hub)
  if (hub === undefined) throw new CommandError(`there is no hub '${options.hub}'`)
  const folder = options.data ?? 'data'
  const data = existsSync(`${folder}/registry.db`) ? folder : null
  const keyFile = options.keyFile ?? `${folder}.key`
  const host = hub.hosts[0] ?? access.url.hostname
  return {
    access,
    host,
    hub: hub.name,
    ports: { mqtts: ports.mqtts, https: ports.https, amqps: ports.amqps },
    data,
    keyFile: existsSync(keyFile) ? keyFile : null,
    mayChange: options.withChanges === true,
  }
}

/** A check that cannot be run to its end has not passed. */
async function outcomeOf(check: Check, site: Site): Promise<Outcome> {
  try {
    return await check.run(site)
  } catch (error) {
    return fail(error instanceof Error ? error.message : String(error))
  }
}

function show({ check, clauses, result, evidence }: { check: string; clauses: readonly string[] } & Outcome): void {
  const mark = { pass: 'pass', fail: 'FAIL', 'not-checked': '—   ' }[result]
  print(`${mark}  ${check}`)
  print(`      ${evidence}`)
  print(`      ${clauses.join(' · ')}`)
}
