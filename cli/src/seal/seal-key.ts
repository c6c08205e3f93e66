import { createPublicKey } from 'node:crypto'
import { generateConsumerKey, keyIdOf, pointOf } from '@holdfast/seal'
import type { Command } from 'commander'
import { print, printJson } from '../output.ts'
import { demandAbsent, writeNew, writeNewSecret } from '../pki/files.ts'
import { encodePrivateKey } from '../pki/key-file.ts'
import { addPassphraseOptions, newPassphrase, type PassphraseOptions } from '../pki/passphrase.ts'

/** `holdfast seal-key`: the key pair of a consumer. */
export function register(command: Command): void {
  command.argument('<name>', 'begins the names of the two files').option('--json', 'print what was made as JSON')
  addPassphraseOptions(command, 'the private key')
    .addHelpText('after', '\nExample:\n  holdfast seal-key consumer')
    .action(run)
}

async function run(name: string, options: PassphraseOptions & { readonly json?: true }): Promise<void> {
  const files = { privateKey: `${name}.key.pem`, publicKey: `${name}.pub.pem` }
  demandAbsent(Object.values(files))
  const passphrase = await newPassphrase(options)
  const key = generateConsumerKey()
  writeNewSecret(files.privateKey, encodePrivateKey(key, passphrase))
  writeNew(files.publicKey, createPublicKey(key).export({ type: 'spki', format: 'pem' }))
  const keyId = Buffer.from(keyIdOf(pointOf(key))).toString('hex')
  if (options.json) return printJson({ ...files, keyId })
  print(`${files.privateKey}  opens what is sealed for it: keep it with the consumer alone`)
  print(`${files.publicKey}  goes to the devices (key id ${keyId})`)
}
