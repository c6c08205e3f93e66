/** Rows of: what was measured, the figure, what it is held against, the ratio, the mark. */
export function printTable(rows: readonly (readonly string[])[]): void {
  const all = [['measured', 'holdfast', 'beside', 'ratio', 'mark'], ...rows]
  const widths = all.reduce<number[]>(
    (before, row) => row.map((cell, index) => Math.max(before[index] ?? 0, cell.length)),
    [],
  )
  for (const row of all)
    console.log(
      row
        .map((cell, index) => cell.padEnd(widths[index] ?? 0))
        .join('  ')
        .trimEnd(),
    )
}

export function ratio(ours: number, theirs: number): string {
  return theirs > 0 ? `${(ours / theirs).toFixed(2)} ×` : ''
}
