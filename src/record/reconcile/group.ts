import type { Fact } from './fact.js'
import { inUtc } from './moment.js'
import { relate, shareId } from './relate.js'

/** What people said about which statements belong together; ids of statements. */
export interface Ties {
  readonly together: readonly (readonly [string, string])[]
  readonly apart: readonly (readonly [string, string])[]
}

/**
 * Puts the statements of one type into groups that tell of one thing each. Being the same is not transitive, so pairs are
 * joined one by one, the surest first, and never where that would bring two statements into one group that are apart by
 * themselves or by a person's word. The order of pairs comes from what the statements say, so the answer depends on the
 * set alone.
 */
export function groupFacts(
  facts: readonly Fact[],
  ties: Ties = { together: [], apart: [] },
): readonly (readonly Fact[])[] {
  const ordered = [...facts].sort((a, b) => (a.id < b.id ? -1 : 1))
  const clusters = new Clusters(ordered, ties.apart)
  for (const [one, other] of [...ties.together].sort(byIds)) clusters.force(one, other)
  for (const { one, other } of surestFirst(candidates(ordered, clusters))) clusters.join(one, other)
  return clusters.groups()
}

function byIds(a: readonly [string, string], b: readonly [string, string]): number {
  return a.join(' ') < b.join(' ') ? -1 : 1
}

interface Pair {
  readonly one: Fact
  readonly other: Fact
  readonly strength: number
}

/** Pairs that are the same, found through what same statements have in common. Statements that say all the same count once. */
function candidates(facts: readonly Fact[], clusters: Clusters): readonly Pair[] {
  const timeChars = facts.reduce((least, { at }) => Math.min(least, at?.text.length ?? least), 10)
  const shelves = new Map<string, Fact[]>()
  const first = new Map<string, Fact>()
  for (const fact of facts) {
    const alike = `${fact.pole} ${fact.says}`
    const twin = first.get(alike)
    if (twin) clusters.join(twin, fact)
    if (!twin || fact.ids.length > 0 || clusters.tied(fact)) {
      if (!twin) first.set(alike, fact)
      for (const shelf of twin && !clusters.tied(fact) ? shelvesOfIds(fact) : shelvesOf(fact, timeChars)) {
        const standing = shelves.get(shelf)
        if (standing) standing.push(fact)
        else shelves.set(shelf, [fact])
      }
    }
  }
  const pairs: Pair[] = []
  const place = new Map(facts.map((fact, index) => [fact, index]))
  const met = new Set<number>()
  for (const standing of shelves.values()) {
    for (const [index, other] of standing.entries()) {
      for (const one of standing.slice(0, index)) {
        const name = (place.get(one) ?? 0) * facts.length + (place.get(other) ?? 0)
        if (met.has(name)) continue
        met.add(name)
        if (clusters.joined(one, other) || relate(one, other) !== 'same') continue
        pairs.push({ one, other, strength: strengthOf(one, other) })
      }
    }
  }
  return pairs
}

/**
 * Everything by which a same statement could be found. Types that happen at a moment are split by time, to stay short: by
 * as much of it as all of them have, in their own zone and in UTC, since two are compared in either.
 */
function shelvesOf(fact: Fact, timeChars: number): readonly string[] {
  const { type, subject, at, tells } = fact
  if (type === 'demographics') return ['demographics']
  const times =
    dated.has(type) && at ? [...new Set([at.text, inUtc(at)].map((text) => text.slice(0, timeChars)))] : ['']
  return [...times.flatMap((time) => namesOf(subject, tells, time)), ...shelvesOfIds(fact)]
}

/** An identifier joins one concept only; with the concept beside it, one copied onto everything costs nothing. */
function shelvesOfIds({ type, subject, ids }: Fact): readonly string[] {
  if (type === 'encounter' || type === 'care-team') return ids.map((id) => `id ${id}`)
  return ids.flatMap((id) => [...subject.codes, ...subject.words].map((name) => `id ${id} ${name}`))
}

function namesOf(subject: Fact['subject'], tells: Fact['tells'], time: string): readonly string[] {
  const names = [...subject.codes, ...subject.words.map((text) => `"${text}"`)].map((name) => `${name} ${time}`)
  const own = ['udi', 'payer', 'member', 'name', 'members', 'text', 'provider'].flatMap((word) => tells[word] ?? [])
  const nameless = names.length === 0 ? [`nothing ${time}`] : []
  return [...names, ...nameless, ...own.map((word) => `= ${word} ${time}`)]
}

const dated = new Set<Fact['type']>(['result', 'vital-sign', 'immunization', 'procedure', 'encounter', 'plan'])

/** An identifier in common is surest, then a code, then words alone. */
function strengthOf(one: Fact, other: Fact): number {
  if (shareId(one, other)) return 2
  return one.subject.codes.some((code) => other.subject.codes.includes(code)) ? 1 : 0
}

function surestFirst(pairs: readonly Pair[]): readonly Pair[] {
  return [...pairs].sort(
    (a, b) =>
      b.strength - a.strength ||
      (a.one.id === b.one.id ? (a.other.id < b.other.id ? -1 : 1) : a.one.id < b.one.id ? -1 : 1),
  )
}

/** Groups that grow by joining, each remembering who may not stand together. */
class Clusters {
  readonly #facts: ReadonlyMap<string, Fact>
  readonly #apart = new Map<string, Set<string>>()
  readonly #tied = new Set<string>()
  readonly #rootOf = new Map<string, string>()
  readonly #members = new Map<string, Fact[]>()

  constructor(facts: readonly Fact[], apart: Ties['apart']) {
    this.#facts = new Map(facts.map((fact) => [fact.id, fact]))
    for (const fact of facts) {
      this.#rootOf.set(fact.id, fact.id)
      this.#members.set(fact.id, [fact])
    }
    for (const [one, other] of apart) {
      for (const [from, to] of [
        [one, other],
        [other, one],
      ] as const) {
        this.#tied.add(from)
        this.#apart.set(from, (this.#apart.get(from) ?? new Set()).add(to))
      }
    }
  }

  tied({ id }: Fact): boolean {
    return this.#tied.has(id)
  }

  joined(one: Fact, other: Fact): boolean {
    return this.#rootOf.get(one.id) === this.#rootOf.get(other.id)
  }

  /** A person said so: only statements of two poles or kinds stay apart. */
  force(one: string, other: string): void {
    const [first, second] = [this.#facts.get(one), this.#facts.get(other)]
    if (!first || !second || first.type !== second.type) return
    const [mine, theirs] = [this.#group(first), this.#group(second)]
    if (mine === theirs) return
    if (mine.every((a) => theirs.every((b) => a.pole === b.pole && !this.#saidApart(a, b)))) this.#unite(first, second)
  }

  join(one: Fact, other: Fact): void {
    const [mine, theirs] = [this.#group(one), this.#group(other)]
    if (mine === theirs) return
    for (const a of distinct(mine)) for (const b of distinct(theirs)) if (relate(a, b) === 'apart') return
    if (this.#apart.size > 0) for (const a of mine) for (const b of theirs) if (this.#saidApart(a, b)) return
    this.#unite(one, other)
  }

  groups(): readonly (readonly Fact[])[] {
    return [...this.#members.values()]
  }

  #group({ id }: Fact): Fact[] {
    return this.#members.get(this.#rootOf.get(id) ?? id) ?? []
  }

  #saidApart(one: Fact, other: Fact): boolean {
    return this.#apart.get(one.id)?.has(other.id) ?? false
  }

  #unite(one: Fact, other: Fact): void {
    const [root, gone] = [this.#rootOf.get(one.id) ?? one.id, this.#rootOf.get(other.id) ?? other.id]
    const mine = this.#members.get(root) ?? []
    for (const fact of this.#members.get(gone) ?? []) {
      this.#rootOf.set(fact.id, root)
      mine.push(fact)
    }
    this.#members.delete(gone)
  }
}

const signatures = new WeakMap<Fact, string>()

function signature(fact: Fact): string {
  const known = signatures.get(fact)
  if (known !== undefined) return known
  const made = fact.ids.length === 0 ? fact.says : `${fact.says} ${fact.document} ${fact.ids.join(' ')}`
  signatures.set(fact, made)
  return made
}

/** One of each that say all the same under the same identifiers: the others relate as it does. */
function distinct(facts: readonly Fact[]): readonly Fact[] {
  if (facts.length < 4) return facts
  return [...new Map(facts.map((fact) => [signature(fact), fact])).values()]
}
