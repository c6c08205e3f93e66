import { certificateId } from '@holdfast/pki'
import type { Certificate } from '@holdfast/pki'
import type { Device } from '../../model/device.ts'
import { printable } from '../../model/ids.ts'
import type { Sighting } from '../../model/sighting.ts'

const MAX_SUBJECT = 256

/**
 * What is remembered of a device that proved itself by a certificate. `path` is the proven one, leaf first; a device that
 * is known by its thumbprint rests on the path by which the provisioning service let it in, as long as it shows the
 * certificate of then.
 */
export function sightingOf(
  { hub, deviceId, provenance }: Pick<Device, 'hub' | 'deviceId' | 'provenance'>,
  { leaf, path }: { readonly leaf: Certificate; readonly path: readonly string[] },
  { seen, by }: Pick<Sighting, 'seen' | 'by'>,
): Sighting {
  const id = path[0] ?? certificateId(leaf)
  const rests = path.length > 1 || provenance === null || provenance.path[0] !== id ? path : provenance.path
  const subject = printable(leaf.subject.toString(), MAX_SUBJECT)
  return { hub, deviceId, leaf: { id, subject, notAfter: leaf.notAfter }, authorities: rests.slice(1), seen, by }
}
