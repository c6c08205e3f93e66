import { ParseError } from './parse-error.ts'

/** Textual encodings (RFC 7468), strict: base64 alphabet, padding, matching labels, nothing between the lines. */
export interface PemBlock {
  readonly label: string
  readonly der: Uint8Array
}

export interface PemBudget {
  /** Characters of text that are looked at. */
  readonly maxLength: number
  readonly maxBlocks: number
}

const DEFAULT_BUDGET: PemBudget = { maxLength: 4 * 1024 * 1024, maxBlocks: 1000 }

const BEGIN = '-----BEGIN '
const DASHES = '-----'
const LABEL = /^[A-Z0-9][A-Z0-9 #-]*$/

/**
 * Every block in the text, in order. Text outside of blocks is skipped (RFC 7468 §2: explanatory text). Throws
 * ParseError for a block that is cut off, has headers (legacy encryption, RFC 1421) or is not strict base64.
 */
export function decodePem(text: string, budget: Partial<PemBudget> = {}): PemBlock[] {
  const { maxLength, maxBlocks } = { ...DEFAULT_BUDGET, ...budget }
  if (text.length > maxLength) throw new ParseError(`PEM text longer than ${maxLength} characters`, maxLength)
  const blocks: PemBlock[] = []
  let position = 0
  for (;;) {
    const begin = text.indexOf(BEGIN, position)
    if (begin < 0) return blocks
    if (blocks.length === maxBlocks) throw new ParseError(`more than ${maxBlocks} PEM blocks`, begin)
    const labelStart = begin + BEGIN.length
    const labelEnd = text.indexOf(DASHES, labelStart)
    const label = labelEnd < 0 ? '' : text.slice(labelStart, labelEnd)
    if (!LABEL.test(label)) throw new ParseError('malformed PEM BEGIN line', begin)
    const bodyStart = labelEnd + DASHES.length
    const end = `${DASHES}END ${label}${DASHES}`
    const bodyEnd = text.indexOf(DASHES, bodyStart)
    if (bodyEnd < 0 || !text.startsWith(end, bodyEnd)) {
      throw new ParseError(`PEM block "${label}" has no matching END line`, begin)
    }
    blocks.push({ label, der: decodeBase64(text.slice(bodyStart, bodyEnd), bodyStart) })
    position = bodyEnd + end.length
  }
}

function decodeBase64(body: string, offset: number): Uint8Array {
  if (body.includes(':')) throw new ParseError('PEM headers (legacy encryption) are not supported', offset)
  const packed = body.replace(/[\r\n\t ]+/g, '')
  const shape = /^[A-Za-z0-9+/]+={0,2}$/
  if (packed.length % 4 !== 0 || !shape.test(packed)) throw new ParseError('malformed base64 in PEM', offset)
  const der = Buffer.from(packed, 'base64')
  // Non-zero bits under the padding would give one value several texts (RFC 4648 §3.5).
  if (der.toString('base64') !== packed) throw new ParseError('base64 in PEM is not canonical', offset)
  return der
}

/** One block with lines of 64 characters and a final newline. */
export function encodePem(label: string, der: Uint8Array): string {
  const base64 = Buffer.from(der.buffer, der.byteOffset, der.byteLength).toString('base64')
  const lines = base64.match(/.{1,64}/g) ?? []
  return `${BEGIN}${label}${DASHES}\n${lines.join('\n')}\n${DASHES}END ${label}${DASHES}\n`
}
