import { Type } from 'typebox'
import type { TSchema } from 'typebox'
import type { JsonObject } from '../../model/twin.ts'

/** Clients send a member that they do not set as nothing or as null. Unknown members are ignored. */
const maybe = <Schema extends TSchema>(schema: Schema) => Type.Optional(Type.Union([schema, Type.Null()]))

const AnyObject = Type.Unsafe<JsonObject>(Type.Record(Type.String(), Type.Unknown()))

const Certificate = Type.Object({ certificate: maybe(Type.String()), info: maybe(Type.Unknown()) })
const CertificateSlots = Type.Object({ primary: maybe(Certificate), secondary: maybe(Certificate) })

const Attestation = Type.Object({
  type: maybe(Type.String()),
  x509: maybe(
    Type.Object({
      clientCertificates: maybe(CertificateSlots),
      signingCertificates: maybe(CertificateSlots),
      caReferences: maybe(Type.Object({ primary: maybe(Type.String()), secondary: maybe(Type.String()) })),
    }),
  ),
  symmetricKey: maybe(Type.Object({ primaryKey: maybe(Type.String()), secondaryKey: maybe(Type.String()) })),
  tpm: maybe(Type.Unknown()),
})

const common = {
  attestation: maybe(Attestation),
  capabilities: maybe(Type.Object({ iotEdge: maybe(Type.Boolean()) })),
  initialTwin: maybe(
    Type.Object({
      tags: maybe(AnyObject),
      properties: maybe(Type.Object({ desired: maybe(AnyObject) })),
    }),
  ),
  etag: maybe(Type.String()),
  provisioningStatus: maybe(Type.String()),
  reprovisionPolicy: maybe(
    Type.Object({ updateHubAssignment: maybe(Type.Boolean()), migrateDeviceData: maybe(Type.Boolean()) }),
  ),
  allocationPolicy: maybe(Type.String()),
  iotHubHostName: maybe(Type.String()),
  iotHubs: maybe(Type.Array(Type.String())),
  customAllocationDefinition: maybe(
    Type.Object({ webhookUrl: maybe(Type.String()), apiVersion: maybe(Type.String()) }),
  ),
}

export const IndividualEnrollmentBody = Type.Object({
  registrationId: maybe(Type.String()),
  deviceId: maybe(Type.String()),
  optionalDeviceInformation: maybe(AnyObject),
  ...common,
})

export const EnrollmentGroupBody = Type.Object({ enrollmentGroupId: maybe(Type.String()), ...common })

export const BulkIndividualBody = Type.Object({
  mode: Type.String(),
  enrollments: Type.Array(Type.Object({ ...IndividualEnrollmentBody.properties, registrationId: Type.String() }), {
    minItems: 1,
    maxItems: 10,
  }),
})

export const BulkGroupBody = Type.Object({
  mode: Type.String(),
  enrollmentGroups: Type.Array(Type.Object({ ...EnrollmentGroupBody.properties, enrollmentGroupId: Type.String() }), {
    minItems: 1,
    maxItems: 10,
  }),
})

export const QueryBody = Type.Object({ query: Type.String({ maxLength: 8192 }) })
