/** Bytes that are not what they claim to be. `offset` counts octets (or characters of a text form) from the start of the input. */
export class ParseError extends Error {
  readonly offset: number

  constructor(reason: string, offset: number) {
    super(`${reason} (at offset ${offset})`)
    this.name = 'ParseError'
    this.offset = offset
  }
}
