import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as fc from 'fast-check'
import type { Device } from '../../src/model/device.ts'
import type { Enrollment } from '../../src/model/enrollment.ts'
import { parseDeviceId, parseEnrollmentGroupId, parseHubName, parseRegistrationId } from '../../src/model/ids.ts'
import type { Registration } from '../../src/model/registration.ts'
import { freshTwin } from '../../src/model/twin.ts'
import { decide, samePlace } from '../../src/provisioning/decide.ts'
import type { Place, Standing } from '../../src/provisioning/decide.ts'

const [EAST, WEST] = [parseHubName('east'), parseHubName('west')]
const ID = parseDeviceId('dev-1')
const GROUP = { kind: 'group', id: 'group' } as const

const enrollment = (update: boolean, migrate: boolean): Enrollment => ({
  kind: 'group',
  enrollmentGroupId: parseEnrollmentGroupId('group'),
  attestation: { type: 'symmetricKey', primaryKey: '', secondaryKey: '' },
  etag: 'e',
  status: 'enabled',
  capabilities: { iotEdge: false },
  initialTwin: null,
  reprovisionPolicy: { updateHubAssignment: update, migrateDeviceData: migrate },
  allocationPolicy: { kind: 'hashed' },
  iotHubs: [],
  created: 0,
  updated: 0,
})

const individual = (update: boolean, migrate: boolean): Enrollment => {
  const { kind: _, ...rest } = enrollment(update, migrate)
  const attestation = { type: 'symmetricKey', primaryKey: '', secondaryKey: '' } as const
  const own = { kind: 'individual', registrationId: parseRegistrationId('dev-1'), deviceId: null } as const
  return { ...rest, ...own, attestation, optionalDeviceInformation: null }
}

const deviceAt = (hub: typeof EAST, more: Partial<Device> = {}): Device => ({
  hub,
  deviceId: ID,
  generationId: '1',
  etag: 'MQ==',
  status: 'enabled',
  statusReason: null,
  statusUpdatedTime: null,
  authentication: { type: 'certificateAuthority' },
  capabilities: { iotEdge: false },
  createdTime: 0,
  lastActivityTime: null,
  connectionStateUpdatedTime: null,
  twin: freshTwin(0),
  provenance: { enrollment: GROUP, path: [] },
  ...more,
})

const placeAt = (hub: typeof EAST): Place => ({ hub, host: `${hub}.example`, deviceId: ID })

const chosen = (hub: typeof EAST, initialTwin: { tags: object; desired: object } | null = null) =>
  ({
    kind: 'chosen',
    hub: { hub, host: `${hub}.example`, weight: 1, latency: null },
    initialTwin: initialTwin && { tags: {}, desired: {} },
    payload: null,
  }) as const

const previous: Registration = {
  registrationId: parseRegistrationId('dev-1'),
  presentedId: 'dev-1',
  enrollment: GROUP,
  status: 'assigned',
  substatus: 'initialAssignment',
  assignedHub: EAST,
  assignedHost: 'east.example',
  deviceId: ID,
  generationId: 'g',
  operationId: 'o',
  error: null,
  payload: null,
  attestation: { type: 'symmetricKey' },
  etag: 'e',
  created: 0,
  updated: 0,
}

function standing(more: Partial<Standing>): Standing {
  const nothing = { previous: null, assigned: null, current: null, choice: chosen(EAST), occupant: null }
  return { enrollment: enrollment(true, true), ...nothing, deviceId: ID, orphans: [], ...more }
}

/** Assigned to east, the device is there, and the policy now says `hub`. */
function settled(update: boolean, migrate: boolean, hub: typeof EAST, more: Partial<Standing> = {}): Standing {
  const current = deviceAt(EAST)
  const occupant = hub === EAST ? current : null
  const was = { previous, assigned: placeAt(EAST), current, occupant, choice: chosen(hub) }
  return standing({ enrollment: enrollment(update, migrate), ...was, ...more })
}

describe('a registration', () => {
  test('of a device that nobody knows makes it', () => {
    assert.deepEqual(decide(standing({})), { kind: 'assign', place: placeAt(EAST), substatus: 'initialAssignment' })
  })

  test('of a device that is where it belongs keeps it', () => {
    const verdict = decide(settled(true, true, EAST))
    assert.equal(verdict.kind, 'keep')
  })

  test('moves the device and its data when the policy migrates', () => {
    const verdict = decide(settled(true, true, WEST))
    assert.equal(verdict.kind === 'migrate' && verdict.from.hub, EAST)
    assert.equal(verdict.kind === 'migrate' && verdict.place.hub, WEST)
  })

  test('resets the data when the policy does not migrate, here or elsewhere', () => {
    for (const hub of [EAST, WEST]) {
      const verdict = decide(settled(true, false, hub))
      assert.equal(verdict.kind === 'reset' && verdict.place.hub, hub)
    }
  })

  test('stays where it is when the policy never reassigns, whatever the allocation says', () => {
    for (const migrate of [true, false]) {
      const verdict = decide(settled(false, migrate, WEST))
      assert.equal(verdict.kind === 'keep' && verdict.place.hub, EAST)
      const lost = decide(settled(false, migrate, WEST, { current: null, choice: null }))
      assert.deepEqual(lost, { kind: 'assign', place: placeAt(EAST), substatus: 'reprovisionedToInitialAssignment' })
    }
  })

  test('takes the twin that a webhook brings before any migration', () => {
    const verdict = decide(settled(true, true, WEST, { choice: chosen(WEST, { tags: {}, desired: {} }) }))
    assert.equal(verdict.kind, 'reset')
  })

  test('adopts its own device after its record was forgotten', () => {
    const occupant = deviceAt(EAST)
    assert.equal(decide(standing({ occupant })).kind, 'keep')
    assert.equal(decide(standing({ occupant, enrollment: enrollment(true, false) })).kind, 'reset')
  })

  test('by a group does not seize the device of another', () => {
    const others: Device['provenance'][] = [
      null,
      { enrollment: { kind: 'group', id: 'other' }, path: [] },
      { enrollment: { kind: 'individual', id: 'group' }, path: [] },
    ]
    for (const provenance of others) {
      const foreign = deviceAt(EAST, { provenance })
      for (const taken of [
        standing({ occupant: foreign }),
        settled(true, true, WEST, { current: foreign }),
        settled(false, true, EAST, { current: foreign, occupant: foreign }),
      ]) {
        const verdict = decide(taken)
        assert.equal(verdict.kind === 'refuse' && verdict.reason, 'device-taken')
        assert.notEqual(decide({ ...taken, enrollment: individual(true, true) }).kind, 'refuse')
      }
      if (provenance !== null) assert.equal(decide(standing({ occupant: foreign, orphans: [foreign] })).kind, 'keep')
    }
  })

  test('without a hub is refused, unless it needs none', () => {
    const choice = { kind: 'failed', message: 'no hub' } as const
    const verdict = decide(standing({ choice }))
    assert.deepEqual(verdict, { kind: 'refuse', reason: 'allocation-failed', message: 'no hub' })
    assert.equal(decide(settled(false, true, EAST, { choice: null })).kind, 'keep')
  })
})

const hub = fc.constantFrom(EAST, WEST)
const device = hub.chain((at) =>
  fc
    .record({
      status: fc.constantFrom('enabled' as const, 'disabled' as const),
      owner: fc.constantFrom('group', 'other', null),
    })
    .map(({ status, owner }) =>
      deviceAt(at, {
        status,
        provenance: owner === null ? null : { enrollment: { kind: 'group', id: owner }, path: [] },
      }),
    ),
)

/** Any state that the registry can be in, and any answer of an allocation. */
const anyStanding = fc
  .record({
    isGroup: fc.boolean(),
    update: fc.boolean(),
    migrate: fc.boolean(),
    choice: fc.oneof(
      hub.map((at) => chosen(at)),
      fc.constant({ kind: 'failed', message: 'none' } as const),
    ),
    assigned: fc.option(hub),
    east: fc.option(device),
    west: fc.option(device),
  })
  .map(({ isGroup, update, migrate, choice, assigned, east, west }): Standing => {
    const at = { east: east && { ...east, hub: EAST }, west: west && { ...west, hub: WEST } }
    const on = (name: typeof EAST | null) => (name === null ? null : name === EAST ? at.east : at.west)
    return standing({
      enrollment: isGroup ? enrollment(update, migrate) : individual(update, migrate),
      previous: assigned === null ? null : { ...previous, assignedHub: assigned },
      assigned: assigned === null ? null : placeAt(assigned),
      current: on(assigned),
      choice: assigned !== null && !update ? null : choice,
      occupant: assigned !== null && !update ? null : on(choice.kind === 'chosen' ? choice.hub.hub : null),
    })
  })

describe('whatever the state', () => {
  test('a decision is pure, lands in the place that policy names and moves nobody who may not move', () => {
    fc.assert(
      fc.property(anyStanding, (state) => {
        const verdict = decide(state)
        assert.deepEqual(decide(structuredClone(state)), verdict)
        if (verdict.kind === 'refuse') return
        const mayMove = state.assigned === null || state.enrollment.reprovisionPolicy.updateHubAssignment
        const expected = mayMove && state.choice?.kind === 'chosen' ? state.choice.hub.hub : state.assigned?.hub
        assert.equal(verdict.place.hub, expected)
        if (verdict.kind === 'keep') assert.ok(samePlace(verdict.device, verdict.place))
      }),
    )
  })

  test('no device comes to life that an operator has disabled, and none is taken from another', () => {
    fc.assert(
      fc.property(anyStanding, (state) => {
        const verdict = decide(state)
        const touched = [state.current, state.occupant].filter((one) => one !== null)
        const isForeign = touched.some(({ provenance }) => provenance?.enrollment.id !== 'group')
        if (state.enrollment.kind === 'group' && isForeign) assert.equal(verdict.kind, 'refuse')
        if (verdict.kind === 'assign') assert.deepEqual(touched, [])
        if (
          (verdict.kind === 'migrate' || verdict.kind === 'reset') &&
          touched.some(({ status }) => status === 'disabled')
        )
          assert.equal(verdict.status.status, 'disabled')
      }),
    )
  })
})
