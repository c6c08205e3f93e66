import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Operators } from './operators.ts'

/**
 * The file of mode 0600 with the owner's token, made at the first start. A lost file is replaced by a new token, which
 * makes the old one worthless.
 */
export async function keepOwnerToken(folder: string, operators: Operators): Promise<string> {
  const file = join(folder, 'management.token')
  if (existsSync(file) && operators.hasOwnerToken) return file
  const token = await operators.issueOwnerToken()
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  writeFileSync(file, `${token}\n`, { mode: 0o600, flush: true })
  return file
}
