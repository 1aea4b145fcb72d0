import { type RecordItem, type RecordItemType, recordItemTypes } from '../../direct/clinical.js'
import type { PartialDate } from '../../direct/datatypes.js'

/** What of a record leaves. Without types, dates and ids: everything that is not withheld. */
export interface Selection {
  readonly types?: readonly RecordItemType[]
  /** ISO 8601 at any precision; an item fits when any part of its time lies in the range, both ends within. */
  readonly from?: string
  readonly to?: string
  /** Picked one by one, whatever the rest says; alone, nothing else leaves. */
  readonly ids?: readonly string[]
}

/** An item of the record, and whether its labels keep it back unless it is picked by its id. */
export interface Candidate {
  readonly item: RecordItem
  /** What the record calls the entry that shows the item, where that is not the item's own id. */
  readonly id?: string
  readonly withheld?: boolean
}

/** The items that leave, and what the document must say about those that do not. */
export interface Selected {
  readonly items: readonly RecordItem[]
  /** Nothing was chosen and nothing held back: what the document lacks, the record lacks. */
  readonly whole: boolean
  /** Types that were asked for as a whole, so that their absence means that the record has none. */
  readonly asked: ReadonlySet<RecordItemType>
  /** Types of which the record has items that stay behind. */
  readonly partly: ReadonlySet<RecordItemType>
}

/** A choice under way: what is offered is taken or stays behind. */
export interface Selecting {
  /** Answers how many items are taken so far. */
  offer(candidate: Candidate): number
  selected(): Selected
}

/**
 * Chooses what leaves, one by one, so that what stays behind is not held. An item leaves when it is picked by its id, or
 * when it is not withheld and fits the types and the dates; items without a date fit any. The patient's own item is always
 * chosen where the type is.
 */
export function selecting(selection: Selection = {}): Selecting {
  const { types, from, to } = selection
  const ids = new Set(selection.ids)
  const ranged = types !== undefined || from !== undefined || to !== undefined
  const onlyIds = selection.ids !== undefined && !ranged
  const asked = new Set(onlyIds ? [] : (types ?? recordItemTypes))
  const items: RecordItem[] = []
  const partly = new Set<RecordItemType>()
  return {
    offer({ item, id, withheld }) {
      const { type } = item.content
      const fits = asked.has(type) && withheld !== true && isWithin(item, from, to)
      if (fits || ids.has(item.id) || (id !== undefined && ids.has(id))) items.push(item)
      else partly.add(type)
      return items.length
    },
    selected: () => ({ items, whole: !ranged && !onlyIds && partly.size === 0, asked, partly }),
  }
}

/** Chooses among all candidates at once. */
export function select(candidates: readonly Candidate[], selection: Selection = {}): Selected {
  const choice = selecting(selection)
  for (const candidate of candidates) choice.offer(candidate)
  return choice.selected()
}

function isWithin({ when, recordedAt }: RecordItem, from: string | undefined, to: string | undefined): boolean {
  const start = when?.value ?? when?.low ?? when?.high ?? recordedAt
  if (start === undefined) return true
  // Without a known end it may have lasted until today.
  const end = when?.value ?? when?.high ?? (when?.low === undefined ? start : undefined)
  if (from !== undefined && end !== undefined && ends(end) < from) return false
  return to === undefined || start.text.slice(0, to.length) <= to.slice(0, start.text.length)
}

/** The text that sorts after everything within the date: 2015 lasts until its end. */
function ends({ text }: PartialDate): string {
  return `${text}~`
}
