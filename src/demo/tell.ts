import { refusals } from '../direct/refusal.js'
import type { Check, ListedItem, Seen } from './look.js'
import { patient } from './story.js'
import { table } from './table.js'

/** What was seen, in the words of the demo: lines to print. */
export function tellSeen({ sent, messages, items, notices, refusals: found }: Seen): string[] {
  const titleOf = new Map(sent.map(({ scene }) => [scene.messageId, scene.title]))
  return [
    '',
    `Delivered to ${patient}:`,
    ...indented(
      table(
        ['subject', 'attachment'],
        messages.map(({ subject, attachments }) => [
          subject,
          attachments.map(({ mediaType, sizeBytes }) => `${mediaType}, ${sizeBytes} bytes`).join('; ') || 'none',
        ]),
      ),
    ),
    '',
    'Read from the three documents, and proposed for the record until the patient takes it in:',
    ...indented(table(['type', 'what', 'when', 'found in'], itemRows(items))),
    '',
    'Notices the sender got back, opened and verified by openssl:',
    ...indented(
      table(
        ['about', 'says'],
        notices.map(({ about, disposition }) => [titleOf.get(about) ?? about, disposition]),
        80,
      ),
    ),
    '',
    'Refused. The sender hears nothing; the operator learns why (`direct-gateway trace`):',
    ...sent.flatMap(({ scene, id }) => {
      const refusal = found.get(id)
      return refusal ? [`  ${scene.title}: ${refusal.reason}`, `    ${refusals[refusal.reason].help}`] : []
    }),
  ]
}

/** The verdict, and what was not so. */
export function tellChecks(checks: readonly Check[]): string[] {
  const good = checks.every(({ ok }) => ok)
  return [
    '',
    'Checked:',
    ...checks.map(({ what, ok, detail }) => `  ${ok ? 'yes' : 'NO '}  ${what}${detail && ` (${detail})`}`),
    good ? 'All is as it must be.' : 'Not all is as it must be.',
  ]
}

const indented = (lines: readonly string[]) => lines.map((line) => `  ${line}`)

/** One row for each fact; the same fact from several documents is one row here. In the record they are several items. */
function itemRows(items: readonly ListedItem[]): string[][] {
  const counts = new Map<string, number>()
  for (const { content, when, negated } of items) {
    const row = JSON.stringify([content.type, `${negated ? 'not given: ' : ''}${nameOf(content)}`, whenOf(when)])
    counts.set(row, (counts.get(row) ?? 0) + 1)
  }
  return [...counts]
    .map(([row, count]) => [...(JSON.parse(row) as string[]), count === 1 ? '1 document' : `${count} documents`])
    .sort((one, other) => (one.join() < other.join() ? -1 : 1))
}

function nameOf(content: Readonly<Record<string, unknown>>): string {
  for (const field of ['substance', 'problem', 'product', 'vaccine', 'test', 'procedure', 'encounter']) {
    const concept = content[field] as { text?: string; codings?: { display?: string; code: string }[] } | undefined
    if (concept) return concept.text ?? concept.codings?.[0]?.display ?? concept.codings?.[0]?.code ?? ''
  }
  const [name] = (content['names'] ?? []) as { text?: string; given?: string[]; family?: string }[]
  if (name) return name.text ?? [...(name.given ?? []), name.family].filter(Boolean).join(' ')
  return String(content['title'] ?? content['format'] ?? '')
}

function whenOf(when: unknown): string {
  const { value, low, high } = (when ?? {}) as Record<'value' | 'low' | 'high', { text: string } | undefined>
  return value?.text ?? [low?.text, high?.text].filter(Boolean).join(' to ')
}
