import type { Device } from '../model/device.ts'
import type { Enrollment } from '../model/enrollment.ts'
import type { DeviceId, HubName } from '../model/ids.ts'
import type { Registration, RegistrationSubstatus } from '../model/registration.ts'
import type { AllocationChoice } from './allocation.ts'

/** The place of a device: one hub, one id. */
export interface Place {
  readonly hub: HubName
  readonly host: string
  readonly deviceId: DeviceId
}

/** What the registry held when the decision was taken. */
export interface Standing {
  readonly enrollment: Enrollment
  readonly previous: Registration | null
  /** Where the registration was assigned before, unless that hub is no longer held. */
  readonly assigned: Place | null
  /** The device at `assigned`, when it is still there. */
  readonly current: Device | null
  /** Null when the policy does not ask for one: see `needsAllocation`. */
  readonly choice: AllocationChoice | null
  /** The id that the device gets in a hub. */
  readonly deviceId: DeviceId
  /** The device at the chosen place; the same as `current` when the choice is where it is. */
  readonly occupant: Device | null
  /** Which of these devices were made by an enrollment that no longer exists. */
  readonly orphans: readonly Device[]
}

type StatusOfDevice = Pick<Device, 'status' | 'statusReason' | 'statusUpdatedTime' | 'duplicates' | 'sealed'>

export type Decision =
  /** Stays where it is with its twin; what it proves itself with may be new. */
  | { readonly kind: 'keep'; readonly place: Place; readonly device: Device; readonly substatus: RegistrationSubstatus }
  /** A new device with the initial twin. */
  | { readonly kind: 'assign'; readonly place: Place; readonly substatus: RegistrationSubstatus }
  /** Moves, and takes its twin along. */
  | {
      readonly kind: 'migrate'
      readonly place: Place
      readonly from: Device
      readonly status: StatusOfDevice
      readonly substatus: 'deviceDataMigrated'
    }
  /** Starts again with the initial twin, here or elsewhere. */
  | {
      readonly kind: 'reset'
      readonly place: Place
      readonly status: StatusOfDevice
      readonly substatus: 'deviceDataReset'
    }
  | {
      readonly kind: 'refuse'
      readonly reason: 'allocation-failed' | 'device-taken' | 'device-quarantined'
      readonly message: string
    }

/** A device that is assigned already and may not be reassigned needs no choice of a hub, so no webhook is asked. */
export function needsAllocation(enrollment: Enrollment, assigned: Place | null): boolean {
  return assigned === null || enrollment.reprovisionPolicy.updateHubAssignment
}

/** Pure: the same standing always yields the same verdict. */
export function decide(standing: Standing): Decision {
  const { enrollment, previous, assigned, current, occupant, choice } = standing
  const taken = [current, occupant].find((device) => device !== null && !mayTakeOver(standing, device))
  if (taken) return deviceTaken(taken)
  const blocked = [current, occupant].find((device) => device?.quarantine)
  if (blocked) return deviceQuarantined(blocked)

  if (assigned !== null && !needsAllocation(enrollment, assigned)) {
    if (current === null) return { kind: 'assign', place: assigned, substatus: 'reprovisionedToInitialAssignment' }
    return { kind: 'keep', place: assigned, device: current, substatus: previous?.substatus ?? 'initialAssignment' }
  }

  if (choice === null) return { kind: 'refuse', reason: 'allocation-failed', message: 'No hub was chosen' }
  if (choice.kind === 'failed') return { kind: 'refuse', reason: 'allocation-failed', message: choice.message }
  const place: Place = { hub: choice.hub.hub, host: choice.hub.host, deviceId: standing.deviceId }
  const device = current ?? occupant
  if (device === null) return { kind: 'assign', place, substatus: 'initialAssignment' }
  const status = carriedStatus(device, occupant)
  if (resetsTwin(enrollment, choice)) return { kind: 'reset', place, status, substatus: 'deviceDataReset' }
  if (samePlace(device, place)) {
    return { kind: 'keep', place, device, substatus: previous?.substatus ?? 'initialAssignment' }
  }
  return { kind: 'migrate', place, from: device, status, substatus: 'deviceDataMigrated' }
}

export function samePlace(
  one: { readonly hub: HubName; readonly deviceId: DeviceId },
  other: { readonly hub: HubName; readonly deviceId: DeviceId },
): boolean {
  return one.hub === other.hub && one.deviceId === other.deviceId
}

/** What an operator has disabled stays disabled: registering again, or moving, is no way round it. */
function carriedStatus(device: Device, occupant: Device | null): StatusOfDevice {
  const { status, statusReason, statusUpdatedTime } = occupant?.status === 'disabled' ? occupant : device
  const { duplicates, sealed } = device
  return { status, statusReason, statusUpdatedTime, ...(duplicates && { duplicates }), ...(sealed && { sealed }) }
}

/** A twin that the webhook brings is meant to be used, whatever the policy says of migration. */
function resetsTwin({ reprovisionPolicy }: Enrollment, choice: AllocationChoice & { kind: 'chosen' }): boolean {
  const { updateHubAssignment, migrateDeviceData } = reprovisionPolicy
  return choice.initialTwin !== null || (updateHubAssignment && !migrateDeviceData)
}

/**
 * An individual enrollment names its device, so an operator has said that it may be taken over. A group names a CA:
 * whoever holds that CA can make a certificate for any id, and must not thereby seize a device that another enrollment
 * or an operator put into the hub.
 */
function mayTakeOver({ enrollment, orphans }: Standing, device: Device): boolean {
  if (enrollment.kind === 'individual') return true
  if (device.provenance === null) return false
  const { kind, id } = device.provenance.enrollment
  return (kind === 'group' && id === enrollment.enrollmentGroupId) || orphans.includes(device)
}

function deviceTaken({ hub, deviceId, provenance }: Device): Decision {
  const owner =
    provenance === null
      ? 'was made by an operator'
      : `belongs to ${provenance.enrollment.kind} enrollment '${provenance.enrollment.id}'`
  const message = `Device '${deviceId}' of hub '${hub}' ${owner}`
  return { kind: 'refuse', reason: 'device-taken', message }
}

/** Registering again would give the device a new identity, or another hub, and so a way round the quarantine. */
function deviceQuarantined({ hub, deviceId }: Device): Decision {
  const message = `Device '${deviceId}' of hub '${hub}' is in quarantine`
  return { kind: 'refuse', reason: 'device-quarantined', message }
}
