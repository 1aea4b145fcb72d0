/** Lines of an aligned table, its heading first; cells are cut at `cellCharacters`. */
export function table(heading: readonly string[], rows: readonly (readonly string[])[], cellCharacters = 60): string[] {
  const lines = [heading, ...rows].map((row) =>
    row.map((cell) => (cell.length > cellCharacters ? `${cell.slice(0, cellCharacters - 1)}…` : cell)),
  )
  const widths = heading.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)))
  return lines.map((line) =>
    line
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  )
}
