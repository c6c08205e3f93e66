import { decodePem, ParseError } from '@holdfast/pki'
import { Type } from 'typebox'
import { HubError } from '../../errors.ts'
import { chainSteps, failed } from '../../hub/refusals/diagnosis.ts'
import type { Diagnosis, Step } from '../../hub/refusals/diagnosis.ts'
import { examineAtHub } from '../../hub/door/doctor.ts'
import { finding } from '../../hub/findings/finding.ts'
import type { HubDefinition } from '../../hub/hubs.ts'
import type { Peer } from '../../model/peer.ts'
import type { RefusalRule } from '../../model/refusal.ts'
import { CHAIN_BUDGET } from '../../net/peer.ts'
import { registrationSteps } from '../../provisioning/examination.ts'
import { rehearse } from '../../provisioning/rehearsal.ts'
import type { RehearsalParts } from '../../provisioning/rehearsal.ts'
import { hubNamed } from '../resource-manager/iot-hubs.ts'
import { peerOfRequest } from '../request-peer.ts'
import type { Routes } from '../routes.ts'
import type { ManagementAccess } from './access.ts'

const DoctorBody = Type.Object(
  {
    chain: Type.String({ maxLength: 128 * 1024, description: 'PEM of the certificates as the device sends them.' }),
    device: Type.Optional(Type.String({ maxLength: 256, description: 'Examine a connect to the hub as this device.' })),
    registration: Type.Optional(
      Type.String({ maxLength: 256, description: 'Examine a registration under this id; the device id unless given.' }),
    ),
    at: Type.Optional(
      Type.String({ format: 'date-time', description: 'The moment of the attempt; now unless given.' }),
    ),
  },
  { additionalProperties: false },
)

/** What the hub may refuse today and a registration mends. */
const MENDED_BY_REGISTERING: ReadonlySet<RefusalRule> = new Set([
  'device-unknown',
  'thumbprint-mismatch',
  'credential-kind-mismatch',
])

export interface DoctorRoutesParts {
  readonly rehearsing: RehearsalParts
  readonly access: ManagementAccess
}

interface Question {
  readonly hub: HubDefinition
  readonly chain: readonly Uint8Array[]
  readonly device: string | null
  readonly registration: string | null
  readonly at: number
  readonly peer: Peer
}

/** A dry run of a connect and of a registration: the doors' own judgement, step by step, with nothing recorded. */
export function doctorRoutes(routes: Routes, { rehearsing, access }: DoctorRoutesParts): void {
  routes.post(
    '/holdfast/v1/hubs/:hub/doctor',
    {
      ...access.may('devices.read'),
      schema: {
        tags: ['management: diagnosis'],
        summary: 'Examine a chain',
        params: Type.Object({ hub: Type.String() }),
        body: DoctorBody,
      },
    },
    async (request) => {
      const { chain, device, registration, at } = request.body
      if (device === undefined && registration === undefined)
        throw new HubError('argument-invalid', 'Name a device or a registration id.')
      const certificates = certificatesOf(chain)
      return diagnose(
        {
          hub: hubNamed(rehearsing.hubs, request.params.hub),
          chain: certificates,
          device: device ?? null,
          registration: registration ?? null,
          at: at === undefined ? rehearsing.clock.now() : Date.parse(at),
          peer: { ...peerOfRequest(request), protocol: 'mqtt', chain: certificates },
        },
        rehearsing,
      )
    },
  )
}

async function diagnose(question: Question, parts: RehearsalParts): Promise<Diagnosis> {
  const { chain, steps } = chainSteps(question.chain)
  const oversized = judgeSize(question.chain)
  if (oversized !== null) steps.push(oversized)
  if (chain === null || oversized !== null) return { ok: false, summary: 'The chain is refused as it is.', steps }
  const { device, registration } = question
  const atHub = device === null ? null : await examineAtHub({ ...question, deviceId: device, chain }, parts)
  const registrationId = registration ?? device ?? ''
  const claim = { scope: parts.scope, registrationId, token: null }
  const rehearsal = await rehearse(claim, question.peer, parts, question.at)
  const atService = registrationSteps(rehearsal, registrationId)
  const registers = atService.every(({ verdict }) => verdict !== 'failed')
  const conclusion = conclude(question, atHub === null ? null : (atHub.rejection?.found.rule ?? 'none'), registers)
  return { ...conclusion, steps: [...steps, ...(atHub?.steps ?? []), ...atService] }
}

/** `atHub`: the rule by which the hub refuses, `none` when it lets the device in, null when it was not asked. */
function conclude(
  { hub, registration }: Question,
  atHub: RefusalRule | 'none' | null,
  registers: boolean,
): Omit<Diagnosis, 'steps'> {
  const isMendable = atHub === null || (atHub !== 'none' && MENDED_BY_REGISTERING.has(atHub))
  if (registration !== null && !registers)
    return { ok: false, summary: 'The provisioning service refuses the registration.' }
  if (atHub === 'none') return { ok: true, summary: `The device can connect to hub '${hub.name}'.` }
  if (registers && isMendable) return { ok: true, summary: 'The device can register, and then connect.' }
  return { ok: false, summary: `The device cannot connect: hub '${hub.name}' refuses it by the rule ${atHub}.` }
}

/** What comes besides certificates in a PEM file (a key, by mistake) is not looked at. */
function certificatesOf(text: string): readonly Uint8Array[] {
  try {
    const blocks = decodePem(text).filter(({ label }) => label === 'CERTIFICATE')
    if (blocks.length > 0) return blocks.map(({ der }) => der)
  } catch (error) {
    if (!(error instanceof ParseError)) throw error
    throw new HubError('argument-invalid', `The chain cannot be read: ${error.message}.`, { cause: error })
  }
  throw new HubError('argument-invalid', 'The chain holds no certificate: send PEM.')
}

function judgeSize(chain: readonly Uint8Array[]): Step | null {
  const bytes = chain.reduce((sum, der) => sum + der.length, 0)
  const { certificates, bytes: most } = CHAIN_BUDGET
  if (chain.length <= certificates && bytes <= most) return null
  const message = `The chain has ${chain.length} certificates of ${bytes} bytes; the server takes ${certificates} of ${most}.`
  return failed(
    'chain',
    finding('chain:budget-exceeded', message, { remedy: 'Send the leaf and its intermediates alone.' }),
  )
}
