import { oid, sequence, setOf, utf8String } from './der-writer.ts'
import { IssueError } from './issue-error.ts'
import { AttributeOid } from './oid.ts'

/** RFC 5280 appendix A.1, ub-common-name and ub-organization-name: both allow 64 characters. */
const MAX_CHARACTERS = 64

/** What an IoT hub admits in a device id; ASCII alone, so that no two ids look alike. */
const DEVICE_ID = /^[A-Za-z0-9\-:.+%_#*?!(),=@;$']+$/

/** Codes are drawn from letters and digits by those who hand them out; nothing else belongs in one. */
const POSSESSION_CODE = /^[A-Za-z0-9\-_]+$/

/** The distinguished names that are issued here. */
export interface Subject {
  readonly commonName: string
  readonly organization?: string
}

/** Throws IssueError `invalid-name` unless `id` can be the common name of a device. */
export function checkDeviceId(id: string): void {
  if (!DEVICE_ID.test(id)) {
    throw new IssueError(
      'invalid-name',
      `"${printable(id)}" cannot be a device id.`,
      "Use ASCII letters, digits and - : . + % _ # * ? ! ( ) , = @ ; $ ' only.",
    )
  }
  checkLength('device id', id)
}

/** Throws IssueError `invalid-name` unless `code` has the form of a verification code. */
export function checkPossessionCode(code: string): void {
  if (!POSSESSION_CODE.test(code)) {
    throw new IssueError(
      'invalid-name',
      `"${printable(code)}" is not a verification code.`,
      'Copy the code as it was shown when it was generated.',
    )
  }
  checkLength('verification code', code)
}

/** A Name (RFC 5280 §4.1.2.4), DER, as UTF8String. Throws IssueError `invalid-name` for text that would mislead. */
export function encodeSubject({ commonName, organization }: Subject): Buffer {
  checkText('common name', commonName)
  if (organization === undefined) return sequence(attribute(AttributeOid.CN, commonName))
  checkText('organization', organization)
  return sequence(attribute(AttributeOid.O, organization), attribute(AttributeOid.CN, commonName))
}

function attribute(type: string, value: string): Buffer {
  return setOf(sequence(oid(type), utf8String(value)))
}

function checkText(what: string, text: string): void {
  // Control and format characters (bidirectional overrides, zero-width joiners) and outer blanks cannot be seen.
  if (text === '' || text !== text.trim() || /[\p{C}\p{Zl}\p{Zp}]/u.test(text)) {
    throw new IssueError(
      'invalid-name',
      `"${printable(text)}" cannot be a ${what}: it is empty, or holds characters that cannot be seen.`,
      'Give a name of visible characters, without blanks at its ends.',
    )
  }
  checkLength(what, text)
}

function checkLength(what: string, text: string): void {
  const characters = Array.from(text).length
  if (characters <= MAX_CHARACTERS) return
  throw new IssueError(
    'invalid-name',
    `The ${what} has ${characters} characters; a certificate holds at most ${MAX_CHARACTERS}.`,
    'Choose a shorter one.',
  )
}

function printable(text: string): string {
  return text.replaceAll(/[\p{C}\p{Zl}\p{Zp}]/gu, '\u{fffd}').slice(0, 2 * MAX_CHARACTERS)
}
