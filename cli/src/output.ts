/** Results go to stdout, everything else to stderr, so that a pipe carries results alone. */
export function print(line: string): void {
  process.stdout.write(`${line}\n`)
}

/** One JSON document on one line: what `--json` promises to scripts. */
export function printJson(value: unknown): void {
  print(JSON.stringify(value))
}

/**
 * A reader that has seen enough (`| head`) closes the pipe, which is no error. A command that has something to drain, and
 * therefore listens for SIGTERM, gets one; any other just ends.
 */
export function endQuietlyOnClosedPipe(): void {
  let ending = false
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
    if (ending) return
    ending = true
    if (process.listenerCount('SIGTERM') > 0) process.kill(process.pid, 'SIGTERM')
    else process.exit()
  })
}
