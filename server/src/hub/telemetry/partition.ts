/**
 * The partition of a device: FNV-1a over the characters of its id. Stable for ever, since a device's events keep their
 * order only while they share a partition.
 */
export function partitionOf(deviceId: string, partitions: number): number {
  let hash = 0x811c9dc5
  for (let index = 0; index < deviceId.length; index++) {
    hash = Math.imul(hash ^ deviceId.charCodeAt(index), 0x01000193)
  }
  return (hash >>> 0) % partitions
}
