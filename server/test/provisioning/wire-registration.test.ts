import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { parseCertificate } from '@holdfast/pki'
import { HUB_ERROR_CODES, HubError } from '../../src/errors.ts'
import { parseDeviceId, parseHubName, parseRegistrationId } from '../../src/model/ids.ts'
import type { Registration } from '../../src/model/registration.ts'
import { certificateInfoJson } from '../../src/provisioning/wire-certificate.ts'
import {
  asciiJson,
  deviceRegistrationJson,
  parseRegistrationIfMatch,
  provisioningError,
  provisioningErrorBody,
  registrationResultJson,
  registrationStateJson,
} from '../../src/provisioning/wire-registration.ts'
import { makeLeaf, makeRoot, NOW } from './fixture.ts'

const assigned: Registration = {
  registrationId: parseRegistrationId('dev-1'),
  presentedId: 'Dev-1',
  enrollment: { kind: 'group', id: 'group' },
  status: 'assigned',
  substatus: 'initialAssignment',
  assignedHub: parseHubName('east'),
  assignedHost: 'east.example',
  deviceId: parseDeviceId('Dev-1'),
  generationId: 'generation',
  operationId: 'operation',
  error: null,
  payload: { größe: '✓' },
  attestation: { type: 'symmetricKey' },
  etag: 'tag',
  created: NOW,
  updated: NOW + 1,
}

test('a device reads its assignment in the words that the SDKs look for', () => {
  const body = registrationResultJson({
    operationId: 'o',
    status: 'assigned',
    registration: assigned,
    retryAfter: null,
  })
  assert.deepEqual(body, {
    operationId: 'o',
    status: 'assigned',
    registrationState: {
      registrationId: 'Dev-1',
      createdDateTimeUtc: '2026-06-01T00:00:00.0000000Z',
      assignedHub: 'east.example',
      deviceId: 'Dev-1',
      status: 'assigned',
      substatus: 'initialAssignment',
      lastUpdatedDateTimeUtc: '2026-06-01T00:00:00.0010000Z',
      etag: Buffer.from('"tag"').toString('base64'),
      generationId: 'generation',
      payload: { größe: '✓' },
      symmetricKey: { enrollmentGroupId: 'group' },
    },
  })
  const pending = { operationId: 'o', status: 'assigning', registration: null, retryAfter: 2 } as const
  assert.deepEqual(registrationResultJson(pending), { operationId: 'o', status: 'assigning' })
})

test('the certificates that proved a device are told, and no other', async () => {
  const root = await makeRoot('Root')
  const leaf = await makeLeaf(root, 'dev-1')
  const attestation = { type: 'x509', leaf, signer: root.der } as const
  const { x509, symmetricKey } = deviceRegistrationJson({ ...assigned, attestation })
  assert.equal(symmetricKey, undefined)
  assert.deepEqual(x509, {
    enrollmentGroupId: 'group',
    certificateInfo: certificateInfoJson(parseCertificate(leaf)),
    signingCertificateInfo: certificateInfoJson(parseCertificate(root.der)),
  })
  const { subjectName, issuerName, sha256Thumbprint, version } = certificateInfoJson(parseCertificate(leaf))
  assert.deepEqual({ subjectName, issuerName, version }, { subjectName: 'CN=dev-1', issuerName: 'CN=Root', version: 3 })
  assert.equal(sha256Thumbprint, createHash('sha256').update(leaf).digest('hex').toUpperCase())
})

test('a failure tells its error and no hub', () => {
  const error = { code: 400209, message: 'no hub' }
  const state = registrationStateJson({ ...assigned, status: 'failed', error })
  assert.equal(state['assignedHub'], undefined)
  assert.equal(state['errorCode'], 400209)
  assert.equal(state['errorMessage'], 'no hub')
})

test('the etag of a registration is read as shown, bare and as a wildcard', () => {
  const expected = { kind: 'exactly', etag: 'tag' }
  for (const header of [
    Buffer.from('"tag"').toString('base64'),
    `"${Buffer.from('"tag"').toString('base64')}"`,
    'tag',
    '"tag"',
  ])
    assert.deepEqual(parseRegistrationIfMatch(header), expected)
  assert.deepEqual(parseRegistrationIfMatch('*'), { kind: 'any' })
})

test('JSON text is ASCII and reads back the same', () => {
  const value = { text: 'grüße \u{1f600} \u2028 \u007f', ascii: '"\\' }
  const text = asciiJson(value)
  assert.match(text, /^[\u0020-\u007e]+$/)
  assert.deepEqual(JSON.parse(text), value)
})

test('an error code divided by a thousand is the status, for every code', () => {
  for (const code of HUB_ERROR_CODES) {
    const { status, errorCode } = provisioningError(code)
    assert.equal(Math.floor(errorCode / 1000), status, code)
  }
  const body = provisioningErrorBody(new HubError('unauthorized', 'Refused.', { trackingId: 't' }), NOW)
  const expected = { errorCode: 401002, trackingId: 't', message: 'Refused.', info: {} }
  assert.deepEqual(body, { ...expected, timestampUtc: '2026-06-01T00:00:00.0000000Z' })
})
