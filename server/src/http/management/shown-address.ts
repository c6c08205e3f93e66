/** A web address as it may be shown: its path and query often are the secret that lets somebody post there. */
export function shownAddress(address: string, inFull: boolean): string {
  const { origin, href } = new URL(address)
  return inFull || href === `${origin}/` ? address : `${origin}/…`
}
