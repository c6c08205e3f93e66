import type { Certificate } from './certificate.ts'
import type { GeneralSubtree, NameConstraints } from './extensions.ts'
import type { GeneralName, GeneralNameKind } from './general-name.ts'
import type { Name } from './name.ts'
import { AttributeOid } from './oid.ts'
import type { Spending } from './path-budget.ts'

/** Name constraints (RFC 5280 §4.2.1.10, §6.1.3 (b) and (c)). */

export interface ConstraintViolation {
  /** The name that is not allowed, for display. */
  readonly name: string
  readonly reason: 'excluded' | 'not permitted' | 'cannot be judged'
}

/** What is wrong with the constraints themselves, or undefined. Checked on every CA of a path, matched or not. */
export function malformedConstraint(constraints: NameConstraints, spending: Spending): string | undefined {
  const { permitted, excluded } = constraints
  if (permitted.length + excluded.length === 0) return 'no subtree at all'
  for (const { base, bounded } of [...permitted, ...excluded]) {
    spending.nameComparison()
    if (bounded) return 'a subtree with minimum or maximum'
    if (!isWellFormedBase(base)) return `a malformed subtree "${displayGeneralName(base)}"`
  }
  return undefined
}

/** The first name of the certificate that the constraints of a CA above it do not allow. */
export function constraintViolation(
  certificate: Certificate,
  constraints: NameConstraints,
  spending: Spending,
): ConstraintViolation | undefined {
  for (const name of constrainedNames(certificate)) {
    const excluded = ofKind(constraints.excluded, name.kind)
    const permitted = ofKind(constraints.permitted, name.kind)
    if (excluded.length + permitted.length === 0) continue
    const reason = judge(name, permitted, excluded, spending)
    if (reason !== undefined) return { name: displayGeneralName(name), reason }
  }
  return undefined
}

function judge(
  name: GeneralName,
  permitted: readonly GeneralName[],
  excluded: readonly GeneralName[],
  spending: Spending,
): ConstraintViolation['reason'] | undefined {
  // A name whose form we cannot compare, or that is no name of its form, may mean anything to its reader.
  if (!isComparable(name)) return 'cannot be judged'
  const matches = (base: GeneralName, within: boolean): boolean => {
    spending.nameComparison()
    return matchesSubtree(name, base, within)
  }
  if (excluded.some((base) => matches(base, false))) return 'excluded'
  if (permitted.length > 0 && !permitted.some((base) => matches(base, true))) return 'not permitted'
  return undefined
}

function ofKind(subtrees: readonly GeneralSubtree[], kind: GeneralNameKind): GeneralName[] {
  return subtrees.flatMap(({ base }) => (base.kind === kind ? [base] : []))
}

/** The subject where it is not empty, e-mail addresses in the subject (a legacy form), and every alternative name. */
function constrainedNames({ subject, extensions }: Certificate): GeneralName[] {
  const names: GeneralName[] = [...(extensions.subjectAltName ?? [])]
  if (!subject.isEmpty) names.push({ kind: 'directory', value: subject })
  for (const value of subject.texts(AttributeOid.emailAddress)) names.push({ kind: 'email', value })
  return names
}

/**
 * Whether `name` lies in the subtree. `within`: all that the name stands for lies there (permitted). Otherwise: any of it
 * may (excluded). The two differ for DNS wildcards.
 */
function matchesSubtree(name: GeneralName, base: GeneralName, within: boolean): boolean {
  if (name.kind === 'directory' && base.kind === 'directory') return startsWithRdns(name.value, base.value)
  if (name.kind === 'dns' && base.kind === 'dns') return matchesDns(name.value, base.value, within)
  if (name.kind === 'email' && base.kind === 'email') return matchesEmail(name.value, base.value)
  if (name.kind === 'uri' && base.kind === 'uri') return matchesHost(uriHost(name.value) ?? '', base.value)
  if (name.kind === 'ip' && base.kind === 'ip') return matchesIp(name.value, base.value)
  return false
}

function startsWithRdns(name: Name, base: Name): boolean {
  return base.rdnKeys.every((key, i) => name.rdnKeys[i] === key)
}

/** Zero or more labels added on the left satisfy the constraint. */
function matchesDns(name: string, base: string, within: boolean): boolean {
  const host = name.toLowerCase()
  const suffix = base.toLowerCase()
  if (!host.startsWith('*.')) return isInDomain(host, suffix)
  const parent = host.slice(2)
  // "*.example.com" can stand for an excluded "a.example.com" as well as lie within an excluded "example.com".
  return isInDomain(parent, suffix) || (!within && isInDomain(suffix, parent))
}

function isInDomain(host: string, suffix: string): boolean {
  return suffix === '' || host === suffix || host.endsWith(`.${suffix}`)
}

/** A mailbox, all mailboxes of one host, or (with a leading period) all mailboxes of the hosts of a domain. */
function matchesEmail(address: string, base: string): boolean {
  const at = address.lastIndexOf('@')
  const host = address.slice(at + 1)
  const baseAt = base.lastIndexOf('@')
  if (baseAt < 0) return matchesHost(host, base)
  // The local part is case-sensitive (RFC 5280 §7.5), the host is not.
  return address.slice(0, at) === base.slice(0, baseAt) && host.toLowerCase() === base.slice(baseAt + 1).toLowerCase()
}

/** Unlike DNS names, hosts in URIs and mailboxes match a subdomain only where the constraint starts with a period. */
function matchesHost(host: string, base: string): boolean {
  const [a, b] = [host.toLowerCase(), base.toLowerCase()]
  return b === '' || (b.startsWith('.') ? a.endsWith(b) : a === b)
}

function matchesIp(address: Uint8Array, base: Uint8Array): boolean {
  if (base.length !== address.length * 2) return false
  return address.every((octet, i) => ((octet ^ (base[i] ?? 0)) & (base[address.length + i] ?? 0)) === 0)
}

function isComparable(name: GeneralName): boolean {
  switch (name.kind) {
    case 'directory':
      return true
    case 'dns':
      return isDnsName(name.value.startsWith('*.') ? name.value.slice(2) : name.value)
    case 'email':
      return isMailbox(name.value)
    case 'uri':
      return uriHost(name.value) !== undefined
    case 'ip':
      return name.value.length === 4 || name.value.length === 16
    default:
      return false
  }
}

function isWellFormedBase(base: GeneralName): boolean {
  switch (base.kind) {
    case 'dns':
      return base.value === '' || isDnsName(base.value)
    case 'email':
      return base.value.includes('@') ? isMailbox(base.value) : isHostConstraint(base.value)
    case 'uri':
      return isHostConstraint(base.value)
    case 'ip':
      return isNetwork(base.value)
    default:
      return true
  }
}

const DNS_LABEL = /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/i

/** Labels and periods (RFC 1034 §3.5); underscores are let pass here, since devices' names do hold them. */
export function isDnsName(name: string): boolean {
  return name.length <= 253 && name.split('.').every((label) => DNS_LABEL.test(label))
}

function isHostConstraint(host: string): boolean {
  return host === '' || isDnsName(host.startsWith('.') ? host.slice(1) : host)
}

/** Local-part "@" Domain with an unquoted local part (RFC 5321 §4.1.2); quoted ones are refused rather than guessed. */
function isMailbox(address: string): boolean {
  const at = address.indexOf('@')
  return (
    at > 0 &&
    at <= 64 &&
    /^[!#-'*+\-./0-9=?A-Z^_`a-z{|}~]+$/.test(address.slice(0, at)) &&
    isDnsName(address.slice(at + 1))
  )
}

/** Address and mask of one length; the mask is a run of ones, then zeros (RFC 4632). */
function isNetwork(value: Uint8Array): boolean {
  if (value.length !== 8 && value.length !== 32) return false
  const mask = [...value.subarray(value.length / 2)].map((octet) => octet.toString(2).padStart(8, '0')).join('')
  return /^1*0*$/.test(mask)
}

/** The host of a URI with an authority, when it is a name; constraints do not reach addresses (RFC 5280 §4.2.1.10). */
function uriHost(uri: string): string | undefined {
  const authority = /^[a-z][a-z0-9+.-]*:\/\/([^/?#]*)/i.exec(uri)?.[1]
  if (authority === undefined) return undefined
  const host = authority.slice(authority.lastIndexOf('@') + 1).replace(/:\d*$/, '')
  return isDnsName(host) && !/^[\d.]+$/.test(host) ? host : undefined
}

function displayGeneralName(name: GeneralName): string {
  if (typeof name.value === 'string') return `${name.kind}:${printable(name.value)}`
  if (name.kind === 'directory') return `directory:${name.value.toString()}`
  return `${name.kind}:${Buffer.from(name.value).toString('hex')}`
}

const printable = (text: string): string =>
  text.replace(/[^\x20-\x7e]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`)
