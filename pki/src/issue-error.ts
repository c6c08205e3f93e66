/** Why a certificate, CRL or request was not issued. */
export type IssueErrorCode =
  | 'invalid-name'
  | 'invalid-address'
  | 'invalid-term'
  | 'outlives-issuer'
  | 'issuer-not-valid'
  | 'issuer-not-a-ca'
  | 'issuer-key-mismatch'
  | 'path-length-exhausted'
  | 'weak-key'
  | 'issuer-key-reused'
  | 'request-signature'
  | 'request-for-ca'

/** `message` says what is wrong, `remedy` what to do; both are whole sentences for a person. */
export class IssueError extends Error {
  override readonly name = 'IssueError'
  readonly code: IssueErrorCode
  readonly remedy: string

  constructor(code: IssueErrorCode, message: string, remedy: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
    this.remedy = remedy
  }
}
