import { isUtf8 } from 'node:buffer'
import { MqttViolation } from './violation.ts'

/** A UTF-8 string between two offsets, as every text field of MQTT must be. */
export function readText(buffer: Buffer, start: number, end: number): string {
  for (let at = start; at < end; at += 1) {
    const byte = buffer[at] ?? 0
    if (byte === 0) throw nullCharacter()
    if (byte >= 0x80) return readWideText(buffer, start, end)
  }
  return buffer.toString('latin1', start, end)
}

function readWideText(buffer: Buffer, start: number, end: number): string {
  const bytes = buffer.subarray(start, end)
  // Surrogates, overlong forms and truncated sequences all fail here; a byte order mark stays [MQTT-1.5.3-3].
  if (!isUtf8(bytes)) throw new MqttViolation('MQTT-1.5.3-1', 'A string is not well-formed UTF-8')
  const text = bytes.toString('utf8')
  if (text.includes('\u0000')) throw nullCharacter()
  return text
}

function nullCharacter(): MqttViolation {
  return new MqttViolation('MQTT-1.5.3-2', 'A string holds the null character')
}

export function assertTopicName(topic: string): void {
  if (topic.length === 0) throw new MqttViolation('MQTT-4.7.3-1', 'The topic name is empty')
  if (topic.includes('#') || topic.includes('+')) {
    throw new MqttViolation('MQTT-3.3.2-2', 'The topic name holds a wildcard')
  }
}

export function assertTopicFilter(filter: string): void {
  if (filter.length === 0) throw new MqttViolation('MQTT-4.7.3-1', 'A topic filter is empty')
  const levels = filter.split('/')
  for (const [depth, level] of levels.entries()) {
    if (level.includes('#') && (level !== '#' || depth !== levels.length - 1)) {
      throw new MqttViolation('MQTT-4.7.1-2', 'A multi-level wildcard must stand alone at the end of a filter')
    }
    if (level.includes('+') && level !== '+') {
      throw new MqttViolation('MQTT-4.7.1-3', 'A single-level wildcard must occupy its whole level')
    }
  }
}

/** Topic names repeat: the last one of a connection is compared byte by byte instead of being decoded again. */
export class TopicReader {
  #bytes: Uint8Array = new Uint8Array(0)
  #topic = ''

  /** A checked topic name between two offsets. */
  read(buffer: Buffer, start: number, end: number): string {
    if (this.#isLast(buffer, start, end)) return this.#topic
    const topic = readText(buffer, start, end)
    assertTopicName(topic)
    this.#bytes = Uint8Array.prototype.slice.call(buffer, start, end)
    this.#topic = topic
    return topic
  }

  #isLast(buffer: Buffer, start: number, end: number): boolean {
    const bytes = this.#bytes
    const length = end - start
    if (length === 0 || length !== bytes.length) return false
    for (let at = 0; at < length; at += 1) if (buffer[start + at] !== bytes[at]) return false
    return true
  }
}
