import type { Certificate } from './certificate.ts'
import type { Role } from './certificate-rules.ts'
import { isDnsName } from './name-constraints.ts'
import { ExtensionOid } from './oid.ts'
import type { Finding } from './trust-error.ts'

/** What RFC 5280 §4 demands of those who issue certificates, beyond what §6 makes a validator check. */

type Rule = readonly [problem: string, isBroken: (certificate: Certificate, role: Role) => boolean]

const RULES: readonly Rule[] = [
  ['is not an X.509 v3 certificate (RFC 5280 §4.1.2.1)', ({ version }) => version !== 3],
  ['has a serial number that is not positive (RFC 5280 §4.1.2.2)', ({ serial }) => !isPositive(serial)],
  ['has a serial number of more than 20 octets (RFC 5280 §4.1.2.2)', ({ serial }) => serial.length > 20],
  [
    'has no authorityKeyIdentifier (RFC 5280 §4.2.1.1)',
    (c) => !c.selfIssued && c.extensions.authorityKeyIdentifier?.keyIdentifier === undefined,
  ],
  [
    'is a CA without subjectKeyIdentifier (RFC 5280 §4.2.1.2)',
    (c) => c.isCa && c.extensions.subjectKeyIdentifier === undefined,
  ],
  ['is a CA without keyUsage (RFC 5280 §4.2.1.3)', (c, role) => role !== 'leaf' && c.extensions.keyUsage === undefined],
  [
    'may sign certificates by its keyUsage, but is not a CA (RFC 5280 §4.2.1.3)',
    (c) => !c.isCa && c.allowsKeyUsage('keyCertSign') === true,
  ],
  [
    'has an empty subject but no critical subjectAltName (RFC 5280 §4.1.2.6)',
    (c) => c.subject.isEmpty && isCritical(c, ExtensionOid.subjectAltName) !== true,
  ],
  ['has a malformed subjectAltName (RFC 5280 §4.2.1.6)', hasMalformedAltName],
  [
    'is a CA whose basicConstraints is not critical (RFC 5280 §4.2.1.9)',
    (c) => c.isCa && isCritical(c, ExtensionOid.basicConstraints) !== true,
  ],
  [
    'limits the path length though it may sign no certificates (RFC 5280 §4.2.1.9)',
    ({ extensions }) =>
      extensions.basicConstraints?.ca === false && extensions.basicConstraints.pathLength !== undefined,
  ],
  [
    'has nameConstraints but is not a CA (RFC 5280 §4.2.1.10)',
    (c) => !c.isCa && c.extensions.nameConstraints !== undefined,
  ],
  [
    'has nameConstraints that are not critical (RFC 5280 §4.2.1.10)',
    (c) => isCritical(c, ExtensionOid.nameConstraints) === false,
  ],
  [
    'has policyConstraints that are not critical (RFC 5280 §4.2.1.11)',
    (c) => isCritical(c, ExtensionOid.policyConstraints) === false,
  ],
  [
    'has inhibitAnyPolicy that is not critical (RFC 5280 §4.2.1.14)',
    (c) => isCritical(c, ExtensionOid.inhibitAnyPolicy) === false,
  ],
]

export function strictProfileViolation(certificate: Certificate, role: Role): Finding | undefined {
  for (const [problem, isBroken] of RULES) {
    if (!isBroken(certificate, role)) continue
    const remedy = 'issue it again as RFC 5280 says, or set the hub to the compatible profile'
    return { rule: 'profile-violation', problem, remedy }
  }
  return undefined
}

function isPositive(serial: Uint8Array): boolean {
  return (serial[0] ?? 0) < 0x80 && serial.some((octet) => octet !== 0)
}

/** Undefined when the extension is absent. */
function isCritical({ extensions }: Certificate, oid: string): boolean | undefined {
  return extensions.list.find((extension) => extension.oid === oid)?.critical
}

/** DNS names in the preferred name syntax, which has no underscore; addresses of four or sixteen octets. */
function hasMalformedAltName({ extensions }: Certificate): boolean {
  return (extensions.subjectAltName ?? []).some((name) => {
    if (name.kind === 'ip') return name.value.length !== 4 && name.value.length !== 16
    if (name.kind !== 'dns') return false
    return name.value.includes('_') || !isDnsName(name.value.replace(/^\*\./, ''))
  })
}
