import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from 'node:fs'
import { CommandError } from '../command-error.ts'

/** A file beside the one that it is to take the place of, so that a crash leaves one of the two whole. */
export interface TokenDraft {
  /** Writes the token, mode 0600, and puts the file in its place. */
  keep(token: string): void
  close(): void
}

export function openDraft(file: string): TokenDraft {
  const path = `${file}.draft`
  const descriptor = open(path)
  let isOpen = true
  return {
    keep: (token) => {
      writeSync(descriptor, `${token}\n`)
      fsyncSync(descriptor)
      renameSync(path, file)
    },
    close: () => {
      if (isOpen) closeSync(descriptor)
      isOpen = false
      rmSync(path, { force: true })
    },
  }
}

function open(path: string): number {
  try {
    return openSync(path, 'wx', 0o600)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    throw new CommandError(
      `the new token could not be kept in '${path}' (${code ?? String(cause)}); nothing was changed`,
      1,
      {
        cause,
      },
    )
  }
}
