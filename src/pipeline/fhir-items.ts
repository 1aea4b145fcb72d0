import type { Context, Sourced } from '../clinical/fhir/make.js'
import { contextOf, type Draft, draft, patientDraft } from '../clinical/fhir/map.js'
import type { Reading, RecordAccess } from '../direct/access.js'
import { type RecordItemType, recordItemTypes } from '../direct/clinical.js'
import type { RecordEntry, StoredDocument } from '../record/item.js'
import type { PatientRecord } from '../record/record.js'
import { dayOf } from '../record/rows.js'
import { mayRead, maySee } from './fhir-access.js'

/** What must be known of a document to hand it out. */
export type FhirDocument = Pick<StoredDocument, 'sha256' | 'mediaType' | 'name' | 'sizeBytes'>

export interface FhirPorts {
  readonly record: Pick<PatientRecord, 'current' | 'list' | 'documentBytes' | 'get'> & {
    document(recordId: string, sha256: string): Promise<FhirDocument | undefined>
  }
  /** Codes of security labels whose items are withheld; where there are none, no document is searched for such items. */
  readonly withheldLabels?: readonly string[]
  /** Lets everybody else have the loop; without it long work never pauses, as in tests. */
  readonly pause?: () => Promise<void>
}

/** Whose resources, as far as the caller may see them, and where the server stands as its clients see it, without a final slash. */
export interface FhirPlace {
  readonly access: RecordAccess
  readonly base: string
}

/** What is gathered: as what type of resource, or any that its items become, and how they are read. */
export interface Wanted {
  readonly resource?: string
  readonly reading: Reading
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

  async function shown(access: RecordAccess, entry: RecordEntry, wanted: Wanted): Promise<Sourced | undefined> {
    const { id, item, addedAt, updated, version, flags, source, appearances } = entry
    if (entry.withheld || (flags?.personal === true && !access.custodian)) return undefined
    if (!maySee(access, item, wanted)) return undefined
    if (item.content.type === 'document' && (await givesAway(access.record, item.content.sha256))) return undefined
    const told = { item: { ...item, id }, addedAt, updatedAt: updated.at, version }
    // Who sent what to a patient is the patient's to know.
    return access.custodian ? { ...told, ...(source && { source }), appearances } : told
  }

  async function gather(access: RecordAccess, types: readonly RecordItemType[], wanted: Wanted): Promise<Gathered> {
    const items: Sourced[] = []
    const pause = openPauses(ports)
    let read = 0
    for await (const entry of record.current(access.record, { types })) {
      if (++read > most) return { items, cut: true }
      await pause()
      const item = await shown(access, entry, wanted)
      if (item) items.push(item)
    }
    return { items, cut: false }
  }

  /** What resources share; documents that are not shown are not referred to. */
  async function contextAt({ access, base }: FhirPlace): Promise<Context> {
    const { items } = await gather(access, ['document'], { reading: 'by-search' })
    return contextOf(items, { record: access.told, base })
  }

  /** Everything of a section in its order, from a place on; no more of the record is read than is asked for, as far as items stand alone. */
  async function* section(
    { access }: FhirPlace,
    context: Context,
    type: RecordItemType,
    from: string | undefined,
    onCut: (type: RecordItemType) => void,
  ): AsyncGenerator<Placed> {
    if (type === 'demographics') {
      if (!mayRead(access.rules, 'Patient', 'by-search')) return
      const { items } = await gather(access, ['demographics', 'social-history'], patientAsked)
      yield { section: type, place: '', draft: patientDraft(items, context) }
    } else if (together.includes(type)) {
      const { items, cut } = await gather(access, [type], { reading: 'by-search' })
      if (cut) onCut(type)
      const placed = draft(items, context).drafts.map((one) => ({ section: type, place: placeOf(one), draft: one }))
      yield* placed
        .filter(({ place }) => from === undefined || place <= from)
        .sort((a, b) => (a.place < b.place ? 1 : -1))
    } else {
      const day = from?.slice(0, from.startsWith('0000') ? 4 : 10)
      for await (const entry of record.current(access.record, {
        types: [type],
        ...(day !== undefined && { to: day }),
      })) {
        const item = await shown(access, entry, { reading: 'by-search' })
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

const patientAsked: Wanted = { resource: 'Patient', reading: 'by-search' }

/** Where a draft stands among those of its type: its day as the record counts it, then its id. */
function placeOf({ of: [first], ids: [id = ''] }: Draft): string {
  return first ? `${dayOf(first.item)}/${id}` : `0000/${id}`
}
