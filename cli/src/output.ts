/** Results go to stdout, everything else to stderr, so that a pipe carries results alone. */
export function print(line: string): void {
  process.stdout.write(`${line}\n`)
}

/** One JSON document on one line: what `--json` promises to scripts. */
export function printJson(value: unknown): void {
  print(jsonText(value))
}

/**
 * JSON that says the same (RFC 8259 §7) and that no terminal obeys: JSON itself leaves C1 controls and characters that
 * turn or hide text as they are, and strangers choose what stands here.
 */
export function jsonText(value: unknown): string {
  return JSON.stringify(value).replace(
    /[\u007f-\u009f\u200b-\u200f\u2028-\u202f\u2066-\u2069\ufeff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
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
