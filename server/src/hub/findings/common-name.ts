import { AttributeOid } from '@holdfast/pki'
import type { Certificate } from '@holdfast/pki'
import { printable } from '../../model/ids.ts'
import type { Finding } from './finding.ts'
import { finding } from './finding.ts'

/**
 * Letters that a person takes for a Latin one: Cyrillic and Greek, lower and upper case, and the dotless i. Only for
 * explaining; deciding is by exact comparison.
 */
const LOOK_ALIKE = new Map(
  Object.entries({
    а: 'a',
    в: 'b',
    с: 'c',
    ԁ: 'd',
    е: 'e',
    һ: 'h',
    і: 'i',
    ј: 'j',
    к: 'k',
    ӏ: 'l',
    м: 'm',
    п: 'n',
    о: 'o',
    р: 'p',
    ѕ: 's',
    т: 't',
    у: 'y',
    х: 'x',
    ԝ: 'w',
    α: 'a',
    β: 'b',
    ε: 'e',
    η: 'n',
    ι: 'i',
    κ: 'k',
    μ: 'm',
    ν: 'v',
    ο: 'o',
    ρ: 'p',
    τ: 't',
    υ: 'y',
    χ: 'x',
    ζ: 'z',
    ı: 'i',
  }),
)

/** A certificate names a device by exactly one common name, equal to the id in every character. Null when it does. */
export function judgeCommonName(leaf: Certificate, id: string, noun = 'device id'): Finding | null {
  const values = leaf.subject.rdns.flat().filter((attribute) => attribute.type === AttributeOid.CN)
  const [only] = values
  if (only === undefined || values.length > 1) return notSingle(leaf, values.length)
  const { text } = only
  if (text === id) return null
  const shown = text === undefined ? '(not text)' : printable(text)
  return finding(
    'common-name-mismatch',
    `The certificate is that of '${shown}', the ${noun} claimed is '${printable(id)}': ${difference(text ?? '', id)}.`,
    { evidence: { commonName: shown, claimed: printable(id) } },
  )
}

function notSingle(leaf: Certificate, count: number): Finding {
  const subject = printable(leaf.subject.toString(), 200)
  const number = count === 0 ? 'no common name' : `${count} common names`
  return finding('common-name-not-single', `The certificate of subject "${subject}" has ${number} instead of one.`)
}

/** How two names differ, in words that end a sentence. */
function difference(given: string, expected: string): string {
  const visible = given.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, '')
  if (given.toLowerCase() === expected.toLowerCase()) return 'they differ in case only'
  if (given.trim() === expected.trim()) return 'they differ in blanks at an end'
  if (visible === expected) return 'the certificate has invisible characters'
  if (plainLatin(visible) === plainLatin(expected)) return 'the certificate has letters that look alike but are others'
  return 'they are different names'
}

function plainLatin(text: string): string {
  const lower = text.normalize('NFKC').toLowerCase()
  return Array.from(lower, (character) => LOOK_ALIKE.get(character) ?? character).join('')
}
