import type { ReadItem } from '../clinical/fhir/read/resource.js'
import type { RecordItem, RecordItemType } from '../direct/clinical.js'
import { subjectOf } from '../direct/subject.js'

/**
 * What a client makes of an item that it saw as a resource. FHIR has no place for all that an item says, and what a client
 * was not shown it did not take away: that stays, or the change is refused by name.
 */

/** An item as the record has it, and as the client was shown it; `seen` is undefined where nobody can tell. */
export interface Known {
  readonly before: RecordItem
  readonly seen?: ReadItem
}

/** `lost` names what would go without the client having seen it, as paths in the item. */
export type Merged =
  | { readonly kind: 'merged'; readonly item: ReadItem }
  | { readonly kind: 'lossy'; readonly lost: readonly string[] }

/** Which known item each of the next ones is: that of its subject, else the only one that is left of its type. */
export function matched(known: readonly Known[], next: readonly ReadItem[]): readonly (number | undefined)[] {
  const left = new Set(known.keys())
  const types = (at: number) => known[at]?.before.content.type
  const take = (at: number | undefined) => (at !== undefined && left.delete(at) ? at : undefined)
  const bySubject = next.map((item) =>
    take([...left].find((at) => types(at) === item.content.type && sharesSubject(known[at], item))),
  )
  return bySubject.map((at, index) => {
    const type = next[index]?.content.type
    const others = [...left].filter((one) => types(one) === type)
    const rivals = next.filter(({ content }, one) => bySubject[one] === undefined && content.type === type)
    return at ?? (others.length === 1 && rivals.length === 1 ? take(others[0]) : undefined)
  })
}

function sharesSubject(known: Known | undefined, item: ReadItem): boolean {
  const [one, other] = [known && subjectOf((known.seen ?? known.before).content), subjectOf(item.content)]
  if (!one || !other) return false
  return one.codings.some(({ system, code }) =>
    other.codings.some((coding) => code !== undefined && coding.code === code && coding.system === system),
  )
}

/** The types that a change would make another type of; an item keeps its own. */
export function changedType(known: readonly Known[], next: readonly ReadItem[]): readonly RecordItemType[] {
  const types = new Set(known.map(({ before }) => before.content.type))
  return types.size === 0 ? [] : next.flatMap(({ content }) => (types.has(content.type) ? [] : [content.type]))
}

/** What every item has of itself, or is the record's to say. */
const own = new Set(['id', 'provenance', 'authors', 'content', 'labels'])

/** The next version of an item: what the client changed as it says, all else as it was. */
export function merged({ before, seen }: Known, next: ReadItem): Merged {
  const lost: string[] = []
  const fields = (one: object) => Object.fromEntries(Object.entries(one).filter(([name]) => !own.has(name)))
  const said = mergedFields(fields(before), seen && fields(seen), fields(next), '', lost)
  const content = mergedFields(
    { ...before.content },
    seen && { ...seen.content },
    { ...next.content },
    'content.',
    lost,
  )
  const other = seen && !same(subjectOf(seen.content), subjectOf(next.content))
  // What nobody was shown of one thing is not told of another.
  if (other) lost.push(...hiddenIn({ ...before.content }, { ...seen.content }).map((name) => `content.${name}`))
  // A label that keeps something back is taken off by nobody who only writes it anew.
  const labels = [...(before.labels ?? []), ...(next.labels ?? [])].filter(
    (label, at, all) => all.findIndex(({ system, code }) => system === label.system && code === label.code) === at,
  )
  if (lost.length > 0) return { kind: 'lossy', lost: [...new Set(lost)] }
  const item = { ...said, content, authors: next.authors, ...(labels.length > 0 && { labels }) }
  return { kind: 'merged', item: item as unknown as ReadItem }
}

type Fields = Readonly<Record<string, unknown>>

function mergedFields(before: Fields, seen: Fields | undefined, next: Fields, path: string, lost: string[]): Fields {
  const names = new Set([...Object.keys(before), ...Object.keys(next)])
  const all = [...names].map((name): [string, unknown] => {
    const [was, shown, wanted] = [before[name], seen?.[name], next[name]]
    if (same(was, wanted)) return [name, was ?? wanted]
    // Nobody can tell what was shown: what is missing may never have been there to take.
    if (!seen) {
      if (hides(was, wanted)) lost.push(path + name)
      return [name, wanted]
    }
    if (same(wanted, shown)) return [name, was]
    const lists = [was, shown, wanted].map((one) => (Array.isArray(one) ? one : isEmpty(one) ? [] : undefined))
    const [first, second, third] = lists
    if (first && second && third && !same(was, shown))
      return [name, mergedList(first, second, third, () => lost.push(path + name))]
    if (isEmpty(shown) && !isEmpty(was)) lost.push(path + name)
    return [name, wanted]
  })
  return Object.fromEntries(all.filter(([, value]) => value !== undefined))
}

/** Elements that were left as they were shown are as they were; `onLoss` where one that changed had more than was shown. */
function mergedList(
  was: readonly unknown[],
  shown: readonly unknown[],
  wanted: readonly unknown[],
  onLoss: () => void,
): readonly unknown[] {
  const places = was.length === shown.length ? [...was.keys()] : placesOf(was, shown)
  const hidden = was.filter((_, at) => !places.includes(at))
  // What is shown in other words than it is said cannot be told from what is not shown.
  if (hidden.length > 0 && places.includes(undefined)) onLoss()
  const left = new Set(shown.keys())
  const list = wanted.flatMap((one) => {
    const at = [...left].find((place) => same(shown[place], one))
    if (at === undefined) return [one]
    left.delete(at)
    const place = places[at]
    // Made of other words of the item, it is made of them again.
    if (place === undefined) return []
    return [was[place]]
  })
  for (const at of left) {
    const place = places[at]
    if (place !== undefined && isStructure(was[place]) && hides(was[place], shown[at])) onLoss()
  }
  return [...list, ...hidden]
}

/** Where each element that is shown stands in the list that it is of. */
function placesOf(was: readonly unknown[], shown: readonly unknown[]): readonly (number | undefined)[] {
  const left = new Set(was.keys())
  return shown.map((one) => {
    const at = [...left].find((place) => same(was[place], one))
    if (at !== undefined) left.delete(at)
    return at
  })
}

/** A concept, an identifier or an agent is one thing, and named anew as a whole. */
function isStructure(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  return !('codings' in value) && !('root' in value) && !('kind' in value && 'text' in value)
}

function hiddenIn(was: Fields, shown: Fields): readonly string[] {
  return Object.keys(was).filter((name) => !isEmpty(was[name]) && isEmpty(shown[name]))
}

/** Whether something says what the other says nothing of; how it is put does not count. */
function hides(was: unknown, shown: unknown): boolean {
  if (isEmpty(was)) return false
  if (isEmpty(shown)) return true
  if (Array.isArray(was))
    return !Array.isArray(shown) || was.length > shown.length || was.some((one, at) => hides(one, shown[at]))
  if (typeof was !== 'object' || typeof shown !== 'object') return false
  return Object.entries(was as Fields).some(([name, value]) => hides(value, (shown as Fields)[name]))
}

function isEmpty(value: unknown): boolean {
  return value === undefined || value === null || value === false || (Array.isArray(value) && value.length === 0)
}

/** Whether both say the same: the order of fields does not count, nor what is not said. */
function same(one: unknown, other: unknown): boolean {
  return (isEmpty(one) && isEmpty(other)) || JSON.stringify(canonical(one)) === JSON.stringify(canonical(other))
}

function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonical)
  if (typeof value !== 'object' || value === null) return value
  const fields = Object.entries(value).filter(([, one]) => !isEmpty(one))
  return fields.sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, one]) => [name, canonical(one)])
}
