import {
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { CommandError } from '../command-error.ts'
import { formatEnvFile, parseEnvFile } from '../env-file.ts'

const ENV = 'quickstart.env'

/**
 * Where the keys of a quickstart lie: beside the data folder, `data` → `data.quickstart`, so that no copy of the data holds
 * them. In the data folder there is a link to the settings, where samples look for them.
 */
export function quickstartPlace(data: string) {
  const folder = `${data.replace(/\/+$/, '')}.quickstart`
  return {
    folder,
    root: join(folder, 'root-ca'),
    intermediate: join(folder, 'line-1-ca'),
    devices: join(folder, 'devices'),
    env: join(folder, ENV),
    link: join(data, ENV),
    /** Written last, so that a story which broke off is told again from what is there. */
    told: join(data, 'quickstart.told'),
  }
}

export function isToldAlready(data: string): boolean {
  return existsSync(quickstartPlace(data).told) || existsSync(join(insideOf(data), 'told'))
}

export function markTold(data: string): void {
  writeFileSync(quickstartPlace(data).told, `${new Date().toISOString()}\n`, { mode: 0o600 })
}

/** Earlier releases kept the keys of the quickstart in the data folder. */
function insideOf(data: string): string {
  return join(data, 'quickstart')
}

/** Makes room for a new story. Keys of a data folder that is gone are put aside; others are never written over. */
export function demandRoom(data: string): void {
  const { folder } = quickstartPlace(data)
  const isThere = existsSync(folder)
  if (!existsSync(join(data, 'registry.db'))) {
    if (!isThere) return
    rmSync(`${folder}.old`, { recursive: true, force: true })
    return renameSync(folder, `${folder}.old`)
  }
  if (!isThere && !existsSync(insideOf(data))) return
  throw new CommandError(
    `an earlier quickstart in '${data}' did not end. Remove that folder and start again, name another with --data, or start with --no-quickstart`,
  )
}

/** Leaves a link to the settings in the data folder. */
export function linkSettings(data: string): string {
  const { env, link } = quickstartPlace(data)
  if (lstatSync(link, { throwIfNoEntry: false }) === undefined)
    symlinkSync(relative(dirname(resolve(link)), resolve(env)), link)
  return link
}

/** Takes keys out of the data folder that an earlier release left there. `tokenFile`: where the token is now. */
export function takeQuickstartOut(data: string, tokenFile: string): void {
  const { folder, env, link } = quickstartPlace(data)
  const inside = insideOf(data)
  if (existsSync(inside)) {
    if (existsSync(folder))
      throw new CommandError(`both '${inside}' and '${folder}' hold keys of a quickstart: move one of them away`)
    // Not renamed: a data folder may be a volume of its own.
    cpSync(inside, folder, { recursive: true })
    chmodSync(folder, 0o700)
    if (existsSync(join(folder, 'told'))) {
      rmSync(join(folder, 'told'))
      markTold(data)
    }
    rmSync(inside, { recursive: true })
  }
  if (lstatSync(link, { throwIfNoEntry: false })?.isFile()) {
    const values = { ...parseEnvFile(readFileSync(link, 'utf8')), HOLDFAST_MANAGEMENT_TOKEN_FILE: resolve(tokenFile) }
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    // One that lies there, half written or somebody else's, is not written into.
    rmSync(env, { force: true })
    writeFileSync(env, formatEnvFile(QUICKSTART_NOTE, values), { flag: 'wx', mode: 0o600, flush: true })
    rmSync(link)
    linkSettings(data)
  }
}

export const QUICKSTART_NOTE = [
  'For development: source this file, then run the samples of the Azure IoT and Event Hubs SDKs as they are.',
  'It holds keys, and the private key of a CA that this server trusts: keep it to yourself.',
]
