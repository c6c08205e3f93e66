import { HubError } from '../errors.ts'

/** A failure of the store in a form that crosses from a worker to the main thread. */
export interface Fault {
  readonly code: 'storage-full' | 'internal'
  /** Says what broke, in SQLite's or the system's words. */
  readonly detail: string
  /** The disk may have lost what it was told to keep: nothing more may be acknowledged from this process. */
  readonly fatal: boolean
}

/** https://www.sqlite.org/rescode.html */
const SQLITE_FULL = 13
const SQLITE_IOERR_FSYNC = 1034
const SQLITE_IOERR_DIR_FSYNC = 1290
const FULL_DISK = new Set(['ENOSPC', 'EDQUOT', 'EFBIG'])

export function faultOf(error: unknown): Fault {
  const detail = error instanceof Error ? error.message : String(error)
  const { code, errcode } = (typeof error === 'object' && error !== null ? error : {}) as {
    code?: unknown
    errcode?: unknown
  }
  if (errcode === SQLITE_FULL || (typeof code === 'string' && FULL_DISK.has(code))) {
    return { code: 'storage-full', detail, fatal: false }
  }
  // After a failed fsync the kernel may drop the dirty pages and let the next fsync succeed: a retry would acknowledge
  // what is not on disk.
  return { code: 'internal', detail, fatal: errcode === SQLITE_IOERR_FSYNC || errcode === SQLITE_IOERR_DIR_FSYNC }
}

/** `subject` names the store that failed, as the start of a sentence. */
export function hubErrorOf(fault: Fault, subject: string): HubError {
  const cause = new Error(fault.detail)
  return fault.code === 'storage-full'
    ? new HubError('storage-full', `${subject} cannot be written because the disk is full; free some space.`, { cause })
    : new HubError('internal', `${subject} failed: ${fault.detail}.`, { cause })
}

/** Runs a read on the calling thread; a failure of SQLite becomes a HubError. */
export function guarded<T>(subject: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw error instanceof HubError ? error : hubErrorOf(faultOf(error), subject)
  }
}
