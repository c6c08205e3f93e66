import { after, before, suite, test } from 'node:test'
import { forgeRsaRoot, makeDevice, makeRoot, makeVerification } from '../hub/certificates.ts'
import type { Made } from '../hub/certificates.ts'
import { FACTORY, openWorkbench, refusalOf } from '../hub/workbench.ts'
import type { Workbench } from '../hub/workbench.ts'
import { assertExplained } from './explained.ts'
import type { Explanation } from './explained.ts'
import { makeOdd } from './odd-certificates.ts'

interface Cause extends Explanation {
  readonly name: string
  readonly attempt: (bench: Workbench, root: Made) => Promise<unknown>
}

const put = (bench: Workbench, name: string, der: Uint8Array) =>
  bench.authorities.put(FACTORY, name, der, { expected: null })

/** Uploads the CA, asks for a code and answers it with what `answer` makes. */
const prove =
  (name: string, answer: (ca: Made, code: string, now: number) => Promise<Uint8Array>) =>
  async (bench: Workbench): Promise<unknown> => {
    const now = bench.clock.now()
    const ca = await makeRoot(`Root of ${name}`, now)
    const { etag } = await put(bench, name, ca.der)
    const issued = await bench.authorities.generateVerificationCode(FACTORY, name, { kind: 'exactly', etag })
    const code = issued.state.kind === 'code-issued' ? issued.state.code : ''
    return bench.authorities.verify(FACTORY, name, { kind: 'exactly', etag: issued.etag }, await answer(ca, code, now))
  }

const CAUSES: readonly Cause[] = [
  {
    name: 'it is the certificate of a device',
    rule: 'authority-refused',
    attempt: async (bench, root) => put(bench, 'leaf', (await makeDevice(root, 'pump-1', bench.clock.now())).der),
    message: /is not one of a CA \(basicConstraints cA is not TRUE\)/,
    remedy: /Register the certificate of the CA that issues the devices/,
  },
  {
    name: 'its key is weak',
    rule: 'authority-refused',
    attempt: async (bench) => put(bench, 'weak', await forgeRsaRoot(1024, 'SHA-256', bench.clock.now())),
    message: /1024/,
    remedy: /2048/,
  },
  {
    name: 'it has expired',
    rule: 'authority-refused',
    attempt: async (bench) => {
      const now = bench.clock.now()
      const old = await makeOdd({ names: ['Old Root'], now, ca: true, term: [-3_000_000, -1_000_000] })
      return put(bench, 'old', old.der)
    },
    message: /expired at .* too late/,
    remedy: /Issue a new certificate/,
  },
  {
    name: 'it is no certificate',
    rule: 'authority-refused',
    attempt: (bench) => put(bench, 'text', Buffer.from('hello')),
    message: /The file is not a certificate/,
    remedy: /as PEM or DER/,
  },
  {
    name: 'the proof carries another code',
    rule: 'possession-refused',
    attempt: prove('coded', (ca, code, now) => makeVerification(ca, `${code.slice(0, -1)}0`, now)),
    message: /code/,
    remedy: /code/,
  },
  {
    name: 'the proof was signed by another CA',
    rule: 'possession-refused',
    attempt: prove('foreign', async (_, code, now) => makeVerification(await makeRoot('Other Root', now), code, now)),
    message: /sign|issue/,
    remedy: /sign|issue/i,
  },
]

suite('a refused CA is explained when', () => {
  let bench: Workbench
  let root: Made
  before(async () => {
    bench = await openWorkbench()
    root = await makeRoot('Acme Root', bench.clock.now())
  })
  after(() => bench.close())

  for (const { name, attempt, ...explanation } of CAUSES) {
    test(name, async () => assertExplained(await refusalOf(attempt(bench, root)), explanation))
  }
})
