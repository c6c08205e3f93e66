import {
  AttributeOid,
  KeyPurpose,
  KeyUsageBit,
  type Certificate,
  type GeneralName,
  type PublicKeyAlgorithm,
} from '@holdfast/pki'

const DAY = 24 * 60 * 60 * 1000

/** The common name in quotes, or the whole name where there is none. */
export function displayName(certificate: Certificate): string {
  const [commonName] = certificate.subject.texts(AttributeOid.CN)
  // The RFC 4514 form escapes what a terminal would obey or hide.
  if (commonName === undefined || !/^[\P{C}]*$/u.test(commonName)) return `"${certificate.subject.toString()}"`
  return `"${commonName}"`
}

/** `2027-11-24` */
export function day(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10)
}

/** `2027-11-24 07:00:00 UTC` */
export function instant(ms: number): string {
  return new Date(ms)
    .toISOString()
    .replace('T', ' ')
    .replace(/\.\d+Z$/, ' UTC')
}

export function remaining({ notBefore, notAfter }: Certificate, now: number): string {
  if (now < notBefore) return `not valid yet, in ${span(notBefore - now)}`
  return now > notAfter ? `expired ${span(now - notAfter)} ago` : `${span(notAfter - now)} left`
}

function span(ms: number): string {
  const [amount, unit] = ms >= 2 * DAY ? [ms / DAY, 'day'] : [ms / (60 * 60 * 1000), 'hour']
  const whole = Math.floor(amount)
  return `${whole} ${unit}${whole === 1 ? '' : 's'}`
}

export function describeKey(key: PublicKeyAlgorithm): string {
  switch (key.kind) {
    case 'rsa':
      return `RSA, ${key.bits} bits`
    case 'ec':
      return `ECDSA ${key.curve}`
    case 'unsupported':
      return `unsupported (${key.oid})`
    default:
      return key.kind.replace(/^ml-dsa/, 'ML-DSA').replace(/^ed/, 'Ed')
  }
}

/** What the certificate may be used for, in words. */
export function describeRole(certificate: Certificate): string {
  const { basicConstraints, extKeyUsage } = certificate.extensions
  if (basicConstraints?.ca) {
    const { pathLength } = basicConstraints
    const kind = certificate.selfIssued ? 'root CA' : 'CA'
    if (pathLength === undefined) return `${kind}, any number of CAs may follow below`
    return pathLength === 0
      ? `${kind}, no CA may follow below`
      : `${kind}, at most ${pathLength} CA(s) may follow below`
  }
  if (extKeyUsage === undefined) return 'no CA, no purpose stated'
  return `no CA, for ${extKeyUsage.map((oid) => PURPOSES.get(oid) ?? oid).join(', ') || 'nothing at all'}`
}

const PURPOSES = new Map<string, string>([
  [KeyPurpose.clientAuth, 'client authentication'],
  [KeyPurpose.serverAuth, 'server authentication'],
  [KeyPurpose.any, 'any purpose'],
])

export function keyUsages(certificate: Certificate): string[] {
  const { keyUsage } = certificate.extensions
  if (keyUsage === undefined) return []
  return Object.entries(KeyUsageBit).flatMap(([name, bit]) => ((keyUsage & (1 << bit)) === 0 ? [] : [name]))
}

export function describeGeneralName(name: GeneralName): string {
  switch (name.kind) {
    case 'ip':
      return `IP ${address(name.value)}`
    case 'directory':
      return `name ${name.value.toString()}`
    case 'email':
    case 'dns':
    case 'uri':
    case 'registeredId':
      return `${name.kind} ${name.value.replaceAll(/[^\x20-\x7e]/g, '\u{fffd}')}`
    default:
      return name.kind
  }
}

function address(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.')
  const groups = Array.from({ length: bytes.length / 2 }, (_, i) => hex(bytes.subarray(2 * i, 2 * i + 2)))
  return bytes.length === 16 ? new URL(`http://[${groups.join(':')}]/`).hostname.slice(1, -1) : hex(bytes)
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

/** The facts of a certificate as scripts get them; times in ISO 8601, digests and serials in lower-case hex. */
export function certificateJson(certificate: Certificate): Record<string, unknown> {
  const { extensions } = certificate
  return {
    subject: certificate.subject.toString(),
    commonName: certificate.subject.commonNames[0] ?? null,
    issuer: certificate.issuer.toString(),
    serial: certificate.serialHex,
    notBefore: new Date(certificate.notBefore).toISOString(),
    notAfter: new Date(certificate.notAfter).toISOString(),
    key: describeKey(certificate.publicKeyAlgorithm),
    ca: certificate.isCa,
    pathLength: extensions.basicConstraints?.pathLength ?? null,
    sha1: certificate.sha1,
    sha256: certificate.sha256,
  }
}
