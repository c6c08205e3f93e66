/** Small files of text that hold a secret of the server, such as a private key; sealed on the disk, mode 0600. */
export interface SecretFiles {
  /** null when there is no such file. Throws HubError `internal` for one that was changed or belongs elsewhere. */
  read(path: string): string | null
  /** A crash leaves the old file or the new one. */
  write(path: string, text: string): void
}
