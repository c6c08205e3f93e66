/** Bytes that are not the CBOR they should be. `offset` counts bytes from the start of the input. */
export class CborError extends Error {
  readonly offset: number

  constructor(reason: string, offset: number) {
    super(`${reason} (at byte ${offset})`)
    this.name = 'CborError'
    this.offset = offset
  }
}
