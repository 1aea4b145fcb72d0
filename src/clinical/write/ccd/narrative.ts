import type { RecordItemType } from '../../../direct/clinical.js'
import { type Content, element, type Markup } from '../../../xml/write.js'
import { columnsOf } from '../columns.js'
import { type Room, within } from '../room.js'
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
export function tables(entries: readonly Entry[], room: Room): Content {
  const byType = new Map<RecordItemType, Entry[]>()
  for (const entry of entries) {
    const { type } = entry.item.content
    const same = byType.get(type)
    if (same === undefined) byType.set(type, [entry])
    else same.push(entry)
  }
  return [...byType].map(([type, same]) => table(type, same, room))
}

function table(type: RecordItemType, entries: readonly Entry[], room: Room): Markup {
  const columns = columnsOf[type]
  const shown = columns.map(
    ({ always, cell: wordsIn }, at) => at === 0 || always === true || entries.some(({ item }) => wordsIn(item) !== ''),
  )
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
      within(room, entries, (entry) =>
        element(
          'tr',
          // What has no entry keeps its ID: a reader finds that nothing refers to it, and keeps the words.
          byCell.has(type) && hasEntry(entry.item) ? {} : { ID: entry.ref },
          columns.map((column, at) => (shown[at] ? cell(column.cell(entry.item), column.part, entry) : undefined)),
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
