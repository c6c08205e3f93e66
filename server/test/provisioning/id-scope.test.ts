import assert from 'node:assert/strict'
import { test } from 'node:test'
import { loadIdScope } from '../../src/provisioning/id-scope.ts'
import { openProvisioning } from './fixture.ts'

test('the id scope is made once and stays', async () => {
  const house = await openProvisioning()
  const scope = await loadIdScope(house.registry.settings, house.random)
  assert.match(scope, /^0ne[0-9A-F]{8}$/)
  assert.equal(await loadIdScope(house.registry.settings, house.random), scope)
  await house.close()
})
