import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { Command } from 'commander'
import { Place } from '../start/place.ts'
import type { Foreground } from '../start/place.ts'

/** Every command that cannot be undone, and what it says before; `@` stands for the folder. */
const DESTRUCTIVE: readonly (readonly [string, RegExp])[] = [
  ['ca delete line7', /0 devices rest on this CA at hub 'localhost'/],
  ['ca revocation line7 --policy off', /will let in what this CA issued without looking/],
  ['revoke ca @line7/ca.cer', /0 devices rest on this CA/],
  ['revoke certificate @line7/ca.cer', /0 devices rest on this CA/],
  ['revoke certificate @d1/d1.cer', /Whoever shows this certificate is cut off for good/],
  ['revoke certificate @d1/d1.cer --reason certificateHold', /cut off until the hold is lifted/],
  [`revoke certificate --thumbprint ${'a'.repeat(40)}`, /Whoever shows this certificate is cut off for good/],
  ['revoke device d1', /'d1' is cut off for good, with every certificate/],
  ['device delete d1', /'d1' is cut off, and its keys, its twin and its stored events go with it/],
  ['enroll disable meters --group', /Every device that was provisioned through group 'meters' is cut off at once/],
  ['enroll delete meters --group', /Every device that was provisioned through group 'meters' is cut off at once/],
  ['enroll delete m1', /The device that was provisioned by 'm1' is cut off at once/],
  ['policy renew service --key primary', /Every service that uses the primary key of 'service' is refused/],
  ['webhook delete w1', /Nothing more is posted to webhook 'w1'/],
  ['operator revoke rita', /'rita' is shut out at once, with every token and certificate/],
  ['operator revoke rita 0123456789ab', /Whoever logs in as 'rita' by 0123456789ab is shut out/],
  ['keys rotate-kek', /opens this data folder no more/],
  ['keys erase-device d1', /Nobody reads the stored events of the deleted device 'd1' at hub 'localhost' again/],
]
/** Commands that have --yes: those above, and one whose question `prune.test.ts` tries. */
const ASKING = [...new Set(DESTRUCTIVE.map(([line]) => line.split(' ').slice(0, 2).join(' '))), 'audit prune']

const GROUPS = [
  'alarms',
  'approvals',
  'audit',
  'ca',
  'device',
  'enroll',
  'keys',
  'operator',
  'policy',
  'revoke',
  'webhook',
]

async function groupOf(name: string): Promise<Command> {
  const { register } = (await import(`../../src/${name}/register.ts`)) as { register: (group: Command) => void }
  const group = new Command(name).exitOverride()
  register(group)
  return group
}

describe('what cannot be undone asks first', { timeout: 120_000 }, () => {
  const place = new Place()
  let server: Foreground
  before(async () => {
    server = place.start('--no-quickstart --quiet --mqtt-port 0 --https-port 0 --amqp-port 0')
    await server.shows(/Ctrl-C stops/)
    await place.holdfast('pki root line7 --name Line7')
    await place.holdfast('pki device d1 --ca line7 --out d1')
    await place.holdfast('ca register line7 line7/ca.cer')
    await place.holdfast('enroll group meters --symmetric')
  })
  after(() => place.leave())

  test('without a terminal and without --yes nothing is done, and the sentence says what it would cut off', async () => {
    // Also where somebody runs this test from a terminal.
    Object.defineProperty(process.stdin, 'isTTY', { value: false, configurable: true })
    const acts = async (): Promise<number> => {
      const lines = (await place.holdfast('audit search --json')).trimEnd().split('\n')
      return lines.filter((line) => line.includes('"kind":"intent"')).length
    }
    const before = await acts()
    for (const [line, sentence] of DESTRUCTIVE) {
      const [name = '', ...args] = line.replace('@', `${place.path}/`).split(' ')
      const group = await groupOf(name)
      const refused = {
        name: 'CommandError',
        exitCode: 2,
        message: new RegExp(`${sentence.source}.*Say --yes when that is meant\\.$`),
      }
      await assert.rejects(group.parseAsync([...args, '--data', place.file('data')], { from: 'user' }), refused, line)
    }
    assert.equal(await acts(), before)
  })

  test('exactly these commands can be told --yes', async () => {
    const asking: string[] = []
    for (const name of GROUPS)
      for (const command of (await groupOf(name)).commands)
        if (command.options.some(({ long }) => long === '--yes')) asking.push(`${name} ${command.name()}`)
    assert.deepEqual(asking.toSorted(), ASKING.toSorted())
  })
})
