import type { Certificate } from '@holdfast/pki'
import type { JsonObject } from '../model/twin.ts'
import { dateTimeUtc } from './wire-time.ts'

/** Digests are upper-case hex, as other tools of the platform print them. */
export function certificateInfoJson(certificate: Certificate): JsonObject {
  return {
    subjectName: certificate.subject.toString(),
    sha1Thumbprint: certificate.sha1.toUpperCase(),
    sha256Thumbprint: certificate.sha256.toUpperCase(),
    issuerName: certificate.issuer.toString(),
    notBeforeUtc: dateTimeUtc(certificate.notBefore),
    notAfterUtc: dateTimeUtc(certificate.notAfter),
    serialNumber: certificate.serialHex.toUpperCase(),
    version: certificate.version,
  }
}
