import { printable } from '../observe/log.js'
import type { Context } from './operator.js'

/** A value of a cell or of JSON output. Numbers in fields that name a moment are shown as ISO 8601. */
export type Cell = string | number | boolean | undefined | readonly string[]

export type Row = Readonly<Record<string, Cell>>

const moment = /(^at|At|notBefore|notAfter)$/

/** Prints rows as an aligned table with a heading, or as one JSON array. No rows: `none` in text, `[]` in JSON. */
export function printRows(context: Context, json: boolean, rows: readonly Row[], none: string): void {
  const shown = rows.map(readable)
  if (json || shown.length === 0) {
    context.print(json ? `${JSON.stringify(shown, null, 2)}\n` : `${none}\n`)
    return
  }
  const names = [...new Set(shown.flatMap((row) => Object.keys(row)))]
  const lines = [names.map(heading), ...shown.map((row) => names.map((name) => cell(row[name])))]
  const widths = names.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)))
  for (const line of lines) {
    const padded = line.map((text, column) => text.padEnd(widths[column] ?? 0)).join('  ')
    context.print(`${padded.trimEnd()}\n`)
  }
}

/** Prints one thing: `name: value` lines, or a JSON object. */
export function printRow(context: Context, json: boolean, row: Row): void {
  const shown = readable(row)
  if (json) {
    context.print(`${JSON.stringify(shown, null, 2)}\n`)
    return
  }
  const width = Math.max(...Object.keys(shown).map((name) => heading(name).length))
  for (const [name, value] of Object.entries(shown)) {
    context.print(`${heading(name).padEnd(width)}  ${cell(value)}\n`)
  }
}

function readable(row: Row): Row {
  return Object.fromEntries(
    Object.entries(row)
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => [
        name,
        moment.test(name) && typeof value === 'number' ? new Date(value).toISOString() : value,
      ]),
  )
}

/** `notAfter` as `NOT AFTER`. */
function heading(name: string): string {
  return name.replace(/([a-z])([A-Z])/g, '$1 $2').toUpperCase()
}

/** Names in certificates are a stranger's words: nothing in them may move the cursor or hide what follows. */
function cell(value: Cell): string {
  if (value === undefined || value === '') return '-'
  return printable(Array.isArray(value) ? value.join(' ') : String(value))
}
