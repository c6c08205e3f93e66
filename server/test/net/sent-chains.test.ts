import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ChainMemory, SentChains } from '../../src/net/sent-chains.ts'

const certificate = (name: string) => Buffer.from(name)
const issuers = (name: string) => [certificate(name)]

test('a leaf brings back what followed it, in order', () => {
  const chains = new SentChains()
  const chain = ['leaf', 'lower', 'upper'].map(certificate)
  chains.remember(chain)
  assert.deepEqual(chains.find(certificate('leaf'))?.certificates, chain)
  assert.equal(chains.find(certificate('other')), null)
  chains.remember([certificate('alone')])
  assert.deepEqual(chains.find(certificate('alone'))?.certificates, [certificate('alone')])
  assert.deepEqual(chains.remember([]).certificates, [])
})

test('who sends the same issuers gets the same objects, before and after it authenticated', () => {
  const chains = new SentChains()
  const send = (leaf: string) => chains.remember([leaf, 'lower', 'upper'].map(certificate))
  const first = send('first')
  const rest = first.certificates.slice(1)
  for (const chain of [send('second'), (chains.prove(first), send('third')), chains.find(certificate('first'))])
    for (const [place, issuer] of rest.entries()) assert.equal(chain?.certificates[place + 1], issuer)
  assert.notEqual(chains.remember(['first', 'lower', 'other'].map(certificate)).certificates[1], rest[0])
})

test('strangers do not push out the chain of a device that authenticated', () => {
  const chains = new SentChains()
  const chain = ['device', 'issuer'].map(certificate)
  chains.prove(chains.remember(chain))
  for (let number = 0; number < 5_000; number += 1)
    chains.remember([`leaf ${number}`, `issuer ${number}`].map(certificate))
  assert.deepEqual(chains.find(certificate('device'))?.certificates, chain)
  assert.equal(chains.find(certificate('leaf 0')), null)
})

test('a memory holds no more than it may, and what was used last', () => {
  const memory = new ChainMemory({ leaves: 8, issuers: 4 })
  const put = (leaf: string, rest: string) => memory.put(leaf, rest, issuers(rest))
  for (let number = 0; number < 100; number += 1) put(`leaf ${number}`, 'shared')
  const held = Array.from({ length: 100 }, (_, number) => memory.get(`leaf ${number}`)).filter(Boolean)
  assert.ok(held.length >= 4 && held.length <= 8, `${held.length}`)
  assert.deepEqual(memory.get('leaf 99')?.issuers, issuers('shared'))
  for (let number = 0; number < 10; number += 1) put('leaf 99', `rest ${number}`)
  assert.equal(memory.get('leaf 98'), null)
  assert.deepEqual(memory.get('leaf 99')?.issuers, issuers('rest 9'))
})
