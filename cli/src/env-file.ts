/** One `export NAME='value'` a line, for `source` in any POSIX shell. */
export function formatEnvFile(comment: readonly string[], values: Readonly<Record<string, string>>): string {
  const lines = Object.entries(values).map(([name, value]) => `export ${name}='${value.replaceAll("'", "'\\''")}'`)
  return `${[...comment.map((line) => `# ${line}`), ...lines].join('\n')}\n`
}

/** Reads back what `formatEnvFile` wrote; other lines are passed over. */
export function parseEnvFile(text: string): Record<string, string> {
  const values: Record<string, string> = {}
  for (const line of text.split('\n')) {
    const match = /^export ([A-Z][A-Z0-9_]*)='(.*)'$/.exec(line)
    if (match?.[1] !== undefined && match[2] !== undefined) values[match[1]] = match[2].replaceAll("'\\''", "'")
  }
  return values
}
