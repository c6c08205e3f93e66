import type { KekSource } from '../../keys/kek-source.ts'
import type { KeyOperations } from '../../keys/key-operations.ts'
import type { DeviceId, HubName } from '../../model/ids.ts'
import type { Asker, SecondPerson } from '../second-person.ts'

export interface KeyActParts {
  readonly keyOperations: Pick<KeyOperations, 'facts' | 'rotateKek' | 'startErasure'>
  readonly secondPerson: SecondPerson
}

/** What cannot be undone of the keys and the data under them. */
export class KeyActs {
  readonly #parts: KeyActParts

  constructor(parts: KeyActParts) {
    this.#parts = parts
  }

  /** As `KeyOperations.rotateKek`. `to` may read files of the server: it is asked once the act may be done. */
  async rotateKek(asker: Asker, to: () => KekSource | undefined): Promise<void> {
    const { keyOperations, secondPerson } = this.#parts
    await secondPerson.demand(asker, 'keys.rotate-kek', () => ({
      state: keyOperations.facts().kek.id,
      cutsOff: `Key-encryption key ${keyOperations.facts().kek.id} opens the data folder no more.`,
    }))
    await keyOperations.rotateKek(to())
  }

  /** As `KeyOperations.startErasure`. */
  async startErasure(asker: Asker, hub: HubName, deviceId: DeviceId): Promise<void> {
    const { keyOperations, secondPerson } = this.#parts
    await secondPerson.demand(asker, 'keys.erase', () => ({
      state: '',
      cutsOff: `Nobody reads the stored events of the deleted device '${deviceId}' of hub '${hub}' again.`,
    }))
    keyOperations.startErasure(hub, deviceId)
  }
}
