import { mkdtempSync, readFileSync, readdirSync, realpathSync, rmSync, statSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { verifyAuditLog, verifyBackup } from '@holdfast/server'
import { download } from '../backup/download.ts'
import { callApi } from '../server-access.ts'
import { NOT_LOCAL, fail, notChecked, pass, verdict } from './check.ts'
import type { Check } from './check.ts'

export const STORAGE_CHECKS: readonly Check[] = [
  {
    name: 'nobody but the owner of the server may read its files',
    clauses: ['IEC 62443-4-2 CR 4.1', 'ETSI EN 303 645 5.4-1', 'CRA I.1(2)(e)'],
    run: async ({ data, key, tokenFile }) => {
      if (data === null) return NOT_LOCAL
      const problems = [{ path: data, isFolder: true }, ...filesIn(data)]
        .filter(({ path }) => (statSync(path).mode & 0o077) !== 0)
        // Certificates are public, and holdfast.env names places alone.
        .filter(({ path }) => !/(?:\.cer|holdfast\.env)$/.test(path))
        .map(({ path }) => `${path} can be read by others`)
      const outside = [key?.kind === 'file' ? key.path : null, tokenFile].filter((path) => path !== null)
      for (const path of outside)
        if ((statSync(path).mode & 0o077) !== 0) problems.push(`${path} can be read by others`)
      return verdict(problems, [`${filesIn(data).length} files and folders`, ...outside].join(', '))
    },
  },
  {
    name: 'the key that opens the data is not among the data',
    clauses: ['IEC 62443-4-2 CR 1.9', 'ETSI EN 303 645 5.4-1', 'NIST IR 8259A: data protection'],
    run: async ({ data, access }) => {
      const { kek } = await callApi<{ kek: { kind: string; path: string | null } }>(access, {
        method: 'GET',
        path: '/holdfast/v1/keys',
      })
      if (kek.path === null) return pass(`held by a ${kek.kind}`)
      if (data === null) return NOT_LOCAL
      return isIn(data, kek.path) ? fail(`${kek.path} lies in the data folder`) : pass(`in ${kek.path}`)
    },
  },
  {
    name: "the owner's token is not among the data",
    clauses: ['IEC 62443-4-2 CR 1.5', 'ETSI EN 303 645 5.4-1', 'CRA I.1(2)(e)'],
    run: async ({ data, tokenFile }) => {
      if (data === null) return NOT_LOCAL
      if (tokenFile === null) return notChecked('the server did not write down where the token is')
      return isIn(data, tokenFile) ? fail(`${tokenFile} lies in the data folder`) : pass(`in ${tokenFile}`)
    },
  },
  {
    name: 'secrets are not in the clear in any stored byte',
    clauses: [
      'IEC 62443-4-2 CR 4.1',
      'IEC 62443-4-2 CR 1.5',
      'ETSI EN 303 645 5.4-1',
      'NIST IR 8259A: data protection',
      'CRA I.1(2)(e)',
    ],
    run: async ({ data, access, hub }) => {
      if (data === null) return NOT_LOCAL
      const path = `/holdfast/v1/hubs/${hub}/policies`
      const { value } = await callApi<{ value: { primaryKey?: string }[] }>(access, { method: 'GET', path })
      const keys = value.flatMap(({ primaryKey }) => (primaryKey === undefined ? [] : [primaryKey]))
      if (keys.length === 0 && access.token === null)
        return notChecked('this operator may not see the keys to search for: log in as owner or operator')
      const secrets = [...(access.token === null ? [] : [access.token]), ...keys].flatMap((text) => [
        Buffer.from(text),
        Buffer.from(text, 'base64'),
      ])
      const problems: string[] = []
      // A link, such as that to the settings of the quickstart, is not where the bytes are stored.
      const files = filesIn(data).filter(({ isFile }) => isFile)
      for (const { path: file } of files) {
        const bytes = readFileSync(file)
        const hasKey = /-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(bytes.toString('latin1'))
        if (hasKey) problems.push(`${file} holds a private key`)
        if (secrets.some((secret) => bytes.includes(secret))) problems.push(`${file} holds a key or token`)
      }
      return verdict(
        problems,
        `${files.length} files searched for ${keys.length} policy keys, the token and private keys`,
      )
    },
  },
  {
    name: 'the audit log is chained, signed, in order of time, and names who acted',
    clauses: [
      'IEC 62443-4-2 CR 2.8',
      'IEC 62443-4-2 CR 2.11',
      'IEC 62443-4-2 CR 2.12',
      'IEC 62443-4-2 CR 3.9',
      'NIST IR 8259A: cybersecurity state awareness',
      'CRA I.1(2)(l)',
    ],
    run: async ({ data, access, mayChange }) => {
      if (data === null) return NOT_LOCAL
      if (mayChange) await callApi(access, { method: 'POST', path: '/holdfast/v1/audit/checkpoint' })
      const { entries, signedUpTo, findings } = verifyAuditLog(join(data, 'audit'), {
        checkpoints: [],
        publicKey: null,
      })
      if (entries === 0) return fail('it is empty')
      if (findings.length === 0 && signedUpTo === 0)
        return notChecked(`${entries} entries verified and none signed yet: --with-changes has it sign a checkpoint`)
      return verdict(
        findings.map(({ message }) => message),
        `${entries} entries verified, signed up to entry ${signedUpTo}`,
      )
    },
  },
  {
    name: 'a backup can be taken while the server runs, and be restored',
    clauses: ['IEC 62443-4-2 CR 7.3', 'IEC 62443-4-2 CR 7.4', 'ETSI EN 303 645 5.9-1', 'CRA I.1(2)(h)'],
    run: async ({ access, key }) => {
      if (key === null) return notChecked('the key-encryption key is not at hand: name it with --key-file')
      const folder = mkdtempSync(join(tmpdir(), 'holdfast-conformance-'))
      try {
        const path = join(folder, 'backup')
        const { bytes } = await download(access, '/holdfast/v1/backups', path)
        const source = { path, key, random: { bytes: (count: number) => randomBytes(count) } }
        const { files } = await verifyBackup(source, folder)
        return pass(`${bytes} bytes taken and unpacked: ${files} files, all whole`)
      } finally {
        rmSync(folder, { recursive: true })
      }
    },
  },
]

/** A link does not lead out of it. */
function isIn(folder: string, path: string): boolean {
  return !relative(realpathSync(folder), realpathSync(path)).startsWith('..')
}

function filesIn(
  folder: string,
): readonly { readonly path: string; readonly isFolder: boolean; readonly isFile: boolean }[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true }).map((entry) => {
    return { path: join(entry.parentPath, entry.name), isFolder: entry.isDirectory(), isFile: entry.isFile() }
  })
}
