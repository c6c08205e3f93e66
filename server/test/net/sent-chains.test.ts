import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ChainMemory, SentChains } from '../../src/net/sent-chains.ts'

const certificate = (name: string) => Buffer.from(name)
const issuers = (name: string) => [certificate(name)]

test('a leaf brings back what followed it, in order', () => {
  const chains = new SentChains()
  const chain = ['leaf', 'lower', 'upper'].map(certificate)
  chains.remember(chain)
  assert.deepEqual(chains.find(certificate('leaf')), chain)
  assert.equal(chains.find(certificate('other')), null)
  chains.remember([certificate('alone')])
  assert.deepEqual(chains.find(certificate('alone')), [certificate('alone')])
  chains.remember([])
})

test('strangers do not push out the chain of a device that authenticated', () => {
  const chains = new SentChains()
  const chain = ['device', 'issuer'].map(certificate)
  chains.remember(chain)
  chains.prove(chain)
  for (let number = 0; number < 5_000; number += 1)
    chains.remember([`leaf ${number}`, `issuer ${number}`].map(certificate))
  assert.deepEqual(chains.find(certificate('device')), chain)
  assert.equal(chains.find(certificate('leaf 0')), null)
})

test('a memory holds as much as it may, and what was used last', () => {
  const memory = new ChainMemory({ leaves: 3, issuers: 2 })
  for (const leaf of ['a', 'b', 'c']) memory.put(leaf, issuers('shared'))
  memory.put('a', issuers('shared'))
  memory.put('d', issuers('shared'))
  assert.equal(memory.get('b'), null)
  assert.deepEqual(memory.get('a'), issuers('shared'))
  memory.put('e', issuers('second'))
  memory.put('f', issuers('third'))
  assert.equal(memory.get('a'), null)
  assert.equal(memory.get('d'), null)
  assert.deepEqual(memory.get('f'), issuers('third'))
})
