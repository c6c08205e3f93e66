import { HubError } from '../errors.ts'

declare const brand: unique symbol
type Branded<Name extends string> = string & { readonly [brand]: Name }

/** First DNS label of a hub's host name, lower case: the key under which everything of a hub is stored. */
export type HubName = Branded<'HubName'>
/** Case-sensitive, at most 128 characters of the identity registry's ASCII set. */
export type DeviceId = Branded<'DeviceId'>
/** Case-insensitive in the provisioning service: always held in lower case. */
export type RegistrationId = Branded<'RegistrationId'>
/** Case-insensitive like a registration id: always held in lower case. */
export type EnrollmentGroupId = Branded<'EnrollmentGroupId'>
/** Name of a registered certificate authority, case-sensitive. */
export type AuthorityName = Branded<'AuthorityName'>

// Applied before the case is folded: toLowerCase() turns letters outside ASCII, such as the Kelvin sign, into ASCII ones.
const HUB_NAME = /^[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/
const DEVICE_ID = /^[A-Za-z0-9\-:.+%_#*?!(),=@;$']{1,128}$/
const REGISTRATION_ID = /^[A-Za-z0-9\-._:]{0,127}[A-Za-z0-9-]$/
const AUTHORITY_NAME = /^[A-Za-z0-9\-._]{1,64}$/

export function parseHubName(text: string): HubName {
  if (!HUB_NAME.test(text))
    throw invalid(`'${printable(text)}' is not a hub name: use 1 to 63 letters, digits or inner hyphens`)
  return text.toLowerCase() as HubName
}

export function parseDeviceId(text: string): DeviceId {
  if (!DEVICE_ID.test(text)) {
    throw invalid(
      `'${printable(text)}' is not a device id: use 1 to 128 of A-Z a-z 0-9 and - : . + % _ # * ? ! ( ) , = @ ; $ '`,
    )
  }
  return text as DeviceId
}

export function parseRegistrationId(text: string): RegistrationId {
  if (!REGISTRATION_ID.test(text)) {
    throw invalid(
      `'${printable(text)}' is not a registration id: use 1 to 128 letters, digits, - . _ : and end in a letter, a digit or -`,
    )
  }
  return text.toLowerCase() as RegistrationId
}

export function parseEnrollmentGroupId(text: string): EnrollmentGroupId {
  if (!REGISTRATION_ID.test(text))
    throw invalid(
      `'${printable(text)}' is not an enrollment group id: use 1 to 128 letters, digits, - . _ : and end in a letter, a digit or -`,
    )
  return text.toLowerCase() as EnrollmentGroupId
}

export function parseAuthorityName(text: string): AuthorityName {
  if (!AUTHORITY_NAME.test(text))
    throw invalid(`'${printable(text)}' is not a certificate name: use 1 to 64 of A-Z a-z 0-9 - . _`)
  return text as AuthorityName
}

/** Cuts and escapes hostile text so that it can stand in a message or a log line. */
export function printable(text: string, limit = 80): string {
  const safe = text
    .slice(0, limit)
    .replace(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202f\u2066-\u2069]/g, '\ufffd')
  return text.length > limit ? `${safe}…` : safe
}

function invalid(message: string): HubError {
  return new HubError('argument-invalid', message)
}
