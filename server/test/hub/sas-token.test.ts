import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import * as fc from 'fast-check'
import { coversPath, parseResource, parseSasToken, SasTokenError, signingKeyOf } from '../../src/hub/door/sas-token.ts'
import type { SasToken } from '../../src/hub/door/sas-token.ts'
import { sasToken } from './workbench.ts'

const KEY = Buffer.alloc(32, 7).toString('base64')
const OTHER = Buffer.alloc(32, 8).toString('base64')

suite('shared access signatures', () => {
  test('verify over sr exactly as it stands, encoded or not', () => {
    const vectors = [
      { sr: 'hub.test%2Fdevices%2Fdev1', key: KEY, sig: 'QIHbDnOIfhlPsMDIdAYtMMPTHepgsDL8dqIfwvgBIFg=' },
      {
        sr: '0ne00000001/registrations/dev1',
        key: 'TblgFdTUelR0kCe6RoBM6Y/SmexDpjJq4hgNuoyTB90=',
        sig: 'BWJ8Um+/WotpNKeh/KOtcNySLh6wD5WlPLtzMMa6z04=',
      },
      {
        sr: '0ne00000001%2Fregistrations%2Fdev1',
        key: 'TblgFdTUelR0kCe6RoBM6Y/SmexDpjJq4hgNuoyTB90=',
        sig: '0/IY6BR/BMellIXWbCk8/d46cd70GzAgeIm4YM4ak8I=',
      },
    ]
    for (const { sr, key, sig } of vectors) {
      const token = parseSasToken(`SharedAccessSignature sr=${sr}&sig=${encodeURIComponent(sig)}&se=1893456000`)
      assert.equal(token.expiresAt, 1_893_456_000_000)
      assert.ok(signingKeyOf(token, [key], 'iot'))
      assert.ok(signingKeyOf(token, [OTHER, key], 'iot'))
      assert.ok(!signingKeyOf(token, [OTHER, '', ''], 'iot'))
      assert.ok(!signingKeyOf(token, [key], 'event-hubs'))
    }
  })

  test('take their parts in any order and leave + in a signature as it is', () => {
    const sig = 'BWJ8Um+/WotpNKeh/KOtcNySLh6wD5WlPLtzMMa6z04='
    const token = parseSasToken(`SharedAccessSignature skn=&se=1893456000&sig=${sig}&sr=0ne00000001/registrations/dev1`)
    assert.equal(token.policy, null)
    assert.ok(signingKeyOf(token, ['TblgFdTUelR0kCe6RoBM6Y/SmexDpjJq4hgNuoyTB90='], 'iot'))
  })

  test('by the Event Hubs rule are keyed with the text itself', () => {
    const sr = encodeURIComponent('sb://hub.test:5671/hub/ConsumerGroups/$Default/Partitions/0')
    const token = parseSasToken(sasToken({ sr, key: KEY, se: 1_893_456_000, skn: 'service', rule: 'event-hubs' }))
    assert.equal(token.policy, 'service')
    assert.equal(token.resource.host, 'hub.test')
    assert.deepEqual(token.resource.segments, ['hub', 'ConsumerGroups', '$Default', 'Partitions', '0'])
    assert.ok(signingKeyOf(token, [KEY], 'event-hubs'))
    assert.ok(!signingKeyOf(token, [KEY], 'iot'))
  })

  test('change with each bit of resource and expiry', () => {
    const good = sasToken({ sr: 'hub.test%2Fdevices%2Fdev1', key: KEY, se: 1_893_456_000 })
    for (const [from, to] of [
      ['dev1', 'dev2'],
      ['%2F', '%2f'],
      ['1893456000', '1893456001'],
      ['hub.test', 'HUB.test'],
    ] as const)
      assert.ok(!signingKeyOf(parseSasToken(good.replace(from, to)), [KEY], 'iot'), to)
  })

  test('verify after a change of one character only when it changes nothing', () => {
    const good = sasToken({ sr: 'hub.test%2Fdevices%2Fdev1', key: KEY, se: 1_893_456_000 })
    const { signedText, signature } = parseSasToken(good)
    const change = fc.tuple(fc.nat(good.length - 1), fc.string({ maxLength: 2, unit: 'binary-ascii' }))
    fc.assert(
      fc.property(change, ([at, text]) => {
        const token = parsed(good.slice(0, at) + text + good.slice(at + 1))
        if (token === null || !signingKeyOf(token, [KEY], 'iot')) return
        assert.deepEqual([token.signedText, token.signature], [signedText, signature])
      }),
      { numRuns: 2_000 },
    )
  })

  test('are read from no text by accident', () => {
    const part = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom('sr=', 'sig=', 'se=', 'skn=', '&', '%', '=', '1'),
    )
    const text = fc.array(part).map((parts) => `SharedAccessSignature ${parts.join('')}`)
    fc.assert(
      fc.property(text, (text) => void parsed(text)),
      { numRuns: 500 },
    )
  })

  test('refuse every malformed text in words, and never otherwise', () => {
    const sig = encodeURIComponent(Buffer.alloc(32).toString('base64'))
    const hostile = [
      '',
      'x',
      'Bearer eyJhbGciOi',
      'SharedAccessSignature',
      'SharedAccessSignature ',
      'sharedaccesssignature sr=a&sig=b&se=1',
      `SharedAccessSignature sr=a&sig=${sig}`,
      `SharedAccessSignature sr=a&se=1`,
      `SharedAccessSignature sig=${sig}&se=1`,
      `SharedAccessSignature sr=&sig=${sig}&se=1`,
      `SharedAccessSignature sr=a&sig=${sig}&se=`,
      `SharedAccessSignature sr=a&sig=${sig}&se=-1`,
      `SharedAccessSignature sr=a&sig=${sig}&se=1e9`,
      `SharedAccessSignature sr=a&sig=${sig}&se=9999999999999`,
      `SharedAccessSignature sr=a&sig=${sig}&se=0x10`,
      `SharedAccessSignature sr=a&sr=b&sig=${sig}&se=1`,
      `SharedAccessSignature sr=a&sig=${sig}&se=1&se=2`,
      `SharedAccessSignature sr=%zz&sig=${sig}&se=1`,
      `SharedAccessSignature sr=%ff&sig=${sig}&se=1`,
      `SharedAccessSignature sr=a&sig=&se=1`,
      `SharedAccessSignature sr=a&sig=short&se=1`,
      `SharedAccessSignature sr=a&sig=${'A'.repeat(64)}&se=1`,
      `SharedAccessSignature sr=a&sig=${sig}&se=1&skn=%`,
      `SharedAccessSignature sr=a&sig=${sig}&se=1&&`,
      `SharedAccessSignature sr=a&sig=${sig}&se=1&=x`,
      `SharedAccessSignature sr=${'a'.repeat(5_000)}&sig=${sig}&se=1`,
    ]
    for (const text of hostile) assert.throws(() => parseSasToken(text), SasTokenError, text.slice(0, 80))
  })
})

suite('resources', () => {
  test('are read with scheme, port and final slash', () => {
    for (const text of [
      'Hub.Test/devices/Dev1',
      'amqps://hub.test:5671/devices/Dev1',
      'sb://hub.test/devices/Dev1/',
      'hub.test:443/devices/Dev1',
    ]) {
      const { host, segments } = parseResource(text)
      assert.equal(host, 'hub.test')
      assert.deepEqual(segments, ['devices', 'Dev1'])
    }
    assert.deepEqual(parseResource('hub.test').segments, [])
    assert.deepEqual(parseResource('hub.test//devices').segments, ['', 'devices'])
  })

  test('cover what lies below them, by whole segments', () => {
    const wanted = ['devices', 'Dev1']
    assert.ok(coversPath([], wanted, 'exact'))
    assert.ok(coversPath(['devices'], wanted, 'exact'))
    assert.ok(coversPath(['devices', 'Dev1'], wanted, 'exact'))
    assert.ok(!coversPath(['devices', 'Dev'], wanted, 'exact'))
    assert.ok(!coversPath(['devices', 'dev1'], wanted, 'exact'))
    assert.ok(coversPath(['devices', 'dev1'], wanted, 'any-case'))
    assert.ok(!coversPath(['devices', 'Dev1', 'modules'], wanted, 'exact'))
    assert.ok(!coversPath(['', 'devices'], wanted, 'exact'))
    assert.ok(!coversPath(['devices', '..', 'devices', 'Dev1'], wanted, 'exact'))
    assert.ok(coversPath(['devices', 'a%23b'], ['devices', 'a#b'], 'exact'))
    assert.ok(coversPath(['devices', '100%'], ['devices', '100%'], 'exact'))
    assert.ok(!coversPath(['devices', '100%'], ['devices', '100'], 'exact'))
  })
})

/** Null for what is refused as it should be. */
function parsed(text: string): SasToken | null {
  try {
    return parseSasToken(text)
  } catch (error) {
    assert.ok(error instanceof SasTokenError)
    return null
  }
}
