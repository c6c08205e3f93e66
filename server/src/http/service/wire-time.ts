/** What the services show for a moment that never came. */
const NEVER = '0001-01-01T00:00:00Z'

export function wireTime(time: number | null): string {
  return time === null ? NEVER : new Date(time).toISOString()
}

/** Seven fractional digits, the form of twin metadata. */
export function twinTime(time: number): string {
  return `${new Date(time).toISOString().slice(0, -1)}0000Z`
}
