import type { KekSource } from '@holdfast/server'
import type { ServerAccess } from '../server-access.ts'

type Result = 'pass' | 'fail' | 'not-checked'

export interface Outcome {
  readonly result: Result
  /** What was seen; for `not-checked`, why. */
  readonly evidence: string
}

/** One thing that is proved on the running server, and the clauses that ask for it. */
export interface Check {
  readonly name: string
  readonly clauses: readonly string[]
  readonly run: (site: Site) => Promise<Outcome>
}

/** The server under test, and what of it can be reached from here. */
export interface Site {
  readonly access: ServerAccess
  /** The name that its certificate carries. */
  readonly host: string
  readonly hub: string
  readonly ports: { readonly mqtts: number; readonly https: number; readonly amqps: number }
  /** null: it runs on another machine. */
  readonly data: string | null
  /** The key-encryption key; null when it is not at hand. */
  readonly key: KekSource | null
  /** Of the owner, as the server on this machine wrote down; null when none did. */
  readonly tokenFile: string | null
  /** Whether checks may register something, which they take away again. */
  readonly mayChange: boolean
}

export const pass = (evidence: string): Outcome => ({ result: 'pass', evidence })
export const fail = (evidence: string): Outcome => ({ result: 'fail', evidence })
export const notChecked = (evidence: string): Outcome => ({ result: 'not-checked', evidence })

/** Passes when nothing is wrong. */
export function verdict(problems: readonly string[], evidence: string): Outcome {
  return problems.length === 0 ? pass(evidence) : fail(problems.slice(0, 5).join('; '))
}

export const NOT_LOCAL = notChecked('the data folder is not on this machine: run it there, with --data')
