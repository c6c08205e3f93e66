import { HubError } from '../errors.ts'
import { printable } from '../model/ids.ts'
import type { JsonObject } from '../model/twin.ts'

/** As the wire has it, in an enrollment and in the answer of an allocation webhook. */
export interface InitialTwinDraft {
  readonly tags?: JsonObject | null | undefined
  readonly properties?: { readonly desired?: JsonObject | null | undefined } | null | undefined
}

export interface InitialTwin {
  readonly tags: JsonObject
  readonly desired: JsonObject
}

/** A twin document as the hub takes it; an enrollment cannot smuggle in a larger one. */
const MAX_TWIN_BYTES = 32 * 1024
const MAX_DEPTH = 10

/** Rejects with `argument-invalid` what the hub's own twins could not hold. */
export function parseInitialTwin(draft: InitialTwinDraft | null | undefined): InitialTwin | null {
  if (draft === null || draft === undefined) return null
  const twin = { tags: draft.tags ?? {}, desired: draft.properties?.desired ?? {} }
  if (Buffer.byteLength(JSON.stringify(twin)) > MAX_TWIN_BYTES)
    throw invalid(`initialTwin is larger than ${MAX_TWIN_BYTES} bytes`)
  for (const section of [twin.tags, twin.desired]) checkMembers(section, 1)
  return twin
}

/** The twin's own rules of member names and depth: no `$`, `.`, blanks or control characters, ten levels. */
function checkMembers(section: JsonObject, depth: number): void {
  if (depth > MAX_DEPTH) throw invalid(`initialTwin is nested deeper than ${MAX_DEPTH} levels`)
  for (const [name, value] of Object.entries(section)) {
    if (!/^[^.$\s\u0000-\u001f\u007f-\u009f]{1,512}$/.test(name))
      throw invalid(`initialTwin has a member '${printable(name)}': names hold no '.', '$', blank or control character`)
    if (isJsonObject(value)) checkMembers(value, depth + 1)
  }
}

function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function invalid(message: string): HubError {
  return new HubError('argument-invalid', message)
}
