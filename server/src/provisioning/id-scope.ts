import type { Randomness } from '../ports/clock.ts'
import type { SettingStore } from '../ports/registry.ts'

const SETTING = 'provisioning.id-scope'

/** The scope that devices name when they register: made at the first start, the same ever after. */
export async function loadIdScope(settings: SettingStore, random: Randomness): Promise<string> {
  const known = await settings.get(SETTING)
  if (known !== null) return known
  const scope = `0ne${Buffer.from(random.bytes(4)).toString('hex').toUpperCase()}`
  await settings.put(SETTING, scope)
  return scope
}
