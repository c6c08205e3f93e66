import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseCertificate, parseCertificates, parseCrl } from '@holdfast/pki'
import { assertRefused, Shell } from './shell.ts'
import { without } from '../../../test/foreign-program.ts'

const withoutOpenssl = without('openssl')

interface CrlResult {
  readonly number: string
  readonly entries: number
  readonly file: string
}

function makeLine(shell: Shell): void {
  shell.ok('root', 'root', '--name', 'Root')
  shell.ok('intermediate', 'line', '--ca', 'root', '--name', 'Line')
  shell.ok('device', 'pump-1', 'pump-2', 'pump-3', '--ca', 'line')
}

function certificateOf(shell: Shell, file: string) {
  const [certificate] = parseCertificates(shell.read(file))
  return parseCertificate(certificate?.der ?? new Uint8Array())
}

test('what a CA revokes is on its next list, and openssl refuses it by that list', { skip: withoutOpenssl }, () => {
  using shell = new Shell()
  makeLine(shell)
  const third = certificateOf(shell, 'line/issued/pump-3.cer')
  shell.ok('revoke', 'line/issued/pump-1.cer', '--ca', 'line', '--reason', 'keyCompromise')
  shell.ok('revoke', '--device', 'pump-2', '--ca', 'line')
  const colons = third.serialHex.toUpperCase().replaceAll(/..(?=.)/g, '$&:')
  shell.ok('revoke', '--serial', colons, '--ca', 'line', '--reason', 'certificateHold')
  const result = shell.json('crl', '--ca', 'line') as CrlResult
  assert.deepEqual([result.number, result.entries, result.file], ['1', 3, 'line/ca.crl'])
  const crl = parseCrl(shell.bytes('line/ca.crl'))
  assert.equal(crl.find(third.issuer, third.serial)?.reason, 'certificateHold')
  const first = certificateOf(shell, 'line/issued/pump-1.cer')
  assert.equal(crl.find(first.issuer, first.serial)?.reason, 'keyCompromise')
  shell.ok('crl', '--ca', 'line', '--out', 'line.pem', '--pem')
  shell.ok('crl', '--ca', 'root', '--out', 'root.pem', '--pem')
  const verify = (file: string) =>
    shell.openssl(
      ...['verify', '-crl_check_all', '-CAfile', 'root/ca.cer', '-untrusted', 'line/ca.cer'],
      ...['-CRLfile', 'line.pem', '-CRLfile', 'root.pem', file],
    )
  assert.throws(() => verify('line/issued/pump-1.cer'), /certificate revoked/)
  shell.ok('device', 'pump-4', '--ca', 'line')
  assert.match(verify('line/issued/pump-4.cer'), /OK/)
})

test('the number of a list grows with each one, and a hold may become final', () => {
  using shell = new Shell()
  makeLine(shell)
  shell.ok('revoke', '--device', 'pump-1', '--ca', 'line', '--reason', 'certificateHold')
  assert.match(shell.ok('revoke', '--device', 'pump-1', '--ca', 'line', '--reason', 'certificateHold'), /before/)
  shell.ok('revoke', '--device', 'pump-1', '--ca', 'line', '--reason', 'keyCompromise')
  assert.match(shell.ok('revoke', '--device', 'pump-1', '--ca', 'line', '--reason', 'superseded'), /revoked before/)
  const numbers = [1, 2, 3].map(() => (shell.json('crl', '--ca', 'line') as CrlResult).number)
  assert.deepEqual(numbers, ['1', '2', '3'])
  const crl = parseCrl(shell.bytes('line/ca.crl'))
  const { issuer, serial } = certificateOf(shell, 'line/issued/pump-1.cer')
  assert.equal(crl.number, 3n)
  assert.equal(crl.find(issuer, serial)?.reason, 'keyCompromise')
})

test('nothing is revoked that the CA has not signed', () => {
  using shell = new Shell()
  makeLine(shell)
  assertRefused(shell.pki('revoke', '--device', 'nobody', '--ca', 'line'), 1, /signed nothing for a device 'nobody'/)
  assertRefused(shell.pki('revoke', '--serial', 'abcd', '--ca', 'line'), 1, /nothing with the serial number abcd/)
  assertRefused(
    shell.pki('revoke', 'line/issued/pump-1.cer', '--ca', 'root'),
    1,
    /issued by "CN=Line", not by "CN=Root"/,
  )
  assertRefused(shell.pki('revoke', '--device', 'pump-1', '--ca', 'nowhere'), 1, /not the folder of a CA/)
  assert.equal(shell.pki('revoke', '--ca', 'line').status, 2)
  assert.equal(shell.pki('crl', '--ca', 'line', '--days', '0').status, 2)
  shell.write('line/crl-number', 'seven\n')
  assertRefused(shell.pki('crl', '--ca', 'line'), 1, /does not hold the number/)
})
