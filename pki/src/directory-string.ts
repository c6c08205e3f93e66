import type { DerValue } from './der.ts'
import { Tag } from './der.ts'

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const utf16 = new TextDecoder('utf-16be', { fatal: true, ignoreBOM: true })

/**
 * Text of a string type that names use (RFC 5280 §4.1.2.4), or undefined for any other type. Throws ParseError when the
 * octets do not belong to the type.
 */
export function decodeString(value: DerValue): string | undefined {
  const { source, contentStart, end } = value
  switch (value.tag) {
    case Tag.utf8String:
      return isAscii(value) ? source.toString('latin1', contentStart, end) : decodeWith(utf8, value)
    // PrintableString is held to ASCII only: "@", "*" and "_" occur in certificates that are otherwise sound.
    case Tag.printableString:
    case Tag.ia5String:
    case Tag.visibleString:
    case Tag.numericString:
      return decodeAscii(value)
    // T.61 has no decoder anyone agrees on; Latin-1 is what issuers meant by it.
    case Tag.teletexString:
      return source.toString('latin1', contentStart, end)
    case Tag.bmpString:
      if (value.length % 2 !== 0) value.fail('BMPString of odd length')
      return decodeWith(utf16, value)
    case Tag.universalString:
      return decodeUtf32(value)
    default:
      return undefined
  }
}

/** The text of a string restricted to ASCII (IA5String and its kin). */
export function decodeAscii(value: DerValue): string {
  if (!isAscii(value)) value.fail('string with octets outside of ASCII')
  return value.source.toString('latin1', value.contentStart, value.end)
}

function isAscii({ source, contentStart, end }: DerValue): boolean {
  for (let i = contentStart; i < end; i++) if ((source[i] ?? 0) >= 0x80) return false
  return true
}

function decodeWith(decoder: TextDecoder, value: DerValue): string {
  try {
    return decoder.decode(value.content)
  } catch {
    return value.fail('string that is not valid in its encoding')
  }
}

function decodeUtf32(value: DerValue): string {
  const { content } = value
  if (content.length % 4 !== 0) value.fail('UniversalString of a length that is no multiple of four')
  let text = ''
  for (let i = 0; i < content.length; i += 4) {
    const codePoint = content.readUInt32BE(i)
    if (codePoint > 0x10ffff || (codePoint >= 0xd800 && codePoint <= 0xdfff)) value.fail('no such code point')
    text += String.fromCodePoint(codePoint)
  }
  return text
}
