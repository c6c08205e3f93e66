import { HubError } from '../errors.ts'

/** A secret key in a token, as a PKCS #11 URI names it. */
export interface NamedTokenKey {
  readonly uri: string
  readonly module: string
  readonly token: string
  /** CKA_ID, hex. */
  readonly key: string
  /** null: the PIN is asked for. */
  readonly pinFile: string | null
}

const MAX_LENGTH = 4_096
const PATH = new Set(['token', 'id', 'type'])
const QUERY = new Set(['module-path', 'pin-source'])

/**
 * Reads a PKCS #11 URI (RFC 7512) such as `pkcs11:token=holdfast;id=%01?module-path=/usr/lib/p11.so&pin-source=file:/run/pin`.
 * Of its attributes those are taken that a server needs; another one is refused rather than passed over, and so is
 * `pin-value`, since arguments can be read by every user of the machine (§7).
 * @throws HubError `argument-invalid`
 */
export function parsePkcs11Uri(uri: string): NamedTokenKey {
  const match = /^pkcs11:([^?]*)(?:\?([^?]*))?$/.exec(uri)
  if (match === null || uri.length > MAX_LENGTH) throw wrong("it does not begin with 'pkcs11:'")
  const path = attributesOf(match[1] ?? '', ';', PATH)
  const query = attributesOf(match[2] ?? '', '&', QUERY)
  if (path.has('type') && textOf(path, 'type') !== 'secret-key') throw wrong('type must be secret-key')
  const module = textOf(query, 'module-path')
  if (!module.startsWith('/')) throw wrong('module-path must be absolute')
  const key = path.get('id')?.toString('hex') ?? ''
  if (key === '') throw wrong("it names no id, such as 'id=%01'")
  const pinFile = query.has('pin-source') ? textOf(query, 'pin-source').replace(/^file:(?:\/\/(?=\/))?/, '') : null
  if (pinFile !== null && !pinFile.startsWith('/')) throw wrong('pin-source must be an absolute path')
  return { uri, module, token: textOf(path, 'token'), key, pinFile }
}

function attributesOf(part: string, separator: string, known: ReadonlySet<string>): Map<string, Buffer> {
  const found = new Map<string, Buffer>()
  for (const attribute of part === '' ? [] : part.split(separator)) {
    const at = attribute.indexOf('=')
    const name = attribute.slice(0, Math.max(0, at))
    if (name === 'pin-value')
      throw wrong('a PIN does not belong into it: name a file with pin-source, or leave it out to be asked')
    if (!known.has(name)) throw wrong(`the attribute '${name}' is not known here`)
    if (found.has(name)) throw wrong(`'${name}' is in it twice`)
    found.set(name, bytesOf(attribute.slice(at + 1)))
  }
  return found
}

/** RFC 3986 §2.1; an id may be any bytes. */
function bytesOf(text: string): Buffer {
  if (!/^(?:[^%\u0080-\uffff]|%[0-9A-Fa-f]{2})*$/.test(text)) throw wrong('it is not percent-encoded as it should be')
  const bytes = text.replaceAll(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
  return Buffer.from(bytes, 'latin1')
}

function textOf(attributes: ReadonlyMap<string, Buffer>, name: string): string {
  const text = attributes.get(name)?.toString('utf8') ?? ''
  if (text === '') throw wrong(`it names no ${name}`)
  // eslint-disable-next-line no-control-regex
  if (/[\u0000-\u001f\u007f]/.test(text)) throw wrong(`its ${name} has a control character`)
  return text
}

function wrong(how: string): HubError {
  return new HubError('argument-invalid', `This is no PKCS #11 URI of a key that can be used: ${how}.`)
}
