import { setTimeout as sleep } from 'node:timers/promises'
import { X509Certificate } from 'node:crypto'
import { Option } from 'commander'
import type { Command } from 'commander'
import { addAccessOptions, addHubOption, serverOf } from '../access-options.ts'
import type { RemoteOptions } from '../access-options.ts'
import { CommandError } from '../command-error.ts'
import { addConfirmOption, confirm } from '../confirm.ts'
import type { ConfirmOptions } from '../confirm.ts'
import { keyTokenOption, pinOf } from '../key-options.ts'
import type { TokenKey } from '../key-options.ts'
import { print, printJson } from '../output.ts'
import { newPassphrase } from '../pki/passphrase.ts'
import type { PassphraseOptions } from '../pki/passphrase.ts'
import { ProgressBar } from '../pki/progress.ts'
import { findHub } from '../resource-manager.ts'
import { callApi } from '../server-access.ts'
import type { ServerAccess } from '../server-access.ts'

interface Reseal {
  readonly state: 'running' | 'done' | 'failed'
  readonly rows: number
  readonly looked: number
  readonly resealed: number
  readonly retired: number
}

interface KeyFacts {
  readonly kek: { readonly kind: 'file' | 'passphrase' | 'token'; readonly id: string; readonly path: string | null }
  readonly dataKeys: readonly { readonly id: number; readonly createdTime: number; readonly current: boolean }[]
  readonly reseal: Reseal | null
  readonly erasure: { readonly state: 'running' | 'done' | 'failed'; readonly events: number } | null
}

const POLL_MS = 200

/** `holdfast keys …`: what seals the data at rest, and the server's own certificate; turned over while the server runs. */
export function register(group: Command): void {
  addShow(group)
  addRotateKek(group)
  addRotateData(group)
  addReseal(group)
  addErase(group)
  addRenewCertificate(group)
}

function addShow(group: Command): void {
  const command = group
    .command('show')
    .description('the key-encryption key and the data keys: which, where, since when')
    .action(async (options: RemoteOptions) => {
      const facts = await callApi<KeyFacts>(serverOf(options), { method: 'GET', path: '/holdfast/v1/keys' })
      if (options.json) return printJson(facts)
      print(`key-encryption key ${facts.kek.id}, ${placeOf(facts)}`)
      for (const { id, createdTime, current } of facts.dataKeys) {
        print(`data key ${id} of ${new Date(createdTime).toISOString()}${current ? ', seals now' : ''}`)
      }
    })
  addAccessOptions(command)
}

function addRotateKek(group: Command): void {
  const command = group
    .command('rotate-kek')
    .description('wrap the data keys with a new key-encryption key; from then on the one before opens nothing here')
    .option('--passphrase-file <file>', "lock with the passphrase in this file's first line")
    .addOption(new Option('--ask-passphrase', 'lock with a passphrase that is asked for').conflicts('passphraseFile'))
    .addOption(
      new Option('--key-file <path>', 'lock with a new key in this file on the server').conflicts([
        'passphraseFile',
        'askPassphrase',
      ]),
    )
    .addOption(
      keyTokenOption('lock with a key in a PKCS#11 token of the server').conflicts([
        'passphraseFile',
        'askPassphrase',
        'keyFile',
      ]),
    )
    .action(async (options: RotateKekOptions) => {
      await confirm(
        'The key-encryption key of now opens this data folder no more; copies made before still need it.',
        options,
      )
      const passphrase = await newPassphrase(options)
      const body = {
        ...(passphrase === undefined ? {} : { passphrase }),
        ...(options.keyFile === undefined ? {} : { keyFile: options.keyFile }),
        ...(options.keyToken === undefined ? {} : await tokenBody(options.keyToken)),
      }
      const path = '/holdfast/v1/keys/kek/rotate'
      const facts = await callApi<KeyFacts>(serverOf(options), { method: 'POST', path, body })
      if (options.json) return printJson(facts)
      print(`${facts.dataKeys.length} data keys are wrapped with key-encryption key ${facts.kek.id}, ${placeOf(facts)}`)
      print('  Copies of the data folder made before still need the key before: keep it with them, or make new copies.')
      if (passphrase !== undefined) print('  From the next start on the server needs this passphrase.')
      if (options.keyFile !== undefined)
        print(`  From the next start on the server needs --key-file ${options.keyFile}.`)
      if (options.keyToken !== undefined)
        print('  From the next start on the server needs this --key-token, or keys.token in its configuration file.')
    })
  addAccessOptions(addConfirmOption(command)).addHelpText(
    'after',
    `
Examples:
  holdfast keys rotate-kek                          a new key in the same file
  holdfast keys rotate-kek --key-file /etc/holdfast/kek
  holdfast keys rotate-kek --ask-passphrase
  holdfast keys rotate-kek --key-token 'pkcs11:token=holdfast;id=%01?module-path=/usr/lib/softhsm/libsofthsm2.so'`,
  )
}

interface RotateKekOptions extends RemoteOptions, PassphraseOptions, ConfirmOptions {
  readonly keyFile?: string
  readonly keyToken?: TokenKey
}

async function tokenBody(key: TokenKey): Promise<{ readonly keyToken: string; readonly tokenPin?: string }> {
  const tokenPin = await pinOf(key)
  return { keyToken: key.uri, ...(tokenPin === undefined ? {} : { tokenPin }) }
}

function addRotateData(group: Command): void {
  const command = group
    .command('rotate-data')
    .description('seal with a new data key from now on; what older ones sealed stays readable')
    .action(async (options: RemoteOptions) => {
      const path = '/holdfast/v1/keys/data/rotate'
      const facts = await callApi<KeyFacts>(serverOf(options), { method: 'POST', path })
      if (options.json) return printJson(facts)
      print(`data key ${facts.dataKeys.at(-1)?.id} seals from now on`)
      print("  'holdfast keys reseal' seals what is stored with it too; events go with their retention.")
    })
  addAccessOptions(command)
}

function addReseal(group: Command): void {
  const command = group
    .command('reseal')
    .description('seal what is stored with the present data key, and destroy data keys that nothing needs any more')
    .action(async (options: RemoteOptions) => {
      const access = serverOf(options)
      await callApi(access, { method: 'POST', path: '/holdfast/v1/keys/reseal' })
      const reseal = await watch(access)
      if (options.json) return printJson(reseal)
      print(`resealed ${reseal.resealed} of ${reseal.looked} rows; ${reseal.retired} data keys destroyed`)
    })
  addAccessOptions(command)
}

async function watch(access: ServerAccess): Promise<Reseal> {
  let bar: ProgressBar | null = null
  try {
    for (;;) {
      const { reseal } = await callApi<KeyFacts>(access, { method: 'GET', path: '/holdfast/v1/keys' })
      if (reseal === null || reseal.state === 'failed') {
        throw new CommandError('resealing was cut off; the log says why. It can be begun again: nothing is lost')
      }
      bar ??= new ProgressBar(Math.max(1, reseal.rows), 'rows', Date.now())
      bar.update(Math.min(reseal.looked, reseal.rows), Date.now())
      if (reseal.state === 'done') return reseal
      await sleep(POLL_MS)
    }
  } finally {
    bar?.clear()
  }
}

function addErase(group: Command): void {
  const command = group
    .command('erase-device <id>')
    .description('empty what is still stored of the events of a device that was deleted')
    .action(async (id: string, options: RemoteOptions & ConfirmOptions) => {
      const access = serverOf(options)
      const { name } = await findHub(access, options.hub)
      await confirm(`Nobody reads the stored events of the deleted device '${id}' at hub '${name}' again.`, options)
      const path = `/holdfast/v1/hubs/${encodeURIComponent(name)}/devices/${encodeURIComponent(id)}/erase-events`
      await callApi(access, { method: 'POST', path })
      for (;;) {
        const { erasure } = await callApi<KeyFacts>(access, { method: 'GET', path: '/holdfast/v1/keys' })
        if (erasure?.state === 'running') await sleep(POLL_MS)
        else if (erasure?.state !== 'done') {
          throw new CommandError('erasing was cut off; the log says why. Begin it again: what is erased stays erased')
        } else {
          if (options.json) printJson(erasure)
          else print(`emptied ${erasure.events} events of '${id}'; their places in the stream stay`)
          return
        }
      }
    })
  addHubOption(addAccessOptions(addConfirmOption(command)))
}

function addRenewCertificate(group: Command): void {
  const command = group
    .command('renew-server-certificate')
    .description('a new server certificate with a new key at once; connections that stand go on')
    .action(async (options: RemoteOptions) => {
      const path = '/holdfast/v1/keys/server-certificate/renew'
      const renewed = await callApi<{ certificates: string[] }>(serverOf(options), { method: 'POST', path })
      if (options.json) return printJson(renewed)
      for (const pem of renewed.certificates) {
        const { validTo, publicKey, fingerprint256 } = new X509Certificate(pem)
        print(`${publicKey.asymmetricKeyType} certificate, valid until ${validTo}`)
        print(`  SHA-256 ${fingerprint256}`)
      }
    })
  addAccessOptions(command)
}

function placeOf({ kek }: KeyFacts): string {
  if (kek.kind === 'token') return 'in a token, which it never leaves'
  return kek.path === null ? 'made from a passphrase' : `in ${kek.path}`
}
