import { uuidOf } from '../clinical/write/ccd/datatypes.js'
import { writeCcd } from '../clinical/write/ccd/document.js'
import { writeCcr } from '../clinical/write/ccr/document.js'
import { type WriteLimits, writeLimits } from '../clinical/write/limits.js'
import { type Candidate, type Selection, select } from '../clinical/write/selection.js'
import { writeXdm } from '../clinical/xdm/write.js'
import type { Agent, PartialDate } from '../direct/datatypes.js'
import type { Clock } from '../ports/world.js'
import type { PatientRecord } from '../record/record.js'

export type ExportFormat = 'ccd' | 'ccr' | 'xdm'

export interface ExportPorts {
  readonly record: Pick<PatientRecord, 'current'>
  readonly clock: Clock
  /** The organization that operates the gateway: custodian of what it writes. */
  readonly custodian: Agent
  readonly limits?: WriteLimits
}

export interface ExportRequest extends Selection {
  readonly format: ExportFormat
}

export type ExportOutcome =
  | {
      readonly kind: 'document'
      readonly bytes: Uint8Array
      readonly name: string
      readonly mediaType: string
      /** Entries that are in it. */
      readonly items: number
      /** Ids of items that it has in words alone, and of those that it has no place for. */
      readonly inWords: readonly string[]
      readonly notWritten: readonly string[]
    }
  /** The record shows nothing, or nothing under the ids that were picked. */
  | { readonly kind: 'nothing' }
  | { readonly kind: 'too-many'; readonly most: number }
  | { readonly kind: 'too-large'; readonly mostBytes: number }

/** Makes documents of what a record shows, as the patient chose. */
export interface Exports {
  export(recordId: string, request: ExportRequest): Promise<ExportOutcome>
}

/** Opens the making of documents over a record. Holds no state. */
export function openExport(ports: ExportPorts): Exports {
  return { export: (recordId, request) => exportRecord(ports, recordId, request) }
}

/**
 * Reads what the record shows today and writes the chosen part of it. What is withheld leaves only when picked by its id.
 * Answers `too-many` and `too-large` beyond the limits, rather than a document that lacks something in silence.
 */
async function exportRecord(
  { record, clock, custodian, limits = writeLimits }: ExportPorts,
  recordId: string,
  { format, ...selection }: ExportRequest,
): Promise<ExportOutcome> {
  const candidates: Candidate[] = []
  const picked = new Set(selection.ids)
  const statements: string[] = []
  for await (const { id, item, withheld } of record.current(recordId)) {
    candidates.push({ item, withheld })
    // A person picks an entry of the record; the document has the statement that the entry shows.
    if (picked.has(id) || picked.has(item.id)) statements.push(item.id)
    if (candidates.length > limits.items * 2) return { kind: 'too-many', most: limits.items }
  }
  const chosen = selection.ids === undefined ? selection : { ...selection, ids: statements }
  const selected = select(candidates, chosen)
  const items = selected.items.filter(({ content }) => content.type !== 'document').length
  if (items === 0) return { kind: 'nothing' }
  if (items > limits.items) return { kind: 'too-many', most: limits.items }

  const patient = candidates.find(({ item }) => item.content.type === 'demographics')?.item
  const at = momentOf(clock.now())
  const id = uuidOf(`export ${recordId} ${at.source} ${JSON.stringify([format, chosen])}`)
  const title = 'Summary of health information – patient’s selection'
  const written =
    format === 'ccr'
      ? writeCcr(selected, { id, at, title, custodian }, patient)
      : writeCcd(selected, { id, at, title, custodian }, patient)
  const { inWords, notWritten } = written
  const bytes = format === 'xdm' ? packed(written.bytes, title, custodian, clock.now()) : written.bytes
  if (bytes === undefined || bytes.length > limits.bytes) return { kind: 'too-large', mostBytes: limits.bytes }
  const day = at.text.slice(0, 10)
  const name = format === 'xdm' ? `health-summary-${day}.zip` : `health-summary-${day}-${format}.xml`
  const mediaType = format === 'xdm' ? 'application/zip' : 'application/xml'
  return { kind: 'document', bytes, name, mediaType, items, inWords, notWritten }
}

/** The document in an XDM package; undefined where it does not fit into one. */
function packed(bytes: Uint8Array, title: string, custodian: Agent, at: number): Uint8Array | undefined {
  const outcome = writeXdm({
    documents: [{ bytes, mediaType: 'text/xml' }],
    submission: { at, sourceId: sourceIdOf(custodian), title, author: { agent: custodian } },
    level: 'limited',
  })
  return outcome.kind === 'package' ? outcome.bytes : undefined
}

/** An OID of the organization's own, else one made of its name (ITU-T X.667: 2.25 and a UUID as a number). */
function sourceIdOf({ identifiers, text }: Agent): string {
  const own = identifiers.find(({ root }) => root !== undefined && /^[0-2](\.(0|[1-9]\d*))+$/.test(root))?.root
  return own ?? `2.25.${BigInt(`0x${uuidOf(`organization ${text}`).replaceAll('-', '')}`)}`
}

/** A moment in UTC, to the second. */
function momentOf(at: number): PartialDate {
  const text = new Date(at).toISOString().slice(0, 19)
  return { text, precision: 'second', offsetMinutes: 0, source: `${text.replace(/[-T:]/g, '')}+0000` }
}
