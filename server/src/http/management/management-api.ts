import { answerFailuresIn } from '../routes.ts'
import type { Routes } from '../routes.ts'
import { FOR_EVERYBODY } from '../stated-access.ts'
import { alarmRoutes } from './alarms.ts'
import type { AlarmParts } from './alarms.ts'
import { auditRoutes } from './audit.ts'
import type { AuditRoutesParts } from './audit.ts'
import { authorityProofRoutes, authorityRoutes } from './authorities.ts'
import type { AuthorityParts } from './authorities.ts'
import { backupRoutes } from './backups.ts'
import type { BackupRoutesParts } from './backups.ts'
import { duplicateRoutes } from './duplicates.ts'
import type { DuplicateRoutesParts } from './duplicates.ts'
import { managedDeviceChangeRoutes, managedDeviceRoutes } from './devices.ts'
import type { ManagedDeviceParts } from './devices.ts'
import { doctorRoutes } from './doctor.ts'
import type { DoctorRoutesParts } from './doctor.ts'
import { managedEnrollmentRoutes, managedGroupRoutes } from './enrollments.ts'
import type { ManagedEnrollmentParts } from './enrollments.ts'
import { expiryRoutes } from './expiry.ts'
import type { ExpiryRoutesParts } from './expiry.ts'
import { healthRoutes } from './health.ts'
import type { HealthParts } from './health.ts'
import { keyRoutes } from './keys.ts'
import type { KeyParts } from './keys.ts'
import { managementFailure } from './management-failure.ts'
import { approvalRoutes, operatorCredentialRoutes, operatorRoutes } from './operators.ts'
import type { OperatorRoutesParts } from './operators.ts'
import { policyRoutes } from './policies.ts'
import type { PolicyParts } from './policies.ts'
import { refusalRoutes } from './refusals.ts'
import type { RefusalParts } from './refusals.ts'
import { crlRoutes, publishedCrlRoutes, revocationRoutes } from './revocations.ts'
import type { RevocationRoutesParts } from './revocations.ts'
import { statusRoutes } from './status.ts'
import type { StatusParts } from './status.ts'
import { usageRoutes } from './usage.ts'
import type { UsageParts } from './usage.ts'
import { webhookRoutes } from './webhooks.ts'
import type { WebhookRoutesParts } from './webhooks.ts'

export type ManagementParts = AlarmParts &
  AuditRoutesParts &
  AuthorityParts &
  BackupRoutesParts &
  DuplicateRoutesParts &
  DoctorRoutesParts &
  ExpiryRoutesParts &
  ManagedDeviceParts &
  ManagedEnrollmentParts &
  HealthParts &
  KeyParts &
  OperatorRoutesParts &
  PolicyParts &
  RefusalParts &
  RevocationRoutesParts &
  StatusParts &
  UsageParts &
  WebhookRoutesParts

/** Holdfast's own API for the operator and the command line, and its health. */
export function managementApi(routes: Routes, parts: ManagementParts): void {
  answerFailuresIn(routes, managementFailure, parts.clock)
  healthRoutes(routes, parts)
  statusRoutes(routes, parts)
  authorityRoutes(routes, parts)
  authorityProofRoutes(routes, parts)
  managedDeviceRoutes(routes, parts)
  managedDeviceChangeRoutes(routes, parts)
  duplicateRoutes(routes, parts)
  alarmRoutes(routes, parts)
  webhookRoutes(routes, parts)
  managedEnrollmentRoutes(routes, parts)
  managedGroupRoutes(routes, parts)
  refusalRoutes(routes, parts)
  policyRoutes(routes, parts)
  keyRoutes(routes, parts)
  backupRoutes(routes, parts)
  revocationRoutes(routes, parts)
  crlRoutes(routes, parts)
  publishedCrlRoutes(routes, parts)
  doctorRoutes(routes, parts)
  usageRoutes(routes, parts)
  operatorRoutes(routes, parts)
  operatorCredentialRoutes(routes, parts)
  approvalRoutes(routes, parts)
  auditRoutes(routes, parts)
  expiryRoutes(routes, parts)
  // The document describes the product, the same for everybody, and so needs no token.
  routes.get('/holdfast/v1/openapi.json', { config: FOR_EVERYBODY, schema: { hide: true } }, async () =>
    routes.swagger(),
  )
}
