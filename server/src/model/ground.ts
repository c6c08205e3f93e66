import type { DeviceProvenance } from './device.ts'
import type { DeviceId, HubName } from './ids.ts'

/**
 * Something whose loss ends a session at once. A hub is part of it: what one hub revokes another may trust.
 */
export type Ground = string & { readonly ground: unique symbol }

/** A certificate of a path that this hub relies on. */
export function certificateGround(hub: HubName, certificateId: string): Ground {
  return `certificate/${hub}/${certificateId}` as Ground
}

/** The registration of a CA at this hub, by the `certificateId` of the anchor. */
export function anchorGround(hub: HubName, certificateId: string): Ground {
  return `anchor/${hub}/${certificateId}` as Ground
}

export function enrollmentGround({ kind, id }: DeviceProvenance['enrollment']): Ground {
  return `enrollment/${kind}/${id}` as Ground
}

/** The enrollment of a ground, or null for a ground of another kind. */
export function enrollmentOf(ground: Ground): DeviceProvenance['enrollment'] | null {
  const [, kind, id] = /^enrollment\/(individual|group)\/(.*)$/s.exec(ground) ?? []
  return kind === undefined || id === undefined ? null : { kind: kind as 'individual' | 'group', id }
}

/** Hub and `certificateId` of an anchor, or null for a ground of another kind. */
export function anchorOf(ground: Ground): { readonly hub: string; readonly certificateId: string } | null {
  const [, hub, certificateId] = /^anchor\/([^/]+)\/(.*)$/.exec(ground) ?? []
  return hub === undefined || certificateId === undefined ? null : { hub, certificateId }
}

/** One generation of a device. */
export function deviceGround(hub: HubName, deviceId: DeviceId, generationId: string): Ground {
  return `device/${hub}/${deviceId}/${generationId}` as Ground
}

/** `certificateId` of a certificate that this hub relies on, or null for another ground. */
export function certificateOf(ground: Ground, hub: HubName): string | null {
  const prefix = `certificate/${hub}/`
  return ground.startsWith(prefix) ? ground.slice(prefix.length) : null
}
