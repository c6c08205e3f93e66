import type { BackupReport } from '@holdfast/server'

/** What a backup holds, in lines for a person. */
export function describeReport(report: BackupReport): readonly string[] {
  const hubs = [...new Set(report.partitions.map(({ hub }) => hub))]
  return [
    `backup ${report.id} of ${report.createdTime}, Holdfast ${report.version}, registry schema ${report.registrySchema}`,
    `${report.files} files, ${report.devices} devices`,
    ...hubs.map((hub) => {
      const partitions = report.partitions.filter((each) => each.hub === hub)
      const events = partitions.reduce((sum, { begin, next }) => sum + next - begin, 0)
      const bounds = partitions.map(({ partition, begin, next }) => `${partition}: ${begin}–${next}`)
      return `${hub}: ${events} events (partition: first–next sequence; ${bounds.join(', ')})`
    }),
  ]
}
