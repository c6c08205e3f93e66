/** Results go to stdout, everything else to stderr, so that a pipe carries results alone. */
export function print(line: string): void {
  process.stdout.write(`${line}\n`)
}

/** One JSON document on one line: what `--json` promises to scripts. */
export function printJson(value: unknown): void {
  print(JSON.stringify(value))
}

/** A reader that has seen enough (`| head`) closes the pipe; that ends the command and is no failure. */
export function endQuietlyOnClosedPipe(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
    process.exit()
  })
}
