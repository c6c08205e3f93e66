/** A time as the service writes it: ISO 8601 with seven fractional digits. */
export function dateTimeUtc(ms: number): string {
  return new Date(ms).toISOString().replace('Z', '0000Z')
}
