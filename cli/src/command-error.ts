/** A failure that is told to the user in one line, without a stack. */
export class CommandError extends Error {
  override readonly name = 'CommandError'
  /** 1: it could not be done; 2: it was asked for wrongly; 78: only a person can mend it (EX_CONFIG of sysexits.h). */
  readonly exitCode: number

  constructor(message: string, exitCode = 1, options?: ErrorOptions) {
    super(message, options)
    this.exitCode = exitCode
  }
}
