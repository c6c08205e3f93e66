import { createHash, createPrivateKey, createPublicKey, diffieHellman, hkdfSync, type KeyObject } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { keySigner, parseCertificate, type Certificate } from '@holdfast/pki'
import { keyIdOf, pointOf, seal, type SealRequest } from '@holdfast/seal'
import { decodeCbor, encodeCbor, type Cbor, type Tagged } from '../src/cbor.ts'
import { coseKey } from '../src/consumer-key.ts'
import { encStructure, kdfContext } from '../src/encryption.ts'
import { signedBytes } from '../src/sealed-message.ts'

export const VECTORS_FILE = fileURLToPath(
  new URL('../../docs/reference/sealed-telemetry-vectors.json', import.meta.url),
)
export const PAGE_FILE = fileURLToPath(new URL('../../docs/reference/sealed-telemetry.md', import.meta.url))

/** Values of the messages; a certificate has been valid then. */
export const SEALED_AT = Date.UTC(2026, 10, 24, 8)

export interface Inputs {
  /** PKCS#8, DER, hex. Published: they protect nothing. */
  readonly keys: {
    readonly device: string
    readonly deviceEd25519: string
    readonly consumer: string
    readonly ephemeral: string
  }
  /** DER, hex. */
  readonly certificates: { readonly root: string; readonly device: string; readonly deviceEd25519: string }
  readonly iv: string
}

export interface Vector {
  readonly name: string
  readonly device: string
  readonly counter: number
  readonly time: number | null
  readonly contentType: string
  readonly payload: string
  readonly protected: string
  readonly toBeSigned: string
  readonly signature: string
  readonly encryption?: Readonly<Record<string, string>>
  readonly sealed: string
}

export interface VectorFile {
  readonly inputs: Inputs
  readonly vectors: readonly Vector[]
}

export function readVectors(): VectorFile {
  return JSON.parse(readFileSync(VECTORS_FILE, 'utf8')) as VectorFile
}

export const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
export const bytesOf = (text: string): Buffer => Buffer.from(text, 'hex')
export const keyOf = (text: string): KeyObject => createPrivateKey({ key: bytesOf(text), format: 'der', type: 'pkcs8' })

/** Every vector made anew. ECDSA is not deterministic: `signatures` gives those (DER) of the earlier run, by name. */
export async function makeVectors(inputs: Inputs, signatures: ReadonlyMap<string, Uint8Array>): Promise<Vector[]> {
  const { keys } = inputs
  const p256 = parseCertificate(bytesOf(inputs.certificates.device))
  const ed25519 = parseCertificate(bytesOf(inputs.certificates.deviceEd25519))
  const common = { device: 'pump-17', contentType: 'application/json', payload: Buffer.from('{"bar":4.2}') }
  const made = (name: string, request: Partial<SealRequest>, key: string, certificate: Certificate) => {
    const signer = keySigner(keyOf(key))
    const signature = signatures.get(name)
    const replaying = signature === undefined ? signer : { ...signer, sign: () => signature }
    return makeVector(name, { ...common, counter: 0, ...request, chain: [certificate], signer: replaying }, keys)
  }
  const freshness = { ephemeral: keyOf(keys.ephemeral), iv: bytesOf(inputs.iv) }
  const recipient = createPublicKey(keyOf(keys.consumer))
  return [
    await made(
      'signed with Ed25519, thumbprint only, no clock',
      { counter: 1, thumbprintOnly: true },
      keys.deviceEd25519,
      ed25519,
    ),
    await made('signed with ES256, chain included', { counter: 1000, time: SEALED_AT }, keys.device, p256),
    await made(
      'encrypted, then signed with ES256, thumbprint only',
      { counter: 2 ** 40, time: SEALED_AT, thumbprintOnly: true, recipient, freshness },
      keys.device,
      p256,
    ),
  ]
}

async function makeVector(name: string, request: SealRequest, keys: Inputs['keys']): Promise<Vector> {
  const sealed = await seal(request)
  const [headers, , content, signature] = (decodeCbor(sealed) as Tagged).value as Uint8Array[]
  if (headers === undefined || content === undefined || signature === undefined) throw new TypeError('not sealed')
  return {
    name,
    device: request.device,
    counter: request.counter,
    time: request.time ?? null,
    contentType: request.contentType ?? '',
    payload: hex(request.payload),
    protected: hex(headers),
    toBeSigned: hex(signedBytes(headers, content)),
    signature: hex(signature),
    ...(request.recipient && { encryption: stepsOf(headers, content, keys) }),
    sealed: hex(sealed),
  }
}

/** The values on the way, calculated here with nothing but the crypto library and the words of the RFCs. */
function stepsOf(context: Uint8Array, content: Uint8Array, keys: Inputs['keys']): Record<string, string> {
  const consumer = createPublicKey(keyOf(keys.consumer))
  const [headers, unprotected, ciphertext, recipients] = (decodeCbor(content) as Tagged).value as Cbor[]
  const [recipientHeaders] = (recipients as Cbor[])[0] as [Uint8Array]
  const info = kdfContext(recipientHeaders)
  const secret = diffieHellman({ privateKey: keyOf(keys.ephemeral), publicKey: consumer })
  return {
    'consumer COSE_Key': hex(encodeCbor(coseKey(pointOf(consumer)))),
    'key id (first 8 bytes of its SHA-256)': hex(keyIdOf(pointOf(consumer))),
    'shared secret': hex(secret),
    COSE_KDF_Context: hex(info),
    'content key': hex(new Uint8Array(hkdfSync('sha256', secret, '', info, 32))),
    IV: hex((unprotected as ReadonlyMap<number, Uint8Array>).get(5) as Uint8Array),
    'Enc_structure (additional data)': hex(encStructure(headers as Uint8Array, context)),
    'ciphertext and tag': hex(ciphertext as Uint8Array),
    COSE_Encrypt: hex(content),
  }
}

/** The part of the page that is calculated. */
export function renderVectors({ inputs, vectors }: VectorFile): string {
  const { keys, certificates } = inputs
  return [
    sizes(vectors),
    '### Keys and certificates\n',
    block('Device, P-256, private scalar', scalarOf(keys.device)),
    block('Device, Ed25519, private seed', bytesOf(keys.deviceEd25519).subarray(-32).toString('hex')),
    block('Consumer, P-256, private scalar', scalarOf(keys.consumer)),
    block('Ephemeral key, P-256, private scalar', scalarOf(keys.ephemeral)),
    block(`Device certificate, P-256 (x5t ${sha256(certificates.device)})`, certificates.device),
    block(`Device certificate, Ed25519 (x5t ${sha256(certificates.deviceEd25519)})`, certificates.deviceEd25519),
    block('Root certificate', certificates.root),
    ...vectors.flatMap((vector, index) => [
      `### Vector ${index + 1}: ${vector.name}\n`,
      `Device \`${vector.device}\`, counter ${vector.counter}, ${vector.time === null ? 'no time' : `time ${vector.time / 1000}`}, content type \`${vector.contentType}\`.\n`,
      block('payload', vector.payload),
      block('protected header', vector.protected),
      ...Object.entries(vector.encryption ?? {}).map(([title, value]) => block(title, value)),
      block('Sig_structure, what is signed', vector.toBeSigned),
      block('signature', vector.signature),
      block(`sealed message, ${vector.sealed.length / 2} bytes`, vector.sealed),
    ]),
  ].join('\n')
}

/** A table in the form that the formatter leaves alone. */
function sizes(vectors: readonly Vector[]): string {
  const head = ['vector', 'payload', 'message', 'overhead']
  const rows = vectors.map(({ name, payload, sealed }) => {
    const [before, after] = [payload.length / 2, sealed.length / 2]
    return [name, String(before), String(after), String(after - before)]
  })
  const widths = head.map((_, column) => Math.max(...[head, ...rows].map((row) => (row[column] ?? '').length)))
  const line = ([name = '', ...numbers]: readonly string[]) =>
    `| ${[name.padEnd(widths[0] ?? 0), ...numbers.map((text, index) => text.padStart(widths[index + 1] ?? 0))].join(' | ')} |`
  const rule = `| ${widths.map((width, column) => (column === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`)).join(' | ')} |`
  return `${[line(head), rule, ...rows.map(line)].join('\n')}\n`
}

function block(title: string, text: string): string {
  return `${title}:\n\n\`\`\`text\n${text.replaceAll(/.{96}(?=.)/g, '$&\n')}\n\`\`\`\n`
}

function scalarOf(key: string): string {
  return Buffer.from(keyOf(key).export({ format: 'jwk' }).d ?? '', 'base64url').toString('hex')
}

function sha256(text: string): string {
  return createHash('sha256').update(bytesOf(text)).digest('hex')
}

const [START, END] = ['<!-- vectors: calculated by seal/test/write-vectors.ts -->', '<!-- end of vectors -->']

/** The page with its calculated part put in. */
export function withVectors(page: string, vectors: string): string {
  const [head, rest] = page.split(START)
  const tail = rest?.split(END)[1]
  if (head === undefined || tail === undefined) throw new Error('the page has no place for the vectors')
  return `${head}${START}\n\n${vectors}\n${END}${tail}`
}
