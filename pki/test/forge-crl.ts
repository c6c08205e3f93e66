import type { KeyObject } from 'node:crypto'
import { sign } from 'node:crypto'
import { bitString, enumerated, explicit, integer, sequence, time } from '../src/der-writer.ts'
import type { Certificate, Crl } from '../src/index.ts'
import { ExtensionOid, parseCrl } from '../src/index.ts'
import type { Entity } from './forge.ts'
import { DAY, ECDSA_SHA256, extension, NOW } from './forge.ts'

export interface CrlWishes {
  readonly issuer: Entity
  readonly signedBy?: KeyObject
  /** Absent: no CRL number. */
  readonly number?: number
  /** Makes it a delta. */
  readonly base?: number
  readonly thisUpdate?: number
  readonly nextUpdate?: number
  readonly revoked?: readonly (readonly [{ readonly certificate: Pick<Certificate, 'serial'> }, reason?: number])[]
  readonly extensions?: readonly Uint8Array[]
  readonly entryExtensions?: readonly Uint8Array[]
}

export function forgeCrl(wishes: CrlWishes): Crl {
  const { issuer, number, base, revoked = [], extensions = [], entryExtensions = [] } = wishes
  const entries = revoked.map(([entity, reason]) => {
    const code = reason === undefined ? [] : [extension(ExtensionOid.reasonCode, enumerated(reason))]
    const all = [...code, ...entryExtensions]
    const tail = all.length > 0 ? [sequence(...all)] : []
    return sequence(integer(entity.certificate.serial), time(NOW - DAY), ...tail)
  })
  const all = [
    ...(number === undefined ? [] : [extension(ExtensionOid.crlNumber, integer(number))]),
    ...(base === undefined ? [] : [extension(ExtensionOid.deltaCrlIndicator, integer(base), true)]),
    ...extensions,
  ]
  const tbs = sequence(
    integer(1),
    ECDSA_SHA256,
    issuer.name,
    time(wishes.thisUpdate ?? NOW - DAY),
    time(wishes.nextUpdate ?? NOW + DAY),
    ...(entries.length > 0 ? [sequence(Buffer.concat(entries))] : []),
    ...(all.length > 0 ? [explicit(0, sequence(...all))] : []),
  )
  return parseCrl(sequence(tbs, ECDSA_SHA256, bitString(sign('sha256', tbs, wishes.signedBy ?? issuer.key))))
}
