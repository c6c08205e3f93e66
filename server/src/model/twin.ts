export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject
export interface JsonObject {
  readonly [key: string]: JsonValue
}

/** The stored document of a device twin; wire-only members ($metadata, connection state) are derived when it is shown. */
export interface Twin {
  readonly tags: JsonObject
  readonly desired: TwinSection
  readonly reported: TwinSection
  /** Bumped by each change of any section. */
  readonly version: number
}

export interface TwinSection {
  readonly values: JsonObject
  /** `$version`, 1 for a fresh twin. */
  readonly version: number
  readonly lastUpdated: number
}

export function freshTwin(now: number, initial: { tags?: JsonObject; desired?: JsonObject } = {}): Twin {
  return {
    tags: initial.tags ?? {},
    desired: { values: initial.desired ?? {}, version: 1, lastUpdated: now },
    reported: { values: {}, version: 1, lastUpdated: now },
    version: 2,
  }
}
