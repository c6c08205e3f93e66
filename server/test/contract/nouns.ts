import type { CertificateAuthority } from '../../src/model/certificate-authority.ts'
import type { Device } from '../../src/model/device.ts'
import type { EnrollmentGroup, IndividualEnrollment } from '../../src/model/enrollment.ts'
import {
  parseAuthorityName,
  parseDeviceId,
  parseEnrollmentGroupId,
  parseHubName,
  parseRegistrationId,
} from '../../src/model/ids.ts'
import type { HubEvent } from '../../src/model/message.ts'
import type { Refusal } from '../../src/model/refusal.ts'
import type { Registration } from '../../src/model/registration.ts'
import { freshTwin } from '../../src/model/twin.ts'

export const HUB = parseHubName('factory')
export const OTHER_HUB = parseHubName('farm')
export const NOW = Date.UTC(2026, 10, 24, 7)

export function device(id: string, changes: Partial<Device> = {}): Device {
  return {
    hub: HUB,
    deviceId: parseDeviceId(id),
    generationId: '638000000000000001',
    etag: 'AAAA',
    status: 'enabled',
    statusReason: null,
    statusUpdatedTime: null,
    authentication: { type: 'certificateAuthority' },
    capabilities: { iotEdge: false },
    createdTime: NOW,
    lastActivityTime: null,
    connectionStateUpdatedTime: null,
    twin: freshTwin(NOW),
    provenance: null,
    ...changes,
  }
}

export function authority(name: string, changes: Partial<CertificateAuthority> = {}): CertificateAuthority {
  return {
    hub: HUB,
    name: parseAuthorityName(name),
    certificate: everyByte(),
    sha256: 'ab'.repeat(32),
    etag: 'AAAA',
    created: NOW,
    updated: NOW,
    state: { kind: 'unverified' },
    ...changes,
  }
}

const ENROLLMENT = {
  etag: 'AAAA',
  status: 'enabled',
  capabilities: { iotEdge: false },
  initialTwin: { tags: { site: 'north' }, desired: { interval: 5 } },
  reprovisionPolicy: { updateHubAssignment: true, migrateDeviceData: true },
  allocationPolicy: { kind: 'hashed' },
  iotHubs: [],
  created: NOW,
  updated: NOW,
} as const

export function individual(id: string, changes: Partial<IndividualEnrollment> = {}): IndividualEnrollment {
  return {
    ...ENROLLMENT,
    kind: 'individual',
    registrationId: parseRegistrationId(id),
    deviceId: null,
    attestation: { type: 'x509', clientCertificates: { primary: everyByte(), secondary: null } },
    optionalDeviceInformation: { model: 'M1' },
    ...changes,
  }
}

export function group(id: string, changes: Partial<EnrollmentGroup> = {}): EnrollmentGroup {
  return {
    ...ENROLLMENT,
    kind: 'group',
    enrollmentGroupId: parseEnrollmentGroupId(id),
    attestation: {
      type: 'x509',
      signingCertificates: { primary: everyByte(), secondary: Uint8Array.from([0, 255, 0]) },
    },
    ...changes,
  }
}

export function registration(id: string, changes: Partial<Registration> = {}): Registration {
  return {
    registrationId: parseRegistrationId(id),
    presentedId: id.toUpperCase(),
    enrollment: { kind: 'group', id: 'line-1' },
    status: 'assigned',
    substatus: 'initialAssignment',
    assignedHub: HUB,
    assignedHost: 'localhost',
    deviceId: parseDeviceId(id),
    generationId: '638000000000000001',
    operationId: '4.a.b',
    error: null,
    payload: { tier: 1, note: 'ä\u0000\ud800' },
    attestation: { type: 'x509', leaf: everyByte(), signer: Uint8Array.from([7]) },
    etag: 'AAAA',
    created: NOW,
    updated: NOW,
    ...changes,
  }
}

export function refusal(serial: number, changes: Partial<Refusal> = {}): Refusal {
  return {
    trackingId: serial.toString(16).padStart(32, '0'),
    time: NOW + serial,
    area: 'connect',
    hub: HUB,
    protocol: 'mqtt',
    peer: { address: '192.0.2.1', port: 1 },
    identity: 'device-1',
    rule: 'device-unknown',
    message: 'There is no such device.',
    remedy: 'Create it.',
    chain: [],
    evidence: { host: 'localhost' },
    ...changes,
  }
}

export function event(text: string, changes: Partial<HubEvent> = {}): HubEvent {
  return {
    hub: HUB,
    deviceId: parseDeviceId('device-1'),
    moduleId: null,
    generationId: '638000000000000001',
    authMethod: '{"scope":"device","type":"x509"}',
    source: 'Telemetry',
    modelId: null,
    properties: { contentType: 'text/plain' },
    application: { alert: 'no' },
    body: new TextEncoder().encode(text),
    ...changes,
  }
}

export function bodyOf(event: HubEvent): string {
  return new TextDecoder().decode(event.body)
}

function everyByte(): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, byte) => byte)
}
