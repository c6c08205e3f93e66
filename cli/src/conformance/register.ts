import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import { addAccessOptions, addHubOption, serverOf } from '../access-options.ts'
import type { RemoteOptions } from '../access-options.ts'
import { CommandError } from '../command-error.ts'
import { parseEnvFile } from '../env-file.ts'
import { addKeyOptions, keyAtHand } from '../key-options.ts'
import type { KeyFlags } from '../key-options.ts'
import { print, printJson } from '../output.ts'
import { callApi } from '../server-access.ts'
import type { Check, Outcome, Site } from './check.ts'
import { fail } from './check.ts'
import { IDENTITY_CHECKS } from './identity-checks.ts'
import { RESOURCE_CHECKS } from './resource-checks.ts'
import { STORAGE_CHECKS } from './storage-checks.ts'
import { TLS_CHECKS } from './tls-checks.ts'

interface ConformanceOptions extends RemoteOptions, KeyFlags {
  readonly withChanges?: true
}

interface Status {
  readonly ports: Site['ports']
  readonly hubs: readonly { readonly name: string; readonly hosts: readonly string[] }[]
}

const CHECKS: readonly Check[] = [...TLS_CHECKS, ...IDENTITY_CHECKS, ...STORAGE_CHECKS, ...RESOURCE_CHECKS]

/** `holdfast conformance`: what a running server can be shown to fulfil, clause by clause. */
export function register(command: Command): void {
  addKeyOptions(
    addHubOption(addAccessOptions(command)),
    'the key-encryption key, to prove that a backup can be restored',
  )
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
  const host = hub.hosts[0] ?? access.url.hostname
  return {
    access,
    host,
    hub: hub.name,
    ports: { mqtts: ports.mqtts, https: ports.https, amqps: ports.amqps },
    data,
    key: await keyAtHand(options, folder),
    tokenFile: data === null ? null : tokenFileOf(folder),
    mayChange: options.withChanges === true,
  }
}

/** By what a server on this machine wrote into its data folder. */
function tokenFileOf(folder: string): string | null {
  const written = join(folder, 'holdfast.env')
  const file = existsSync(written)
    ? parseEnvFile(readFileSync(written, 'utf8'))['HOLDFAST_MANAGEMENT_TOKEN_FILE']
    : undefined
  return file !== undefined && existsSync(file) ? file : null
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
