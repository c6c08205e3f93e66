import { InvalidArgumentError } from 'commander'

const UNIT_MS = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/** `90s`, `15m`, `1h`, `30d` in ms. */
export function parseDuration(text: string): number {
  const [, amount, unit] = /^(\d{1,6})([smhd])$/.exec(text) ?? []
  if (amount === undefined || unit === undefined)
    throw new InvalidArgumentError('give a time such as 90s, 15m, 1h or 30d.')
  return Number(amount) * UNIT_MS[unit as keyof typeof UNIT_MS]
}

/** `2026-11-24 10:28:48Z` */
export function timeText(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19).replace('T', ' ')}Z`
}

/** `in 12 days`, `3 hours ago`; `now` for less than a minute. */
export function relativeTime(ms: number, now: number): string {
  const away = Math.abs(ms - now)
  const [size, noun] =
    away >= 2 * UNIT_MS.d ? [UNIT_MS.d, 'day'] : away >= 2 * UNIT_MS.h ? [UNIT_MS.h, 'hour'] : [UNIT_MS.m, 'minute']
  const amount = Math.floor(away / size)
  if (amount === 0) return 'now'
  const words = `${amount} ${noun}${amount === 1 ? '' : 's'}`
  return ms > now ? `in ${words}` : `${words} ago`
}
