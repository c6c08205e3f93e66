/** Repainting more often than this costs time and shows nothing more. */
const REPAINT_MS = 100
const WIDTH = 30

/** A bar on stderr for a run that takes a while; silent where nobody looks. */
export class ProgressBar {
  readonly #total: number
  readonly #what: string
  readonly #shown = process.stderr.isTTY
  #started = 0
  #painted = 0

  constructor(total: number, what: string, now: number) {
    this.#total = total
    this.#what = what
    this.#started = now
  }

  update(done: number, now: number): void {
    if (!this.#shown || (now - this.#painted < REPAINT_MS && done < this.#total)) return
    this.#painted = now
    const filled = Math.round((done / this.#total) * WIDTH)
    const bar = '█'.repeat(filled) + '░'.repeat(WIDTH - filled)
    const rate = Math.round((done / Math.max(1, now - this.#started)) * 1000)
    process.stderr.write(`\r${bar} ${done}/${this.#total} ${this.#what}, ${rate}/s `)
  }

  /** Takes the bar away, also after a failure. */
  clear(): void {
    if (this.#shown) process.stderr.write('\r\u001B[K')
  }
}
