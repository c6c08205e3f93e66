import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parsePkcs11Uri } from '../../src/keys/pkcs11-uri.ts'

const MODULE = 'module-path=/usr/lib/p11.so'

test('a PKCS #11 URI names module, token, key and where the PIN lies', () => {
  const uri = `pkcs11:token=My%20token%2c%20%c3%a4;id=%01%fF;type=secret-key?${MODULE}&pin-source=file:/run/pin`
  const expected = { uri, module: '/usr/lib/p11.so', token: 'My token, ä', key: '01ff', pinFile: '/run/pin' }
  assert.deepEqual(parsePkcs11Uri(uri), expected)
  for (const source of ['/run/pin', 'file:/run/pin', 'file:///run/pin'])
    assert.equal(parsePkcs11Uri(`pkcs11:token=t;id=%01?${MODULE}&pin-source=${source}`).pinFile, '/run/pin')
  // Characters of an id may stand for themselves (RFC 7512 §2.3).
  const plain = parsePkcs11Uri(`pkcs11:id=A1;token=t?${MODULE}`)
  assert.deepEqual([plain.key, plain.pinFile], ['4131', null])
})

test('anything that is not understood whole is refused', () => {
  const wrong: Record<string, RegExp> = {
    '': /begin with/,
    'https://token': /begin with/,
    [`pkcs11:token=t;id=%01?${MODULE}&pin-value=1234`]: /PIN does not belong/,
    [`pkcs11:token=t;id=%01;pin-value=1234?${MODULE}`]: /PIN does not belong/,
    [`pkcs11:token=t?${MODULE}`]: /names no id/,
    [`pkcs11:token=t;id=?${MODULE}`]: /names no id/,
    [`pkcs11:id=%01?${MODULE}`]: /names no token/,
    'pkcs11:token=t;id=%01': /names no module-path/,
    'pkcs11:token=t;id=%01?module-path=p11.so': /must be absolute/,
    [`pkcs11:token=t;id=%01?${MODULE}&pin-source=pin`]: /absolute path/,
    [`pkcs11:token=t;id=%01?${MODULE}&pin-source=file:pin`]: /absolute path/,
    [`pkcs11:token=t;id=%01?${MODULE}&pin-source=|cat`]: /absolute path/,
    [`pkcs11:token=t;token=u;id=%01?${MODULE}`]: /twice/,
    [`pkcs11:token=t;id=%0?${MODULE}`]: /percent-encoded/,
    [`pkcs11:token=t;id=%zz?${MODULE}`]: /percent-encoded/,
    [`pkcs11:token=t;id=ä?${MODULE}`]: /percent-encoded/,
    [`pkcs11:token=t%0a;id=%01?${MODULE}`]: /control character/,
    [`pkcs11:token=t;id=%01;type=private?${MODULE}`]: /secret-key/,
    [`pkcs11:token=t;id=%01;object=o?${MODULE}`]: /'object' is not known/,
    [`pkcs11:token=t;id=%01?${MODULE}?${MODULE}`]: /begin with/,
    [`pkcs11:token=t;id=%01?${MODULE}&`]: /'' is not known/,
    [`pkcs11:token=${'t'.repeat(5_000)};id=%01?${MODULE}`]: /begin with/,
  }
  for (const [uri, why] of Object.entries(wrong))
    assert.throws(() => parsePkcs11Uri(uri), { code: 'argument-invalid', message: why }, uri)
})
