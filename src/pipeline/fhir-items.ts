import type { Context, Sourced } from '../clinical/fhir/make.js'
import { contextOf, type Draft, draft, patientDraft } from '../clinical/fhir/map.js'
import { type RecordItemType, recordItemTypes } from '../direct/clinical.js'
import type { RecordEntry, StoredDocument } from '../record/item.js'
import type { PatientRecord } from '../record/record.js'
import { dayOf } from '../record/rows.js'

/** What must be known of a document to hand it out. */
export type FhirDocument = Pick<StoredDocument, 'sha256' | 'mediaType' | 'name' | 'sizeBytes'>

export interface FhirPorts {
  readonly record: Pick<PatientRecord, 'current' | 'list' | 'documentBytes'> & {
    document(recordId: string, sha256: string): Promise<FhirDocument | undefined>
  }
  /** Codes of security labels whose items are withheld; where there are none, no document is searched for such items. */
  readonly withheldLabels?: readonly string[]
  /** Lets everybody else have the loop; without it long work never pauses, as in tests. */
  readonly pause?: () => Promise<void>
}

/** Whose resources, and where the server stands as its clients see it, without a final slash. */
export interface FhirPlace {
  readonly record: string
  readonly base: string
}

/** Items of a record; `cut` where there are more than are read at once, and these are the newest. */
export interface Gathered {
  readonly items: readonly Sourced[]
  readonly cut: boolean
}

/** A draft and its place among all of the record: `section` is a type of item; later ones have lower places. */
export interface Placed {
  readonly section: RecordItemType
  readonly place: string
  readonly draft: Draft
}

/** Entries and resources worked on between two pauses: some 5 ms of work. */
const atOnce = 50

/** Lets everybody else have the loop, each `atOnce` calls. */
export function openPauses({ pause }: Pick<FhirPorts, 'pause'>): () => Promise<void> | undefined {
  let left = atOnce
  return () => {
    if (--left > 0) return undefined
    left = atOnce
    return pause?.()
  }
}

/** Types of which several items make one resource. */
const together: readonly RecordItemType[] = ['result', 'vital-sign', 'social-history', 'functional-status']

/** The Patient first, the documents that others refer to, then the rest. Social history tells of the Patient too. */
const sections: readonly RecordItemType[] = ['demographics', ...recordItemTypes.filter((one) => one !== 'demographics')]

/** Reads what FHIR shows of a record: what is current and not withheld. Newest first, a bounded number, never all of the loop. */
export function openItems(ports: FhirPorts, { entries: most }: { readonly entries: number }) {
  const { record, withheldLabels } = ports
  /** Whether a document holds something that is withheld: handing it out would give that away. */
  async function givesAway(recordId: string, sha256: string): Promise<boolean> {
    if (withheldLabels?.length === 0) return false
    let cursor: string | undefined
    do {
      const page = await record.list(recordId, {
        document: sha256,
        limit: 200,
        ...(cursor !== undefined && { cursor }),
      })
      // What cannot be read may be withheld.
      if (page.kind !== 'page' || page.unreadable.length > 0) return true
      if (page.items.some((entry) => entry.withheld)) return true
      cursor = page.next
    } while (cursor !== undefined)
    return false
  }

  async function shown(recordId: string, entry: RecordEntry): Promise<Sourced | undefined> {
    const { content } = entry.item
    if (entry.withheld || (content.type === 'document' && (await givesAway(recordId, content.sha256)))) return undefined
    return { ...entry, item: { ...entry.item, id: entry.id } }
  }

  async function gather(recordId: string, types: readonly RecordItemType[]): Promise<Gathered> {
    const items: Sourced[] = []
    const pause = openPauses(ports)
    let read = 0
    for await (const entry of record.current(recordId, { types })) {
      if (++read > most) return { items, cut: true }
      await pause()
      const item = await shown(recordId, entry)
      if (item) items.push(item)
    }
    return { items, cut: false }
  }

  /** What resources share; documents that are not shown are not referred to. */
  async function contextAt({ record: recordId, base }: FhirPlace): Promise<Context> {
    const { items } = await gather(recordId, ['document'])
    return contextOf(items, { record: recordId, base })
  }

  /** Everything of a section in its order, from a place on; no more of the record is read than is asked for, as far as items stand alone. */
  async function* section(
    { record: recordId }: FhirPlace,
    context: Context,
    type: RecordItemType,
    from: string | undefined,
    onCut: (type: RecordItemType) => void,
  ): AsyncGenerator<Placed> {
    if (type === 'demographics') {
      const { items } = await gather(recordId, ['demographics', 'social-history'])
      yield { section: type, place: '', draft: patientDraft(items, context) }
    } else if (together.includes(type)) {
      const { items, cut } = await gather(recordId, [type])
      if (cut) onCut(type)
      const placed = draft(items, context).drafts.map((one) => ({ section: type, place: placeOf(one), draft: one }))
      yield* placed
        .filter(({ place }) => from === undefined || place <= from)
        .sort((a, b) => (a.place < b.place ? 1 : -1))
    } else {
      const day = from?.slice(0, from.startsWith('0000') ? 4 : 10)
      for await (const entry of record.current(recordId, { types: [type], ...(day !== undefined && { to: day }) })) {
        const item = await shown(recordId, entry)
        for (const one of item ? draft([item], context).drafts : []) {
          const place = placeOf(one)
          if (from === undefined || place <= from) yield { section: type, place, draft: one }
        }
      }
    }
  }

  /** All of a record, from a place on. */
  async function* everything(
    place: FhirPlace,
    context: Context,
    from: { readonly section: RecordItemType; readonly place: string } | undefined,
    onCut: (type: RecordItemType) => void,
  ): AsyncGenerator<Placed> {
    const begin = from === undefined ? 0 : sections.indexOf(from.section)
    for (const [at, type] of sections.slice(begin).entries()) {
      yield* section(place, context, type, at === 0 ? from?.place : undefined, onCut)
    }
  }

  return { gather, contextAt, everything, givesAway }
}

/** Where a draft stands among those of its type: its day as the record counts it, then its id. */
function placeOf({ of: [first], ids: [id = ''] }: Draft): string {
  return first ? `${dayOf(first.item)}/${id}` : `0000/${id}`
}
