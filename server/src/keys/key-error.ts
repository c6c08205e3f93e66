import { HubError } from '../errors.ts'

/** The key-encryption key cannot be had as it was named. Trying again changes nothing, and may lock a token: a person has to. */
export class KeyError extends HubError {
  constructor(message: string, options: { cause?: unknown } = {}) {
    super('internal', message, options)
  }
}
