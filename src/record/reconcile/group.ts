import type { Fact } from './fact.js'
import { byMoment, inUtc } from './moment.js'
import { relate, shareId } from './relate.js'

/** What people said about which statements belong together; ids of statements. */
export interface Ties {
  readonly together: readonly (readonly [string, string])[]
  readonly apart: readonly (readonly [string, string])[]
}

export const groupLimits = {
  /** Pairs compared at most: a few seconds of one core, however one sender repeats himself. */
  pairs: 1_000_000,
  /** Different things that one group may have been told: beyond it a new one begins, which shows twice and hides nothing. */
  sayingsPerGroup: 500,
}

/**
 * Puts the statements of one type into groups that tell of one thing each. Being the same is not transitive, so pairs are
 * joined one by one, the surest first, and never where that would bring two statements into one group that are apart by
 * themselves or by a person's word. The order of pairs comes from what the statements say, so the answer depends on the
 * set alone. Yields whenever others should have their turn.
 */
export function* grouping(
  facts: readonly Fact[],
  ties: Ties = { together: [], apart: [] },
  limits = groupLimits,
): Generator<void, readonly (readonly Fact[])[]> {
  const ordered = [...facts].sort((a, b) => (a.id < b.id ? -1 : 1))
  const clusters = clustersOf(ordered, ties.apart, limits)
  yield
  for (const [one, other] of [...ties.together].sort(byIds)) clusters.force(one, other)
  const pairs = yield* candidates(ordered, clusters, limits)
  yield
  for (const { one, other } of surestFirst(pairs)) {
    if (clusters.join(one, other)) yield
  }
  return clusters.groups()
}

/** Comparisons between two moments at which others may go on: a few milliseconds. */
const turn = 4096

function byIds(a: readonly [string, string], b: readonly [string, string]): number {
  return a.join(' ') < b.join(' ') ? -1 : 1
}

interface Pair {
  readonly one: Fact
  readonly other: Fact
  readonly strength: number
}

/**
 * Pairs that are the same, found through what same statements have in common. Where everything has everything in common,
 * each is compared only with those next to it in time.
 */
function* candidates(
  facts: readonly Fact[],
  clusters: Clusters,
  limits: typeof groupLimits,
): Generator<void, readonly Pair[]> {
  const shelves = yield* shelve(facts, clusters)
  const count = shelves.reduce((sum, { length }) => sum + (length * (length - 1)) / 2, 0)
  const shelved = shelves.reduce((sum, { length }) => sum + length, 0)
  const reach = count > limits.pairs ? Math.max(1, Math.floor(limits.pairs / shelved)) : Number.POSITIVE_INFINITY
  const place = new Map(facts.map((fact, index) => [fact, index]))
  const pairs: Pair[] = []
  const met = new Set<number>()
  let steps = 0
  for (const shelf of shelves) {
    const near = shelf.length > reach ? [...shelf].sort(byTime) : shelf
    for (const [index, other] of near.entries()) {
      for (const one of near.slice(Math.max(0, index - reach), index)) {
        if (++steps % turn === 0) yield
        if (clusters.joined(one, other) || relate(one, other) !== 'same') continue
        const [a, b] = [place.get(one) ?? 0, place.get(other) ?? 0]
        const name = Math.min(a, b) * facts.length + Math.max(a, b)
        if (met.has(name)) continue
        met.add(name)
        pairs.push({ ...(a < b ? { one, other } : { one: other, other: one }), strength: strengthOf(one, other) })
      }
    }
  }
  return pairs
}

function byTime(one: Fact, other: Fact): number {
  return byMoment(one.at ?? one.span.high, other.at ?? other.span.high) || (one.id < other.id ? -1 : 1)
}

/**
 * Statements by what they could be found under. Those that say all the same are joined at once; two of them, of two
 * documents, stand for all on a shelf, since a third statement can share an identifier with either or with neither.
 */
function* shelve(facts: readonly Fact[], clusters: Clusters): Generator<void, readonly (readonly Fact[])[]> {
  const timeChars = facts.reduce((least, { at }) => Math.min(least, at?.text.length ?? least), 10)
  const shelves = new Map<string, Fact[]>()
  const first = new Map<string, Fact>()
  const standing = new Map<string, string>()
  for (const [index, fact] of facts.entries()) {
    if (index % 512 === 511) yield
    const saying = `${fact.pole} ${fact.says}`
    const twin = first.get(saying)
    if (twin) clusters.join(twin, fact)
    else first.set(saying, fact)
    const whole = !twin || clusters.tied(fact)
    for (const name of whole ? shelvesOf(fact, timeChars) : shelvesOfIds(fact)) {
      const spot = `${saying} ${name}`
      const one = standing.get(spot)
      if (!clusters.tied(fact) && (one === fact.document || one === '')) continue
      // Empty: two documents say it.
      standing.set(spot, one === undefined ? fact.document : '')
      const shelf = shelves.get(name)
      if (shelf) shelf.push(fact)
      else shelves.set(name, [fact])
    }
  }
  return [...shelves.values()]
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

export function namesOf(subject: Fact['subject'], tells: Fact['tells'], time: string): readonly string[] {
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
interface Clusters {
  /** Whether a person said something of a statement's place. */
  tied(fact: Fact): boolean
  joined(one: Fact, other: Fact): boolean
  /** Joins two groups where none of one is apart from any of the other. Answers whether others should have their turn. */
  join(one: Fact, other: Fact): boolean
  /** A person said so: only statements of two poles or kinds stay apart. */
  force(one: string, other: string): void
  groups(): readonly (readonly Fact[])[]
}

interface Group {
  readonly members: Fact[]
  /** Members by what they say: they relate to all others alike, but for identifiers. */
  readonly sayings: Map<string, Fact[]>
}

function clustersOf(facts: readonly Fact[], saidApart: Ties['apart'], limits: typeof groupLimits): Clusters {
  const byId = new Map(facts.map((fact) => [fact.id, fact]))
  const rivals = new Map<string, Set<string>>()
  for (const [one, other] of saidApart) {
    rivals.set(one, (rivals.get(one) ?? new Set()).add(other))
    rivals.set(other, (rivals.get(other) ?? new Set()).add(one))
  }
  const alone = (fact: Fact): Group => ({ members: [fact], sayings: new Map([[fact.says, [fact]]]) })
  const groupOf = new Map(facts.map((fact) => [fact.id, alone(fact)]))
  let steps = 0

  const group = (fact: Fact): Group => groupOf.get(fact.id) ?? alone(fact)
  const keptApart = (one: Group, other: Group) =>
    rivals.size > 0 &&
    one.members.some(({ id }) => {
      const some = rivals.get(id)
      return some !== undefined && other.members.some((fact) => some.has(fact.id))
    })

  function areApart(one: Group, other: Group): boolean {
    for (const some of one.sayings.values()) {
      for (const others of other.sayings.values()) {
        steps++
        if (sayingsApart(some, others)) return true
      }
    }
    return false
  }

  /** The smaller moves, so that a group costs little however large it grows. */
  function unite(one: Group, other: Group): void {
    const [into, from] = one.members.length < other.members.length ? [other, one] : [one, other]
    for (const fact of from.members) {
      groupOf.set(fact.id, into)
      into.members.push(fact)
      const saying = into.sayings.get(fact.says)
      if (saying) saying.push(fact)
      else into.sayings.set(fact.says, [fact])
    }
  }

  function join(one: Group, other: Group): void {
    if (one === other) return
    const twins = one.sayings.size === 1 && other.sayings.size === 1 && one.members[0]?.says === other.members[0]?.says
    if (!twins && one.sayings.size + other.sayings.size > limits.sayingsPerGroup) return
    if (!areApart(one, other) && !keptApart(one, other)) unite(one, other)
  }

  return {
    tied: ({ id }) => rivals.has(id),
    joined: (one, other) => group(one) === group(other),
    join(one, other) {
      join(group(one), group(other))
      if (++steps < turn) return false
      steps = 0
      return true
    },
    force(one, other) {
      const [first, second] = [byId.get(one), byId.get(other)]
      if (!first || !second || first.type !== second.type || first.pole !== second.pole) return
      const [mine, theirs] = [group(first), group(second)]
      if (mine !== theirs && !keptApart(mine, theirs)) unite(mine, theirs)
    },
    groups: () => [...new Set(groupOf.values())].map(({ members }) => members),
  }
}

/**
 * Whether any statement of one saying is apart from any of another. Within a saying only identifiers differ, and those only
 * bring together: where the sayings are not apart without, no two statements are.
 */
function sayingsApart(some: readonly Fact[], others: readonly Fact[]): boolean {
  const [one, other] = [some[0], others[0]]
  if (!one || !other || relate(one, other, false) !== 'apart') return false
  if (relate(one, other, true) === 'apart') return true
  return some.some((a) => others.some((b) => !shareId(a, b)))
}
