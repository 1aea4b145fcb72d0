import { type RecordItem, recordItemTypes } from '../../direct/clinical.js'
import { el } from './html.js'
import { itemsTable, subjectWords, typeTitles } from './items.js'
import { contents, facts, type Part, page, part } from './page.js'
import { openSheet, type ViewLimits, viewLimits } from './sheet.js'

/**
 * A selection of a record as a printable page, one table for each kind of item, in the order that they are given in.
 * `at` is when it was made, Unix milliseconds. What is denied or only planned says so before its words.
 */
export function summaryPage(
  items: readonly RecordItem[],
  { title = 'Health summary', at }: { readonly title?: string; readonly at: number },
  sizes: ViewLimits = viewLimits,
): string {
  const sheet = openSheet(undefined, sizes)
  const people = items.filter(({ content }) => content.type === 'demographics')
  const [patient] = people.map(subjectWords)
  const parts: Part[] = recordItemTypes
    .filter((type) => type !== 'demographics')
    .flatMap((type) => {
      const own = items.filter(({ content }) => content.type === type)
      if (own.length === 0) return []
      return [{ id: `s-${type}`, title: typeTitles[type], depth: 0, body: itemsTable(own, sheet) }]
    })
  const born = people.flatMap(({ content }) => (content.type === 'demographics' ? (content.birthDate?.text ?? []) : []))
  return page(
    {
      title,
      ...(patient && { patient }),
      head: facts(
        ['Patient', [patient && el('strong', {}, patient)]],
        ['Born', born.slice(0, 1)],
        ['Made', [`${new Date(at).toISOString().slice(0, 16).replace('T', ' ')} UTC`]],
      ),
      contents: contents(parts, sheet),
      body: parts.length > 0 ? parts.map(part) : el('p', { class: 'about' }, 'Nothing is selected.'),
    },
    sheet,
  )
}
