import type { RecordItem } from '../../direct/clinical.js'
import type { Agent, PartialDate } from '../../direct/datatypes.js'
import { writeXdm } from '../xdm/write.js'
import { uuidOf } from './ccd/datatypes.js'
import { writeCcd } from './ccd/document.js'
import { writeCcr } from './ccr/document.js'
import type { Written } from './room.js'
import type { Selected } from './selection.js'

export type ExportFormat = 'ccd' | 'ccr' | 'xdm'

/** What is to be written. Plain values alone, so that it can be handed to another thread. */
export interface WriteRequest {
  readonly format: ExportFormat
  readonly selected: Selected
  /** The patient's own item, for the header. */
  readonly patient?: RecordItem
  /** Of the document, a UUID. */
  readonly id: string
  readonly title: string
  /** Unix milliseconds. */
  readonly at: number
  /** The organization that keeps what is written. */
  readonly custodian: Agent
  readonly mostBytes: number
}

/** Writes a CCD, a CCR, or the CCD in an XDM package; `too-large` as soon as it outgrows `mostBytes`. */
export function writeDocument(request: WriteRequest): Written {
  const { format, selected, patient, id, title, at, custodian, mostBytes } = request
  const head = { id, title, custodian, at: momentOf(at) }
  if (format === 'ccr') return writeCcr(selected, head, patient, mostBytes)
  const written = writeCcd(selected, head, patient, mostBytes)
  if (format === 'ccd' || written.kind === 'too-large') return written
  const packed = writeXdm({
    documents: [{ bytes: written.bytes, mediaType: 'text/xml' }],
    submission: { at, sourceId: sourceIdOf(custodian), title, author: { agent: custodian } },
    level: 'limited',
  })
  if (packed.kind !== 'package' || packed.bytes.length > mostBytes) return { kind: 'too-large' }
  return { ...written, bytes: packed.bytes }
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
