import type { AccessRule, Actor, Permission, Reading, RecordAccess } from '../direct/access.js'
import { permits } from '../direct/access.js'
import type { RecordItem, RecordItemType } from '../direct/clinical.js'
import { shapesOf } from '../direct/smart-scopes.js'
import type { RecordEntry, Whose } from './item.js'
import type { EntryState, Reconciled } from './reconcile/reconcile.js'

/** What of an entry decides who may see it. */
export interface Look {
  readonly state: EntryState
  readonly type: RecordItemType
  /** Position in lists: day and minute. */
  readonly day: string
  readonly personal?: true
}

/** The record that is meant, and the access through which it is looked at; a room of this house has none and sees all. */
export function recordOf(whose: Whose): { readonly record: string; readonly access?: RecordAccess } {
  return typeof whose === 'string' ? { record: whose } : { record: whose.record, access: whose }
}

export function lookOf({ state, type, shown, members }: Reconciled): Look {
  const written = members.flatMap(({ fact }) => (fact.written ? [fact] : []))
  const last = written.reduce<Reconciled['shown'] | undefined>(
    (best, fact) => (best && best.seq > fact.seq ? best : fact),
    undefined,
  )
  const personal = shown.written?.personal === true || last?.written?.personal === true
  return { state, type, day: shown.day, ...(personal && { personal }) }
}

/**
 * Whether an entry is there at all for whoever looks, as far as its ledger tells. Custodians see every state; others what is
 * current and the documents that stand, never what is personal or deleted. What rules say of FHIR resources and categories
 * is left open: see `opensTo`.
 */
export function mayBeSeen(look: Look, access: RecordAccess | undefined, permission: Permission = 'read'): boolean {
  if (!access) return true
  const { custodian, rules } = access
  if (!custodian) {
    if (look.personal) return false
    if (look.state !== 'current' && !(look.type === 'document' && look.state === 'proposed')) return false
  }
  return permits(wide(rules), permission, look.type, clinicalDay(look.day))
}

/** Whether the item that an entry shows passes the rules to their last word. */
export function opensTo(
  item: RecordItem,
  day: string,
  access: RecordAccess | undefined,
  reading: Reading,
  permission: Permission = 'read',
): boolean {
  if (!access) return true
  if (!needsShape(access)) return permits(access.rules, permission, item.content.type, clinicalDay(day))
  return permits(access.rules, permission, item.content.type, clinicalDay(day), { shapes: shapesOf(item), reading })
}

/** Whether the words of an item decide, not its type and day alone. */
export function needsShape(access: RecordAccess | undefined): boolean {
  return access !== undefined && access.rules !== 'all' && access.rules.some(({ within }) => within !== undefined)
}

/** The rules as if they named no resources: what they refuse is refused whatever the item says. */
function wide(rules: readonly AccessRule[] | 'all'): readonly AccessRule[] | 'all' {
  return rules === 'all' ? rules : rules.map(({ within: _, ...rule }) => rule)
}

/** A position in lists as the date that is known of it: `2015-06` where the day is not; undefined where nothing is. */
export function clinicalDay(day: string): string | undefined {
  return day.startsWith('0000') ? undefined : day.slice(0, 10).replace(/(-00)+$/, '')
}

/**
 * An entry as whoever looks is told of it: the record under the id that they know; and for those who are no custodians
 * nothing of decisions, of other documents, of mail, nor of what other applications call it.
 */
export function toldTo(access: RecordAccess | undefined, entry: RecordEntry): RecordEntry {
  if (!access) return entry
  const told = { ...entry, recordId: access.told }
  if (access.custodian) return told
  const { source: _, clientId, appearances, ...rest } = told
  const author = entry.created.actor
  const own = clientId !== undefined && author !== undefined && authorOf(author) === authorOf(access.actor)
  return {
    ...rest,
    ...(own && { clientId }),
    appearances: appearances
      .filter(({ standing }) => standing === 'shown')
      .map(({ source: __, ...appearance }) => appearance),
    conflicts: [],
    review: [],
    created: withoutNames(rest.created, access),
    updated: withoutNames(rest.updated, access),
  }
}

/** Whose ids `clientId` is unique among: the application's, else the person's. */
export function authorOf({ app, person, by }: Actor): string {
  return app ?? person ?? by
}

/**
 * Applications know others by nothing but that it was not they: ids of people and applications stay inside, that of the
 * person whom they came with too.
 */
function withoutNames({ at, actor }: RecordEntry['created'], { actor: self }: RecordAccess): RecordEntry['created'] {
  if (!actor) return { at }
  if (authorOf(actor) !== authorOf(self)) return { at, actor: { by: 'another', avenue: actor.avenue } }
  const { person, ...named } = actor
  return { at, actor: self.app === undefined && person !== undefined ? actor : named }
}
