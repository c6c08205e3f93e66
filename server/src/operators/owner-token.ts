import { existsSync, lstatSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { HubError } from '../errors.ts'
import { replaceWhole } from '../keys/key-file.ts'
import { OWNER_NAME } from '../model/operator.ts'
import type { Operators } from './operators.ts'

const TOKEN = /^holdfast_[A-Za-z0-9_-]{40,}\s*$/

/**
 * The file of mode 0600 with the owner's token, made at the first start: `configured`, or beside the data folder, of which
 * a copy must not hold it. A lost file is replaced by a new token, which makes the old one worthless.
 */
export async function keepOwnerToken(
  { data, configured }: { readonly data: string; readonly configured: string | null },
  operators: Operators,
): Promise<string> {
  const file = configured ?? `${data.replace(/\/+$/, '')}.token`
  const kept = readToken(file) ?? takeFromInside(data)
  const token = kept !== null && isOwners(kept, operators) ? kept : await operators.issueOwnerToken()
  if (readToken(file) !== token) {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
    replaceWhole(file, `${token}\n`)
  }
  rmSync(insideOf(data), { force: true })
  return file
}

function isOwners(token: string, operators: Operators): boolean {
  const found = operators.byToken(token)
  return 'name' in found && found.name === OWNER_NAME
}

function readToken(file: string): string | null {
  if (!existsSync(file)) return null
  const text = readFileSync(file, 'utf8')
  if (TOKEN.test(text)) return text.trim()
  throw new HubError('internal', `The file ${file} holds something else than a management token; name another place.`)
}

/** Earlier releases kept the token in the data folder. */
function insideOf(data: string): string {
  return join(data, 'management.token')
}

function takeFromInside(data: string): string | null {
  const inside = insideOf(data)
  return existsSync(inside) && lstatSync(inside).isFile() ? readToken(inside) : null
}
