import pc from 'picocolors'

/** Tells a story one line a step: what was done, how long it took, and a detail worth knowing. */
export class Steps {
  readonly #out: NodeJS.WritableStream

  constructor(out: NodeJS.WritableStream) {
    this.#out = out
  }

  /** Runs one step and prints its line; a failing step is marked and its error goes on. */
  async run<T>(label: string, work: () => Promise<T>, detail: (result: T) => string = () => ''): Promise<T> {
    const started = performance.now()
    try {
      const result = await work()
      this.#line(pc.green('✓'), label, started, detail(result))
      return result
    } catch (error) {
      this.#line(pc.red('✗'), label, started, '')
      throw error
    }
  }

  say(text = ''): void {
    this.#out.write(`${text}\n`)
  }

  #line(mark: string, label: string, started: number, detail: string): void {
    const took = `${Math.round(performance.now() - started)} ms`
    this.#out.write(`  ${mark} ${label.padEnd(58)} ${pc.dim(took.padStart(8))}${detail ? `  ${pc.dim(detail)}` : ''}\n`)
  }
}
