import type { RecordItemType } from './clinical.js'

/** What may be done to record items (HealthVault's four permissions). */
export const permissions = ['create', 'read', 'update', 'delete'] as const
export type Permission = (typeof permissions)[number]

/** One thing that an application asks for, or was granted: what, to which items, and why. */
export interface AccessRule {
  /** Unique among the rules of one set, 1 to 16 characters. */
  readonly name: string
  /** Why, for the person who decides, by language (BCP 47); `en` is always there. At most 1,024 characters each. */
  readonly reason: Readonly<Record<string, string>>
  readonly permissions: readonly Permission[]
  /** Kinds of item; every kind where absent. */
  readonly types?: readonly RecordItemType[]
  /** ISO 8601 days, inclusive, by the clinical date of an item. With either, undated items are outside. */
  readonly from?: string
  readonly to?: string
  /** The person may leave it out; all others are granted together or not at all. */
  readonly optional?: true
  /** Narrower than kinds of item: what one SMART scope names. Never in what an application registers. */
  readonly within?: ScopeFilter
}

/** What a SMART scope narrows a rule to: items as resources of FHIR, and whether they may be read one by one or found. */
export interface ScopeFilter {
  /** A resource type; all where absent. */
  readonly resource?: string
  /** `system|code` or `code` of its category. */
  readonly category?: string
  /** Both where absent. */
  readonly reading?: Reading
}

/** Reading what one knows the id of (`r`), or finding it (`s`). */
export type Reading = 'by-id' | 'by-search'

/** What an item is in FHIR: a type, and its categories as `system|code`. */
export interface Shape {
  readonly resource: string
  readonly categories: readonly string[]
}

/** Rules for when the person is signed in with the application, and for when only the application is there. */
export interface RuleSets {
  readonly online: readonly AccessRule[]
  readonly offline: readonly AccessRule[]
}

/** How somebody came: at the page, with an application, an application alone, by Direct mail, with a link, for the operator. */
export type Avenue = 'page' | 'online' | 'offline' | 'direct' | 'link' | 'operator'

/** Who acts, as the record, its activity history and the audit log name them. */
export interface Actor {
  /** `token:…`, `person:…`, `app:…`, `system`. */
  readonly by: string
  readonly avenue: Avenue
  /** True ids, never the pseudonyms that applications are told. */
  readonly person?: string
  readonly app?: string
  readonly masterApp?: string
}

/** What one caller may do in one record, worked out anew for every request: a revoked grant ends with the next one. */
export interface RecordAccess {
  readonly record: string
  /** The record's id as the caller knows it: an application has a pseudonym. */
  readonly told: string
  readonly rules: readonly AccessRule[] | 'all'
  /** Sees what is flagged personal, what was deleted, and history; restores, decides, shares. Never an application. */
  readonly custodian: boolean
  readonly actor: Actor
}

/**
 * Whether rules allow this to an item of a type; `day` is its clinical date as far as known (ISO 8601). A rule that stands
 * for a SMART scope allows nothing unless it is said as what the item is seen (`shapesOf` in smart-scopes.ts).
 */
export function permits(
  rules: readonly AccessRule[] | 'all',
  permission: Permission,
  type: RecordItemType,
  day?: string,
  seen: { readonly shapes: readonly Shape[]; readonly reading?: Reading } = { shapes: [] },
): boolean {
  if (rules === 'all') return true
  return rules.some((rule) => {
    if (!rule.permissions.includes(permission) || rule.types?.includes(type) === false) return false
    if (rule.within && !isWithin(seen, rule.within, permission)) return false
    if (rule.from === undefined && rule.to === undefined) return true
    return day !== undefined && isInside(day, rule)
  })
}

function isWithin(
  seen: { readonly shapes: readonly Shape[]; readonly reading?: Reading },
  { resource, category, reading }: ScopeFilter,
  permission: Permission,
): boolean {
  if (permission === 'read' && reading !== undefined && seen.reading !== reading) return false
  if (resource === undefined && category === undefined) return true
  return seen.shapes.some(
    (shape) =>
      (resource === undefined || shape.resource === resource) &&
      (category === undefined || shape.categories.some((one) => isCategory(one, category))),
  )
}

function isCategory(category: string, wanted: string): boolean {
  return category === wanted || (!wanted.includes('|') && category.endsWith(`|${wanted}`))
}

/** A day known only to its month is inside only where the whole month is: nothing leaves by guessing. */
function isInside(day: string, { from, to }: Pick<AccessRule, 'from' | 'to'>): boolean {
  if (!/^\d{4}/.test(day) || day.startsWith('0000')) return false
  const date = day.slice(0, 10)
  const earliest = date.padEnd(10, '-01-01'.slice(date.length - 4))
  const latest = date.length === 10 ? date : lastDay(date.padEnd(7, '-12'))
  return (from === undefined || earliest >= from) && (to === undefined || latest <= to)
}

/** Last day of a month, `2026-02`. */
function lastDay(month: string): string {
  const [year, number] = month.split('-').map(Number)
  return new Date(Date.UTC(year ?? 0, number ?? 0, 0)).toISOString().slice(0, 10)
}
