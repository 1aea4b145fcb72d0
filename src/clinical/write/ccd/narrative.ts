import type { RecordItemType } from '../../../direct/clinical.js'
import { columnsOf } from '../columns.js'
import { type Content, element, type Markup } from '../markup.js'
import { hasEntry } from './sections.js'
import type { Entry } from './statement.js'

/** Types whose entries refer to single cells and never to the row, or say all of it themselves. */
const byCell: ReadonlySet<RecordItemType> = new Set<RecordItemType>([
  'family-history',
  'care-team',
  'note',
  'plan',
  'insurance',
])

/** Tables of a section, one for each type of item in it; columns that nothing stands in are left out. */
export function tables(entries: readonly Entry[]): Content {
  const byType = new Map<RecordItemType, Entry[]>()
  for (const entry of entries) {
    const { type } = entry.item.content
    const same = byType.get(type)
    if (same === undefined) byType.set(type, [entry])
    else same.push(entry)
  }
  return [...byType].map(([type, same]) => table(type, same))
}

function table(type: RecordItemType, entries: readonly Entry[]): Markup {
  const columns = columnsOf[type]
  const rows = entries.map((entry) => columns.map((column) => column.cell(entry.item)))
  const shown = columns.map(({ always }, at) => at === 0 || always === true || rows.some((cells) => cells[at] !== ''))
  return element(
    'table',
    { border: '1', width: '100%' },
    element(
      'thead',
      {},
      element(
        'tr',
        {},
        columns.map((column, at) => (shown[at] ? element('th', {}, column.head) : undefined)),
      ),
    ),
    element(
      'tbody',
      {},
      entries.map((entry, row) =>
        element(
          'tr',
          // What has no entry keeps its ID: a reader finds that nothing refers to it, and keeps the words.
          byCell.has(type) && hasEntry(entry.item) ? {} : { ID: entry.ref },
          columns.map((column, at) => (shown[at] ? cell(rows[row]?.[at] ?? '', column.part, entry) : undefined)),
        ),
      ),
    ),
  )
}

function cell(words: string, part: string | undefined, { ref }: Entry): Markup {
  if (words === '') return element('td', {})
  const lines = words.split(/\r\n|\r|\n/)
  if (lines.length > 1) {
    const id = part === undefined ? {} : { ID: `${ref}-${part}` }
    return element(
      'td',
      id,
      lines.map((line) => (line.trim() === '' ? undefined : element('paragraph', {}, line))),
    )
  }
  return element('td', {}, part === undefined ? words : element('content', { ID: `${ref}-${part}` }, words))
}
