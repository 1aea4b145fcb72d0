import { uuidOf } from '../clinical/write/ccd/datatypes.js'
import { type ExportFormat, type WriteRequest, writeDocument } from '../clinical/write/document.js'
import { type WriteLimits, writeLimits } from '../clinical/write/limits.js'
import type { Written } from '../clinical/write/room.js'
import { type Selection, selecting } from '../clinical/write/selection.js'
import type { RecordItem } from '../direct/clinical.js'
import type { Agent } from '../direct/datatypes.js'
import type { Clock } from '../ports/world.js'
import type { PatientRecord } from '../record/record.js'
import { StepFailed, StepNotBegun } from './steps.js'

/** Makes a document of items; thousands of them take long, so a worker thread does it. */
export interface Writer {
  write(request: WriteRequest): Promise<Written>
}

export interface ExportPorts {
  readonly record: Pick<PatientRecord, 'current'>
  readonly clock: Clock
  /** The organization that operates the gateway: custodian of what it writes. */
  readonly custodian: Agent
  /** Worker threads; without them it is written in this one, as tests do. */
  readonly writer?: Writer
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
  /** Too many documents are asked for at once. */
  | { readonly kind: 'busy' }
  /** Writing it ended a thread, or took too long. */
  | { readonly kind: 'failed' }

/** Makes documents of what a record shows, as the patient chose. */
export interface Exports {
  export(recordId: string, request: ExportRequest): Promise<ExportOutcome>
}

/** Opens the making of documents over a record. Holds no state. */
export function openExport(ports: ExportPorts): Exports {
  return { export: (recordId, request) => exportRecord(ports, recordId, request) }
}

const inThisThread: Writer = { write: async (request) => writeDocument(request) }

const title = 'Summary of health information – patient’s selection'

/**
 * Reads what the record shows today and writes the chosen part of it. What is withheld leaves only when picked by its id.
 * Answers `too-many` and `too-large` beyond the limits, rather than a document that lacks something in silence.
 */
async function exportRecord(
  { record, clock, custodian, writer = inThisThread, limits = writeLimits }: ExportPorts,
  recordId: string,
  { format, ...selection }: ExportRequest,
): Promise<ExportOutcome> {
  const choice = selecting(selection)
  let patient: RecordItem | undefined
  // A person picks an entry of the record; the document has the statement that the entry shows.
  for await (const { id, item, withheld } of record.current(recordId)) {
    if (item.content.type === 'demographics') patient ??= item
    // The patient and the documents are taken beside the items that count.
    if (choice.offer({ item, id, withheld }) > limits.items * 2) return { kind: 'too-many', most: limits.items }
  }
  const selected = choice.selected()
  const items = selected.items.filter(({ content }) => content.type !== 'document').length
  if (items === 0) return { kind: 'nothing' }
  if (items > limits.items) return { kind: 'too-many', most: limits.items }

  const at = clock.now()
  const day = new Date(at).toISOString()
  const id = uuidOf(`export ${recordId} ${day} ${JSON.stringify([format, selection])}`)
  const request = { format, selected, id, title, at, custodian, mostBytes: limits.bytes, ...(patient && { patient }) }
  let written: Written
  try {
    written = await writer.write(request)
  } catch (error) {
    if (error instanceof StepNotBegun) return { kind: 'busy' }
    if (error instanceof StepFailed) return { kind: 'failed' }
    throw error
  }
  if (written.kind === 'too-large') return { kind: 'too-large', mostBytes: limits.bytes }
  const { bytes, inWords, notWritten } = written
  const file = `health-summary-${day.slice(0, 10)}`
  return {
    kind: 'document',
    bytes,
    name: format === 'xdm' ? `${file}.zip` : `${file}-${format}.xml`,
    mediaType: format === 'xdm' ? 'application/zip' : 'application/xml',
    items,
    inWords,
    notWritten,
  }
}
