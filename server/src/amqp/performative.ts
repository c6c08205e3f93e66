import { isBinaryCode, isListCode, isMapCode, scanValue } from './value-scan.ts'
import type { AmqpViolation } from './violation.ts'
import { malformed } from './violation.ts'

/** Performatives by descriptor code (AMQP 1.0 §2.7, §5.3.3). */
export const OPEN = 0x10
export const BEGIN = 0x11
export const ATTACH = 0x12
export const FLOW = 0x13
export const TRANSFER = 0x14
export const DISPOSITION = 0x15
export const DETACH = 0x16
export const END = 0x17
export const CLOSE = 0x18
export const SASL_INIT = 0x41

type FieldType =
  | 'boolean'
  | 'ubyte'
  | 'ushort'
  | 'uint'
  | 'ulong'
  | 'text'
  | 'binary'
  | 'map'
  | 'texts'
  | 'error'
  | 'source'
  | 'target'
  | 'outcome'

interface Field {
  readonly name: string
  readonly type: FieldType
  readonly mandatory: boolean
}

/** `name!:type` is mandatory, `name:type` may be null or left out. */
const PERFORMATIVES: ReadonlyMap<number, readonly Field[]> = new Map([
  [
    OPEN,
    fields(
      'container-id!:text hostname:text max-frame-size:uint channel-max:ushort idle-time-out:uint ' +
        'outgoing-locales:texts incoming-locales:texts offered-capabilities:texts desired-capabilities:texts properties:map',
    ),
  ],
  [
    BEGIN,
    fields(
      'remote-channel:ushort next-outgoing-id!:uint incoming-window!:uint outgoing-window!:uint ' +
        'handle-max:uint offered-capabilities:texts desired-capabilities:texts properties:map',
    ),
  ],
  [
    ATTACH,
    fields(
      'name!:text handle!:uint role!:boolean snd-settle-mode:ubyte rcv-settle-mode:ubyte source:source ' +
        'target:target unsettled:map incomplete-unsettled:boolean initial-delivery-count:uint max-message-size:ulong ' +
        'offered-capabilities:texts desired-capabilities:texts properties:map',
    ),
  ],
  [
    FLOW,
    fields(
      'next-incoming-id:uint incoming-window!:uint next-outgoing-id!:uint outgoing-window!:uint handle:uint ' +
        'delivery-count:uint link-credit:uint available:uint drain:boolean echo:boolean properties:map',
    ),
  ],
  [
    TRANSFER,
    fields(
      'handle!:uint delivery-id:uint delivery-tag:binary message-format:uint settled:boolean ' +
        'more:boolean rcv-settle-mode:ubyte state:outcome resume:boolean aborted:boolean batchable:boolean',
    ),
  ],
  [DISPOSITION, fields('role!:boolean first!:uint last:uint settled:boolean state:outcome batchable:boolean')],
  [DETACH, fields('handle!:uint closed:boolean error:error')],
  [END, fields('error:error')],
  [CLOSE, fields('error:error')],
  [SASL_INIT, fields('mechanism!:text initial-response:binary hostname:text')],
])

/** Descriptor codes that a described field may carry (AMQP 1.0 §2.8.14, §3.4, §3.5). */
const DESCRIPTORS: Readonly<Partial<Record<FieldType, readonly number[]>>> = {
  error: [0x1d],
  source: [0x28],
  target: [0x29],
  outcome: [0x23, 0x24, 0x25, 0x26, 0x27],
}

/** The encodings of each unsigned type (AMQP 1.0 §1.6). */
const NUMBER_CODES: Readonly<Partial<Record<FieldType, readonly number[]>>> = {
  ubyte: [0x50],
  ushort: [0x60],
  uint: [0x70, 0x52, 0x43],
  ulong: [0x80, 0x53, 0x44],
}

/** Scalars are given as values; whatever is composite was scanned and is left out. */
export interface Performative {
  readonly code: number
  readonly numbers: Readonly<Record<string, number>>
  readonly booleans: Readonly<Record<string, boolean>>
  readonly texts: Readonly<Record<string, string>>
  readonly binaries: Readonly<Record<string, Buffer>>
  /** Offset in the frame where the payload of a transfer starts. */
  readonly payloadAt: number
}

/** Reads the performative that starts at `at`; throws AmqpViolation unless each field has the type the standard gives it. */
export function readPerformative(frame: Buffer, at: number): Performative {
  if (frame[at] !== 0x00) throw malformed('a frame body that is not a performative')
  const end = frame.length
  const next = scanValue(frame, at, end)
  const code = descriptorCode(frame, at + 1)
  const layout = code === null ? undefined : PERFORMATIVES.get(code)
  if (code === null || layout === undefined) throw malformed('an unknown performative')
  const list = listItems(frame, scanValue(frame, at + 1, end))
  if (list.count > layout.length) throw malformed('a performative with too many fields')
  const reader = { numbers: {}, booleans: {}, texts: {}, binaries: {} }
  let offset = list.at
  for (const [index, field] of layout.entries()) {
    const present = index < list.count && frame[offset] !== 0x40
    if (!present && field.mandatory) throw malformed(`a performative without its ${field.name}`)
    if (present) readField(frame, offset, field, reader)
    if (index < list.count) offset = scanValue(frame, offset, end)
  }
  return { code, ...reader, payloadAt: next }
}

interface Scalars {
  readonly numbers: Record<string, number>
  readonly booleans: Record<string, boolean>
  readonly texts: Record<string, string>
  readonly binaries: Record<string, Buffer>
}

function readField(frame: Buffer, at: number, field: Field, into: Scalars): void {
  const code = frame.readUInt8(at)
  switch (field.type) {
    case 'boolean':
      into.booleans[field.name] = readBoolean(frame, at, code, field)
      return
    case 'ubyte':
    case 'ushort':
    case 'uint':
    case 'ulong':
      into.numbers[field.name] = readNumber(frame, at, code, field)
      return
    case 'text':
      into.texts[field.name] = readText(frame, at, code, field)
      return
    case 'binary':
      if (!isBinaryCode(code)) throw wrongType(field)
      into.binaries[field.name] = variable(frame, at, code === 0xa0)
      return
    case 'map':
      if (!isMapCode(code)) throw wrongType(field)
      return
    case 'texts':
      if (![0xa3, 0xb3, 0xe0, 0xf0].includes(code)) throw wrongType(field)
      return
    default: {
      const descriptor = code === 0x00 ? descriptorCode(frame, at + 1) : null
      if (descriptor === null || DESCRIPTORS[field.type]?.includes(descriptor) !== true) throw wrongType(field)
    }
  }
}

function readBoolean(frame: Buffer, at: number, code: number, field: Field): boolean {
  if (code === 0x41 || code === 0x42) return code === 0x41
  if (code === 0x56) return frame.readUInt8(at + 1) === 1
  throw wrongType(field)
}

function readNumber(frame: Buffer, at: number, code: number, field: Field): number {
  if (NUMBER_CODES[field.type]?.includes(code) !== true) throw wrongType(field)
  switch (code) {
    case 0x43:
    case 0x44:
      return 0
    case 0x60:
      return frame.readUInt16BE(at + 1)
    case 0x70:
      return frame.readUInt32BE(at + 1)
    case 0x80:
      return Number(frame.readBigUInt64BE(at + 1))
    default:
      return frame.readUInt8(at + 1)
  }
}

function readText(frame: Buffer, at: number, code: number, field: Field): string {
  if (![0xa1, 0xa3, 0xb1, 0xb3].includes(code)) throw wrongType(field)
  return variable(frame, at, code < 0xb0).toString('utf8')
}

function variable(frame: Buffer, at: number, short: boolean): Buffer {
  const start = at + (short ? 2 : 5)
  return frame.subarray(start, start + (short ? frame.readUInt8(at + 1) : frame.readUInt32BE(at + 1)))
}

/** A numeric descriptor; symbolic ones are legal too (§1.5) but no known client sends them. */
export function descriptorCode(bytes: Buffer, at: number): number | null {
  if (bytes[at] === 0x53) return bytes.readUInt8(at + 1)
  if (bytes[at] === 0x80) return Number(bytes.readBigUInt64BE(at + 1))
  return null
}

function listItems(frame: Buffer, at: number): { count: number; at: number } {
  const code = frame[at]
  if (!isListCode(code)) throw malformed('a performative that is not a list')
  if (code === 0x45) return { count: 0, at: at + 1 }
  return code === 0xc0
    ? { count: frame.readUInt8(at + 2), at: at + 3 }
    : { count: frame.readUInt32BE(at + 5), at: at + 9 }
}

function fields(text: string): readonly Field[] {
  return text.split(' ').map((entry) => {
    const [name = '', type = ''] = entry.split(':')
    return { name: name.replace('!', ''), type: type as FieldType, mandatory: name.endsWith('!') }
  })
}

function wrongType(field: Field): AmqpViolation {
  return malformed(`${field.name} has the wrong type`)
}
