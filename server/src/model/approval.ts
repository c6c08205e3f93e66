import type { DangerousActName } from './dangerous-act.ts'

/** A dangerous act that one principal asks for and another one must approve. It holds no content of the request. */
export interface Approval {
  /** 12 hex digits. */
  readonly id: string
  readonly act: DangerousActName
  /** Method, path and query, as they were asked for. */
  readonly path: string
  /** What it does to whom, for the one who approves. */
  readonly cutsOff: string
  readonly requestedBy: string
  readonly requestedAt: number
  readonly expires: number
  /** Who approved; null while it waits. */
  readonly approvedBy: string | null
  /** SHA-256, hex, of who asked for what by which request. */
  readonly request: string
  /** The state of what is acted upon, such as its etag: in another state it is another act. */
  readonly state: string
}
