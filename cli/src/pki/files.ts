import {
  accessSync,
  chmodSync,
  constants,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, resolve } from 'node:path'
import { ParseError } from '@holdfast/pki'
import { CommandError } from '../command-error.ts'

/** No certificate, key, request or chain comes near this; it stops a wrong path from filling the memory. */
const MAX_FILE_BYTES = 16 * 1024 * 1024

/** Reads a file that the user named. `what` says what it should be, for the message. */
export function readInput(path: string, what: string): Buffer {
  try {
    const { size } = statSync(path)
    if (size > MAX_FILE_BYTES) throw new CommandError(`${what} '${path}' has ${size} bytes: that is no such file`)
    return readFileSync(path)
  } catch (cause) {
    if (cause instanceof CommandError) throw cause
    throw new CommandError(`${what} '${path}' cannot be read: ${reason(cause)}`, 1, { cause })
  }
}

/** Reads a file that the user named, as what it should be: `what`, for the message. */
export function parseInput<Parsed>(path: string, what: string, parse: (bytes: Buffer) => Parsed): Parsed {
  const bytes = readInput(path, what)
  try {
    return parse(bytes)
  } catch (cause) {
    if (!(cause instanceof ParseError)) throw cause
    throw new CommandError(`'${path}' cannot be read as ${what.replace(/^the /, 'a ')}: ${cause.message}`, 1, { cause })
  }
}

/** A file for everybody to read. Throws rather than overwrite. */
export function writeNew(path: string, content: string | Uint8Array): void {
  write(path, content, 0o644)
}

/** A file that holds a private key: for its owner alone, on disk before the call returns. Throws rather than overwrite. */
export function writeNewSecret(path: string, content: string | Uint8Array): void {
  write(path, content, 0o600, true)
}

function write(path: string, content: string | Uint8Array, mode: number, flush = false): void {
  try {
    writeFileSync(path, content, { flag: 'wx', mode, flush })
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === 'EEXIST') throw exists(path)
    // It was made and could not be filled.
    if (code === 'ENOSPC' || code === 'EDQUOT' || code === 'EIO') rmSync(path, { force: true })
    throw new CommandError(`'${path}' cannot be written: ${reason(cause)}`, 1, { cause })
  }
}

/** Over what was there; whoever reads it meanwhile sees the old content or the new, never half of one. */
export function replaceFile(path: string, content: string | Uint8Array): void {
  try {
    // Never through a link that somebody has put there.
    rmSync(`${path}.new`, { force: true })
    writeFileSync(`${path}.new`, content, { flag: 'wx', mode: 0o644, flush: true })
    renameSync(`${path}.new`, path)
  } catch (cause) {
    rmSync(`${path}.new`, { force: true })
    throw new CommandError(`'${path}' cannot be written: ${reason(cause)}`, 1, { cause })
  }
}

/** Refuses, before a CA's records change, a file that could not be written afterwards. */
export function demandWritable(path: string): void {
  try {
    accessSync(dirname(path), constants.W_OK)
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true)
      throw new CommandError(`'${path}' is a folder`)
  } catch (cause) {
    if (cause instanceof CommandError) throw cause
    throw new CommandError(`'${path}' cannot be written: ${reason(cause)}`, 1, { cause })
  }
}

/** New files that belong together: all of them, or none is left. Throws rather than overwrite. */
export function writeTogether(files: readonly NewFile[]): void {
  const made: string[] = []
  try {
    for (const { path, content, secret, flush = false } of files) {
      write(path, content, secret ? 0o600 : 0o644, flush)
      made.push(path)
    }
  } catch (error) {
    for (const path of made) rmSync(path, { force: true })
    throw error
  }
}

export interface NewFile {
  readonly path: string
  readonly content: string | Uint8Array
  /** It holds a private key: for its owner alone. */
  readonly secret: boolean
  /** On disk before the call returns. */
  readonly flush?: boolean
}

/** Refuses before anything is made, so that a run over many files stops without a half of them. */
export function demandAbsent(paths: readonly string[]): void {
  for (const path of paths) if (existsSync(path)) throw exists(path)
}

export function makeFolder(path: string, mode = 0o755): void {
  if (path === '') throw new CommandError('the name of the folder is empty')
  try {
    // The umask has no say where a folder must be private.
    if (makeWithParents(resolve(path), mode) && mode === 0o700) chmodSync(path, mode)
  } catch (cause) {
    throw new CommandError(`the folder '${path}' cannot be made: ${reason(cause)}`, 1, { cause })
  }
}

/** Whether it was made here. Node's own `recursive` never comes back from where a file system makes no folders, as in /proc. */
function makeWithParents(path: string, mode: number): boolean {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) return false
  if (dirname(path) !== path) makeWithParents(dirname(path), mode)
  mkdirSync(path, { mode })
  return true
}

function exists(path: string): CommandError {
  return new CommandError(`'${path}' exists already and is not overwritten: choose another name, or move it away first`)
}

function reason(cause: unknown): string {
  switch ((cause as NodeJS.ErrnoException).code) {
    case 'ENOENT':
      return 'it does not exist'
    case 'EACCES':
    case 'EPERM':
      return 'this user may not'
    case 'EISDIR':
      return 'it is a folder'
    case 'ENOTDIR':
    case 'EEXIST':
      return 'a part of the path is a file'
    case 'ENOSPC':
    case 'EDQUOT':
      return 'the disk is full'
    case 'EROFS':
      return 'nothing can be written there'
    case 'ENAMETOOLONG':
      return 'the name is too long'
    default:
      return cause instanceof Error ? cause.message : String(cause)
  }
}
