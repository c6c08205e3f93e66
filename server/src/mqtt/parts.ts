import type { Devices } from '../hub/registry/devices.ts'
import type { Door } from '../hub/door/authenticate.ts'
import type { Holders } from '../hub/holders.ts'
import type { Hubs } from '../hub/hubs.ts'
import type { Refusals } from '../hub/refusals/refusals.ts'
import type { Sessions } from '../hub/sessions/sessions.ts'
import type { Telemetry } from '../hub/telemetry/telemetry.ts'
import type { Log } from '../log.ts'
import type { Clock, Randomness } from '../ports/clock.ts'
import type { Registrar } from '../provisioning/register.ts'

/** What the MQTT head uses of the hub and of the provisioning service. */
export interface MqttParts {
  readonly door: Pick<Door, 'device'>
  readonly devices: Pick<Devices, 'get'>
  readonly hubs: Pick<Hubs, 'byHost'>
  readonly telemetry: Pick<Telemetry, 'send'>
  readonly sessions: Pick<Sessions, 'open' | 'end'>
  readonly holders: Pick<Holders, 'hold' | 'release'>
  readonly refusals: Pick<Refusals, 'record' | 'refuse'>
  readonly registrar: Pick<Registrar, 'authenticate' | 'readBody' | 'register' | 'status'>
  readonly clock: Clock
  readonly random: Randomness
  readonly log: Log
}
