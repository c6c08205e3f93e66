import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { RecentChanges } from '../../src/hub/recent-changes.ts'

const START = 1_800_000_000_000

suite('recent changes', () => {
  test('are known for at least a minute and for no more than two', () => {
    const changes = new RecentChanges()
    changes.add('factory/a', START)
    changes.add('factory/b', START + 59_999)
    changes.forgetBefore(START + 60_000)
    assert.ok(changes.has('factory/a'))
    changes.forgetBefore(START + 119_998)
    assert.ok(changes.has('factory/b'))
    changes.forgetBefore(START + 120_000)
    assert.ok(!changes.has('factory/a'))
    assert.ok(!changes.has('factory/b'))
  })

  test('that are too many to know each of count as any', () => {
    const changes = new RecentChanges()
    changes.add('factory/first', START)
    assert.ok(!changes.has('factory/never'))
    for (let index = 0; index < 20_000; index++) changes.add(`factory/${index}`, START)
    assert.ok(changes.has('factory/19999'))
    assert.ok(changes.has('factory/never'))
    changes.forgetBefore(START + 60_000)
    changes.forgetBefore(START + 120_000)
    assert.ok(!changes.has('factory/19999'))
  })
})
