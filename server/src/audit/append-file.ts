import { open } from 'node:fs/promises'

/** The file at the end of the log. */
export interface AppendFile {
  write(bytes: Uint8Array, position: number): Promise<void>
  /** Resolves when everything written is on the disk. */
  sync(): Promise<void>
  truncate(length: number): Promise<void>
  close(): Promise<void>
}

export type OpenAppendFile = (path: string) => Promise<AppendFile>

/** Opens a file of the log, made with mode 0600 unless it is there. */
export const openAppendFile: OpenAppendFile = async (path) => {
  const handle = await open(path, 'a+', 0o600).then(async (made) => {
    await made.close()
    return open(path, 'r+')
  })
  return {
    write: async (bytes, position) => {
      for (let done = 0; done < bytes.length;) {
        const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, position + done)
        done += bytesWritten
      }
    },
    sync: () => handle.sync(),
    truncate: (length) => handle.truncate(length),
    close: () => handle.close(),
  }
}
