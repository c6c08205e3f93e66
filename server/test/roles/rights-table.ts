import type { OperatorRight, Role } from '../../src/model/operator.ts'

/** Every route of the operator's APIs; HEAD goes with GET. */
export const OPERATOR_ROUTES: Readonly<Record<string, OperatorRight>> = {
  'DELETE /holdfast/v1/enrollment-groups/:id': 'enrollments.write',
  'DELETE /holdfast/v1/enrollments/:id': 'enrollments.write',
  'DELETE /holdfast/v1/hubs/:hub/authorities/:name': 'authorities.write',
  'DELETE /holdfast/v1/hubs/:hub/devices/:deviceId': 'devices.write',
  'DELETE /holdfast/v1/hubs/:hub/webhooks/:id': 'webhooks.write',
  'DELETE /holdfast/v1/operators/:name': 'operators.write',
  'DELETE /holdfast/v1/operators/:name/credentials/:id': 'operators.write',
  'DELETE /subscriptions/:subscription/resourceGroups/:group/providers/Microsoft.Devices/IotHubs/:resource/certificates/:certificate':
    'authorities.write',
  'DELETE /subscriptions/:subscription/resourceGroups/:group/providers/Microsoft.Devices/IotHubs/:resource/eventHubEndpoints/:endpoint/ConsumerGroups/:consumerGroup':
    'consumer-groups.write',
  'DELETE /subscriptions/:subscription/resourceGroups/:group/providers/Microsoft.Devices/provisioningServices/:resource/certificates/:certificate':
    'authorities.write',
  'GET /holdfast/v1/alarms': 'alarms.read',
  'GET /holdfast/v1/alarms/:id': 'alarms.read',
  'GET /holdfast/v1/approvals': 'approvals.read',
  'GET /holdfast/v1/audit': 'audit.read',
  'GET /holdfast/v1/audit/state': 'audit.read',
  'GET /holdfast/v1/enrollment-groups': 'enrollments.read',
  'GET /holdfast/v1/enrollment-groups/:id': 'enrollments.read',
  'GET /holdfast/v1/enrollment-groups/:id/attestation': 'enrollments.secrets',
  'GET /holdfast/v1/enrollment-groups/:id/registrations': 'enrollments.read',
  'GET /holdfast/v1/enrollments': 'enrollments.read',
  'GET /holdfast/v1/enrollments/:id': 'enrollments.read',
  'GET /holdfast/v1/enrollments/:id/attestation': 'enrollments.secrets',
  'GET /holdfast/v1/expiry': 'server.read',
  'GET /holdfast/v1/hubs/:hub/authorities': 'authorities.read',
  'GET /holdfast/v1/hubs/:hub/authorities/:name': 'authorities.read',
  'GET /holdfast/v1/hubs/:hub/authority-usage': 'authorities.read',
  'GET /holdfast/v1/hubs/:hub/authority-usage/devices': 'authorities.read',
  'GET /holdfast/v1/hubs/:hub/crls': 'revocations.read',
  'GET /holdfast/v1/hubs/:hub/devices': 'devices.read',
  'GET /holdfast/v1/hubs/:hub/devices/:deviceId': 'devices.read',
  'GET /holdfast/v1/hubs/:hub/policies': 'policies.read',
  'GET /holdfast/v1/hubs/:hub/revocation-rules': 'revocations.read',
  'GET /holdfast/v1/hubs/:hub/revocations': 'revocations.read',
  'GET /holdfast/v1/hubs/:hub/webhooks': 'webhooks.read',
  'GET /holdfast/v1/keys': 'keys.read',
  'GET /holdfast/v1/operators': 'operators.read',
  'GET /holdfast/v1/provisioning/policies': 'policies.read',
  'GET /holdfast/v1/refusals': 'refusals.read',
  'GET /holdfast/v1/refusals/:trackingId': 'refusals.read',
  'GET /holdfast/v1/refusals/summary': 'refusals.read',
  'GET /holdfast/v1/registrations/:id': 'enrollments.read',
  'GET /holdfast/v1/status': 'server.read',
  'GET /metrics': 'server.read',
  'GET /subscriptions/:subscription/providers/Microsoft.Devices/IotHubs': 'server.read',
  'GET /subscriptions/:subscription/providers/Microsoft.Devices/provisioningServices': 'server.read',
  'GET /subscriptions/:subscription/resourceGroups/:group/providers/Microsoft.Devices/IotHubs': 'server.read',
  'GET /subscriptions/:subscription/resourceGroups/:group/providers/Microsoft.Devices/IotHubs/:resource': 'server.read',
  'GET /subscriptions/:subscription/resourceGroups/:group/providers/Microsoft.Devices/IotHubs/:resource/certificates':
    'authorities.read',
  'GET /subscriptions/:subscription/resourceGroups/:group/providers/Microsoft.Devices/IotHubs/:resource/certificates/:certificate':
    'authorities.read',
  'GET /subscriptions/:subscription/resourceGroups/:group/providers/Microsoft.Devices/IotHubs/:resource/eventHubEndpoints/:endpoint/ConsumerGroups':
    'server.read',
  'GET /subscriptions/:subscription/resourceGroups/:group/providers/Microsoft.Devices/IotHubs/:resource/eventHubEndpoints/:endpoint/ConsumerGroups/:consumerGroup':
    'server.read',
  'GET /subscriptions/:subscription/resourceGroups/:group/providers/Microsoft.Devices/provisioningServices':
    'server.read',
  'GET /subscriptions/:subscription/resourceGroups/:group/providers/Microsoft.Devices/provisioningServices/:resource':
    'server.read',
  'GET /subscriptions/:subscription/resourceGroups/:group/providers/Microsoft.Devices/provisioningServices/:resource/certificates':
    'authorities.read',
  'GET /subscriptions/:subscription/resourceGroups/:group/providers/Microsoft.Devices/provisioningServices/:resource/certificates/:certificate':
    'authorities.read',
  'PATCH /holdfast/v1/hubs/:hub/devices/:deviceId': 'devices.write',
  'POST /holdfast/v1/approvals/:id/approve': 'approvals.decide',
  'POST /holdfast/v1/approvals/:id/deny': 'approvals.decide',
  'POST /holdfast/v1/audit/checkpoint': 'audit.sign',
  'POST /holdfast/v1/audit/key/rotate': 'keys.rotate',
  'POST /holdfast/v1/backups': 'backups.take',
  'POST /holdfast/v1/hubs/:hub/authorities/:name/code': 'authorities.write',
  'POST /holdfast/v1/hubs/:hub/authorities/:name/proof': 'authorities.write',
  'POST /holdfast/v1/hubs/:hub/crls': 'revocations.write',
  'POST /holdfast/v1/hubs/:hub/devices/:deviceId/erase-events': 'keys.rotate',
  'POST /holdfast/v1/hubs/:hub/devices/:deviceId/release': 'quarantine.release',
  'POST /holdfast/v1/hubs/:hub/doctor': 'devices.read',
  'POST /holdfast/v1/hubs/:hub/policies/:name/rotate': 'policies.rotate',
  'POST /holdfast/v1/hubs/:hub/revocations': 'revocations.write',
  'POST /holdfast/v1/hubs/:hub/revocations/lift': 'revocations.write',
  'POST /holdfast/v1/hubs/:hub/webhooks': 'webhooks.write',
  'POST /holdfast/v1/hubs/:hub/webhooks/:id/enable': 'webhooks.write',
  'POST /holdfast/v1/keys/data/rotate': 'keys.rotate',
  'POST /holdfast/v1/keys/kek/rotate': 'keys.rotate',
  'POST /holdfast/v1/keys/reseal': 'keys.rotate',
  'POST /holdfast/v1/keys/server-certificate/renew': 'keys.rotate',
  'POST /holdfast/v1/operators/:name/certificates': 'operators.write',
  'POST /holdfast/v1/operators/:name/tokens': 'operators.write',
  'POST /holdfast/v1/provisioning/policies/:name/rotate': 'policies.rotate',
  'POST /subscriptions/:subscription/providers/Microsoft.Devices/checkNameAvailability': 'server.read',
  'POST /subscriptions/:subscription/providers/Microsoft.Devices/checkProvisioningServiceNameAvailability':
    'server.read',
  'POST /subscriptions/:subscription/resourceGroups/:group/providers/Microsoft.Devices/IotHubs/:resource/IotHubKeys/:key/listkeys':
    'policies.secrets',
  'POST /subscriptions/:subscription/resourceGroups/:group/providers/Microsoft.Devices/IotHubs/:resource/certificates/:certificate/generateVerificationCode':
    'authorities.write',
  'POST /subscriptions/:subscription/resourceGroups/:group/providers/Microsoft.Devices/IotHubs/:resource/certificates/:certificate/verify':
    'authorities.write',
  'POST /subscriptions/:subscription/resourceGroups/:group/providers/Microsoft.Devices/IotHubs/:resource/listkeys':
    'policies.secrets',
  'POST /subscriptions/:subscription/resourceGroups/:group/providers/Microsoft.Devices/provisioningServices/:resource/certificates/:certificate/generateVerificationCode':
    'authorities.write',
  'POST /subscriptions/:subscription/resourceGroups/:group/providers/Microsoft.Devices/provisioningServices/:resource/certificates/:certificate/verify':
    'authorities.write',
  'POST /subscriptions/:subscription/resourceGroups/:group/providers/Microsoft.Devices/provisioningServices/:resource/keys/:key/listkeys':
    'policies.secrets',
  'POST /subscriptions/:subscription/resourceGroups/:group/providers/Microsoft.Devices/provisioningServices/:resource/listkeys':
    'policies.secrets',
  'PUT /holdfast/v1/enrollment-groups/:id': 'enrollments.write',
  'PUT /holdfast/v1/enrollments/:id': 'enrollments.write',
  'PUT /holdfast/v1/hubs/:hub/authorities/:name': 'authorities.write',
  'PUT /holdfast/v1/hubs/:hub/devices/:deviceId': 'devices.write',
  'PUT /holdfast/v1/hubs/:hub/devices/:deviceId/duplicates': 'devices.write',
  'PUT /holdfast/v1/hubs/:hub/revocation-rules': 'revocations.write',
  'PUT /holdfast/v1/operators/:name': 'operators.write',
  'PUT /subscriptions/:subscription/resourceGroups/:group/providers/Microsoft.Devices/IotHubs/:resource/certificates/:certificate':
    'authorities.write',
  'PUT /subscriptions/:subscription/resourceGroups/:group/providers/Microsoft.Devices/IotHubs/:resource/eventHubEndpoints/:endpoint/ConsumerGroups/:consumerGroup':
    'consumer-groups.write',
  'PUT /subscriptions/:subscription/resourceGroups/:group/providers/Microsoft.Devices/provisioningServices/:resource/certificates/:certificate':
    'authorities.write',
}

const READER = [
  'server.read',
  'authorities.read',
  'devices.read',
  'enrollments.read',
  'policies.read',
  'revocations.read',
  'refusals.read',
  'alarms.read',
  'webhooks.read',
] as const

/** What each role may do, written down a second time: a change of one of the two must be meant. */
export const ALLOWED: Readonly<Record<Role, readonly string[]>> = {
  reader: READER,
  operator: [
    ...READER,
    'devices.write',
    'devices.secrets',
    'enrollments.write',
    'enrollments.secrets',
    'policies.secrets',
    'quarantine.release',
    'webhooks.write',
    'consumer-groups.write',
    'approvals.read',
  ],
  'security-officer': [
    ...READER,
    'authorities.write',
    'revocations.write',
    'quarantine.release',
    'policies.rotate',
    'keys.read',
    'keys.rotate',
    'backups.take',
    'audit.read',
    'audit.sign',
    'operators.read',
    'approvals.read',
    'approvals.decide',
  ],
  owner: [
    ...READER,
    'authorities.write',
    'devices.write',
    'devices.secrets',
    'enrollments.write',
    'enrollments.secrets',
    'policies.secrets',
    'policies.rotate',
    'revocations.write',
    'quarantine.release',
    'webhooks.write',
    'consumer-groups.write',
    'keys.read',
    'keys.rotate',
    'backups.take',
    'audit.read',
    'audit.sign',
    'operators.read',
    'operators.write',
    'approvals.read',
    'approvals.decide',
  ],
}
