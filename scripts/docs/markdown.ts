/** A table whose cells may hold anything but line breaks. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [row(head), `|${head.map(() => '---').join('|')}|`, ...rows.map(row)].join('\n')
}

function row(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
}

export const code = (text: string): string => `\`${text}\``

/** Said at the head of every generated page, invisible to readers. */
export function generatedFrom(...sources: readonly string[]): string {
  return `<!-- Made by \`npm run docs\` from ${sources.join(' and ')}; edit those instead. -->`
}
