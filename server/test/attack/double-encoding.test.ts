import assert from 'node:assert/strict'
import { test } from 'node:test'
import { coversPath } from '../../src/hub/door/sas-token.ts'

test('a token for a device whose id spells an escape does not reach the device that the escape spells', () => {
  for (const [id, other] of [
    ['a%41', 'aA'],
    ['pump%2d1', 'pump-1'],
    ['%70ump', 'pump'],
    ['x%5Fy', 'x_y'],
    ['x%7a', 'xz'],
    ['n%39', 'n9'],
  ] as const) {
    assert.equal(coversPath(['devices', id], ['devices', other], 'exact'), false, id)
    assert.equal(coversPath(['devices', id], ['devices', id], 'exact'), true, id)
  }
  // Clients that encode the id, and then the whole, escape only what must be.
  assert.equal(coversPath(['devices', 'a%23b%3A1'], ['devices', 'a#b:1'], 'exact'), true)
})
