import { createHash } from 'node:crypto'
import type { Actor } from '../../direct/access.js'
import { sameConcept } from './concept.js'
import { type Decision, standing } from './decision.js'
import type { Fact } from './fact.js'
import { grouping, namesOf, type Ties } from './group.js'
import { byMoment } from './moment.js'
import { relate } from './relate.js'
import { joinWritten } from './written.js'

/** How an entry stands in the record. */
export type EntryState = 'proposed' | 'current' | 'ignored' | 'held' | 'rejected' | 'superseded' | 'deleted'

/** Whether an entry is of documents about somebody else, as it seems or as a person said: listed only when asked for. */
export function isOfAnother(state: EntryState): boolean {
  return state === 'held' || state === 'rejected'
}

/** Why a person should look at an entry. */
export type ReviewReason =
  /** Nobody has decided on it. */
  | 'new'
  /** A newer or another version came after somebody decided. */
  | 'version'
  /** Statements differ in something that matters. */
  | 'conflict'
  /** Another entry says the opposite. */
  | 'contradiction'
  /** The sender replaced the document, and the new one says nothing of it. */
  | 'withdrawn'

/** The revision that wrote, deleted or restored something, when that was, and who did. */
export interface Stamp {
  readonly seq: number
  /** Unix milliseconds. */
  readonly at: number
  readonly actor: Actor
}

/** An entry in terms of facts: which statement it shows, and how its others stand. */
export interface Reconciled {
  /** Of the statement that came first. */
  readonly id: string
  readonly type: Fact['type']
  readonly state: EntryState
  readonly shown: Fact
  readonly members: readonly { readonly fact: Fact; readonly standing: 'shown' | 'same' | 'waits' | 'superseded' }[]
  readonly conflicts: readonly { readonly field: string; readonly statements: readonly string[] }[]
  readonly review: readonly ReviewReason[]
  /** What last wrote, deleted or restored it; absent where documents alone told of it. */
  readonly stamp?: Stamp
  /** Changes whenever anything of the entry does. */
  readonly version: string
}

/** What is known of the documents that statements came in. */
export interface DocumentStanding {
  /** About another patient, as it seems: shown to nobody until a person decides. */
  readonly held: ReadonlySet<string>
  /** About another patient, as a person said. */
  readonly rejected: ReadonlySet<string>
  /** Replaced by a later version, and the revision at which that came. */
  readonly superseded: ReadonlyMap<string, number>
  /** Revision at which a held document was released: its statements came to the record no earlier. */
  readonly released: ReadonlyMap<string, number>
}

/**
 * The entries of one type, from the set of its statements, the decisions and the standing of documents. Pure; the order of
 * what it is given does not matter. The order in which documents came matters for two things: an entry is named by the
 * statement that came first, and what entered by itself stays shown until a person decides between it and what came later.
 */
export function reconcile(
  facts: readonly Fact[],
  decisions: readonly Decision[],
  documents: DocumentStanding,
): readonly Reconciled[] {
  const work = reconciling(facts, decisions, documents)
  for (;;) {
    const { done, value } = work.next()
    if (done) return value
  }
}

/** The same, pausing every few milliseconds: a life of results is worked out while mail goes on. */
export async function reconcileInTurns(
  pause: () => Promise<void>,
  ...given: Parameters<typeof reconcile>
): Promise<readonly Reconciled[]> {
  const work = reconciling(...given)
  for (;;) {
    const { done, value } = work.next()
    if (done) return value
    await pause()
  }
}

function* reconciling(
  ...[facts, decisions, documents]: Parameters<typeof reconcile>
): Generator<void, readonly Reconciled[]> {
  const outside = ({ document }: Fact) => documents.held.has(document) || documents.rejected.has(document)
  const stands = standing(decisions)
  const words = lastWords(stands, facts)
  const stamps = stampsOf(facts, decisions)
  const ties = tiesOf(stands)
  const told = yield* grouping(
    facts.filter((fact) => !fact.written && !outside(fact)),
    ties,
  )
  const groups = joinWritten(
    told,
    facts.filter((fact) => fact.written),
    ties.together,
  )
  const entries: Draft[] = []
  for (const [index, group] of groups.entries()) {
    entries.push(entryOfGroup(group, words, documents, stamps))
    if (index % 256 === 255) yield
  }
  const apart = facts.filter(outside).map((fact) => outsider(fact, documents.rejected.has(fact.document)))
  const all: Reconciled[] = []
  for (const entry of [...(yield* contradicted(entries, words)), ...apart]) {
    all.push(versioned(entry))
    if (all.length % 1024 === 0) yield
  }
  return all
}

/**
 * One entry by itself, as `reconcile` gives it but for what other entries say against it: what it will be once these
 * decisions are made and all of its statements are there.
 */
export function entryWith(
  members: readonly Fact[],
  decisions: readonly Decision[],
  documents: DocumentStanding,
): Reconciled {
  const words = lastWords(standing(decisions), members)
  return versioned(stamped(entryOf(members, words, documents), stampsOf(members, decisions)))
}

/** What last wrote each statement, or deleted or restored what it told of, undone or not: revisions only grow. */
function stampsOf(facts: readonly Fact[], decisions: readonly Decision[]): ReadonlyMap<string, Stamp> {
  const stamps = new Map<string, Stamp>()
  for (const { id, seq, written } of facts) if (written) stamps.set(id, { seq, at: written.at, actor: written.actor })
  const named = new Map<string, readonly string[]>()
  for (const { id, seq, at, by, actor: told, deed } of decisions) {
    const actor: Actor = told ?? { by, avenue: 'page' }
    const statements = stampedBy(deed, named)
    if (deed.kind !== 'undo') named.set(id, statements)
    for (const statement of statements) {
      if ((stamps.get(statement)?.seq ?? 0) < seq) stamps.set(statement, { seq, at, actor })
    }
  }
  return stamps
}

function stampedBy(deed: Decision['deed'], named: ReadonlyMap<string, readonly string[]>): readonly string[] {
  if (deed.kind === 'undo') return named.get(deed.decision) ?? []
  return deed.kind === 'delete' || deed.kind === 'restore' ? deed.statements : []
}

function stamped(entry: Draft, stamps: ReadonlyMap<string, Stamp>): Draft {
  if (stamps.size === 0) return entry
  const all = entry.members.flatMap(({ fact }) => stamps.get(fact.id) ?? [])
  const last = all.reduce<Stamp | undefined>((best, one) => (best && best.seq >= one.seq ? best : one), undefined)
  return last ? { ...entry, stamp: last } : entry
}

function tiesOf(decisions: readonly Decision[]): Ties {
  const together: (readonly [string, string])[] = []
  const apart: (readonly [string, string])[] = []
  for (const { deed } of decisions) {
    if (deed.kind === 'merge') together.push([deed.one, deed.other])
    if (deed.kind === 'split')
      for (const one of deed.statements) for (const other of deed.from) apart.push([one, other])
  }
  return { together, apart }
}

/** The last word on a statement. */
export interface Word {
  readonly kind: 'add' | 'ignore' | 'replaced' | 'deleted'
  readonly seq: number
  readonly chosen: boolean
}

/**
 * What was said last of each statement; decisions as `standing` gives them. What somebody wrote they chose by writing it.
 */
export function lastWords(decisions: readonly Decision[], facts: readonly Fact[]): ReadonlyMap<string, Word> {
  const words = new Map<string, Word>()
  const say = (ids: readonly string[], kind: Word['kind'], seq: number, chosen = false) => {
    for (const id of ids) words.set(id, { kind, seq, chosen })
  }
  for (const { id, seq, written } of facts) if (written) say([id], 'add', seq, true)
  for (const { deed, seq } of decisions) {
    if (deed.kind === 'delete' || deed.kind === 'restore') {
      const kind = deed.kind === 'delete' ? 'deleted' : 'add'
      say(deed.statements, kind, seq)
      say([deed.shown], kind, seq, true)
    }
    if (deed.kind === 'add' || deed.kind === 'ignore') say(deed.statements, deed.kind, seq)
    if (deed.kind === 'choose') say([deed.statement], 'add', seq, true)
    if (deed.kind === 'replace') {
      say(deed.statements, 'add', seq)
      say(deed.replaced, 'replaced', seq)
    }
  }
  return words
}

/** Statements by when they were asserted, oldest first; the id decides between equals, so that everybody decides alike. */
function byAge(one: Fact, other: Fact): number {
  return byMoment(one.asserted, other.asserted) || byMoment(one.at, other.at) || (one.id < other.id ? -1 : 1)
}

/** Newest of some; of statements that say the same the newest as well. */
function newest(facts: readonly Fact[]): Fact | undefined {
  return facts.reduce<Fact | undefined>((best, fact) => (best && byAge(best, fact) > 0 ? best : fact), undefined)
}

/**
 * What may enter a record without a person. A denial of an allergy, a problem or a medication takes something away, and so
 * does an allergy that is over: those always ask. What says nothing adds nothing.
 */
function mayEnter({ type, pole, auto, facets }: Fact): boolean {
  if (!auto || pole.startsWith('nothing')) return false
  if (pole.startsWith('not') && (type === 'allergy' || type === 'problem' || type === 'medication')) return false
  return type !== 'allergy' || stillActive(facets)
}

function stillActive({ status = 'active' }: Fact['facets']): boolean {
  return status === 'active' || status === 'unknown'
}

type Draft = Omit<Reconciled, 'version'> & { readonly version?: string }

/** What was worked out of a written entry, by its first statement: it holds while all that it came from is the same. */
const worked = new WeakMap<
  Fact,
  { readonly group: readonly Fact[]; readonly from: string; readonly entry: Reconciled }
>()

/** An entry that was written only is worked out once: after each write all others of a large record stay as they are. */
function entryOfGroup(
  group: readonly Fact[],
  words: ReadonlyMap<string, Word>,
  documents: DocumentStanding,
  stamps: ReadonlyMap<string, Stamp>,
): Draft {
  const [first] = group
  if (!first || !group.every(({ written }) => written)) return stamped(entryOf(group, words, documents), stamps)
  const from = JSON.stringify(group.map(({ id }) => [words.get(id), stamps.get(id)?.seq]))
  const known = worked.get(first)
  const same =
    known?.from === from && known.group.length === group.length && known.group.every((one, n) => one === group[n])
  if (known && same) return known.entry
  const entry = versioned(stamped(entryOf(group, words, documents), stamps))
  worked.set(first, { group, from, entry })
  return entry
}

function entryOf(group: readonly Fact[], words: ReadonlyMap<string, Word>, documents: DocumentStanding): Draft {
  const { superseded, released } = documents
  const cameAt = ({ seq, document }: Fact) => Math.max(seq, released.get(document) ?? 0)
  const members = [...group].sort((a, b) => cameAt(a) - cameAt(b) || (a.id < b.id ? -1 : 1))
  const first = members[0] as Fact
  const live = members.filter(({ document }) => !superseded.has(document))
  const word = latest(members, words)
  const choice = choiceOf(members, words)
  // What somebody corrected is not news because a later document says it once more.
  const corrected = new Set(
    choice?.fact.written ? members.filter((fact) => cameAt(fact) <= choice.seq).map(({ says }) => says) : [],
  )
  // What a person took needs no second look, nor what says the same, nor what they chose something else over.
  const undecided = members.filter(
    (fact) =>
      !words.has(fact.id) &&
      cameAt(fact) > (choice?.seq ?? 0) &&
      !corrected.has(fact.says) &&
      !members.some((other) => words.has(other.id) && other.says === fact.says),
  )
  const fresh = undecided.filter((fact) => live.includes(fact))
  // What was replaced before it came never entered; what was replaced later entered and stays.
  const auto = undecided
    .filter((fact) => mayEnter(fact) && (superseded.get(fact.document) ?? Number.POSITIVE_INFINITY) > cameAt(fact))
    .sort((a, b) => cameAt(a) - cameAt(b) || -byAge(a, b))

  const state = stateOf(word, { fresh, auto, live, type: first.type })
  const again = word?.kind === 'deleted' && state === 'proposed'
  const told = again ? fresh : live.length > 0 ? live : members
  const entered = state === 'current' || state === 'deleted' ? admitted(baseOf(members, live, words, choice), auto) : []
  const shown = newest(entered.filter((fact) => live.includes(fact))) ?? newest(entered) ?? newest(told) ?? first
  const conflicts = conflictsOf(told.includes(shown) ? told : [...told, shown])
  const waits =
    state === 'current' ? fresh.filter((fact) => !entered.includes(fact) && waitsFor(fact, shown, auto)) : []
  const lostAt = Math.max(...members.map(({ document }) => superseded.get(document) ?? 0))
  const withdrawn = live.length === 0 && (state === 'current' || state === 'proposed') && (word?.seq ?? 0) < lostAt
  const open = conflicts.some(({ statements }) => statements.some((id) => fresh.some((fact) => fact.id === id)))
  const review: ReviewReason[] = [
    ...(state === 'proposed' ? (['new'] as const) : []),
    ...(waits.length > 0 ? (['version'] as const) : []),
    ...(open && !settled.has(state) ? (['conflict'] as const) : []),
    ...(withdrawn ? (['withdrawn'] as const) : []),
  ]
  const standingOfFact = (fact: Fact) => {
    if (fact === shown) return 'shown'
    return superseded.has(fact.document) ? 'superseded' : waits.includes(fact) ? 'waits' : 'same'
  }
  return {
    ...{ id: first.id, type: first.type, state, shown },
    members: members.map((fact) => ({ fact, standing: standingOfFact(fact) })),
    ...{ conflicts, review },
  }
}

/** The last word on any of them; where one decision took one and put another aside, what it took counts. */
function latest(members: readonly Fact[], words: ReadonlyMap<string, Word>): Word | undefined {
  const later = (one: Word, other: Word) =>
    one.seq === other.seq ? (one.kind === 'add' ? one : other) : one.seq > other.seq ? one : other
  const said = members.flatMap(({ id }) => words.get(id) ?? [])
  return said.reduce<Word | undefined>((best, word) => (best ? later(best, word) : word), undefined)
}

interface Standing {
  /** Live statements that nobody decided on, and that do not merely repeat one that somebody did. */
  readonly fresh: readonly Fact[]
  readonly auto: readonly Fact[]
  readonly live: readonly Fact[]
  readonly type: Fact['type']
}

function stateOf(word: Word | undefined, { fresh, auto, live, type }: Standing): EntryState {
  if (word?.kind === 'add') return 'current'
  // What was put aside comes up again only when somebody says something new of it.
  if (word) return fresh.length > 0 ? 'proposed' : putAside[word.kind]
  if (auto.length > 0) return 'current'
  // An allergy is never dropped because a newer document does not have it.
  return live.length > 0 || type === 'allergy' ? 'proposed' : 'superseded'
}

const putAside = { ignore: 'ignored', replaced: 'superseded', deleted: 'deleted' } as const

/** The statement that a person chose last, and when. */
function choiceOf(members: readonly Fact[], words: ReadonlyMap<string, Word>) {
  const chosen = members.flatMap((fact) => {
    const word = words.get(fact.id)
    return word?.chosen ? [{ fact, seq: word.seq }] : []
  })
  return chosen.reduce<(typeof chosen)[number] | undefined>(
    (best, one) => (best && best.seq > one.seq ? best : one),
    undefined,
  )
}

/**
 * What a person wants shown: what they chose, until they took something later; else the newest that they took, or of what
 * says the same, where its document still stands.
 */
function baseOf(
  members: readonly Fact[],
  live: readonly Fact[],
  words: ReadonlyMap<string, Word>,
  choice: ReturnType<typeof choiceOf>,
): Fact | undefined {
  const taken = members.filter(({ id }) => words.get(id)?.kind === 'add')
  if (choice && taken.every(({ id }) => (words.get(id)?.seq ?? 0) <= choice.seq)) return choice.fact
  const repeated = live.filter((fact) => !words.has(fact.id) && taken.some(({ says }) => says === fact.says))
  const sure = [...taken, ...repeated]
  return newest(sure.filter((fact) => live.includes(fact))) ?? newest(sure)
}

/**
 * What has entered an entry: what a person wants shown, and one after the other, as they came, those that may enter by
 * themselves and disagree with none before them. So what is shown never switches to another dose by itself, not even by way
 * of a statement that names none.
 */
function admitted(base: Fact | undefined, auto: readonly Fact[]): readonly Fact[] {
  const entered = base ? [base] : []
  for (const fact of auto) if (entered.every((other) => agrees(fact, other))) entered.push(fact)
  return entered
}

/** Whether a person must look before a statement that did not enter changes what is shown. */
function waitsFor(fact: Fact, shown: Fact, auto: readonly Fact[]): boolean {
  if (fact.says === shown.says) return false
  return auto.includes(fact) || !agrees(fact, shown) || byAge(fact, shown) > 0
}

/** Whether two statements of one entry may stand for one another: they do not differ in what a person has to know of. */
function agrees(one: Fact, other: Fact): boolean {
  return differences(one, other).length === 0
}

/** A status that changes over time is news, not a conflict; but an allergy is not over because somebody says so. */
function differences(one: Fact, other: Fact): readonly string[] {
  const fields = new Set([...Object.keys(one.facets), ...Object.keys(other.facets)])
  return [...fields].filter((field) => {
    const [mine, theirs] = [one.facets[field], other.facets[field]]
    if (mine === undefined || theirs === undefined || mine === theirs) return false
    return field !== 'status' || (one.type === 'allergy' && stillActive(one.facets) !== stillActive(other.facets))
  })
}

/** For each field that statements differ in, the newest statement of each thing said. */
function conflictsOf(facts: readonly Fact[]): Reconciled['conflicts'] {
  const distinct = [...new Map([...facts].sort(byAge).map((fact) => [JSON.stringify(fact.facets), fact])).values()]
  const fields = new Set<string>()
  for (const [index, one] of distinct.entries()) {
    for (const other of distinct.slice(index + 1)) for (const field of differences(one, other)) fields.add(field)
  }
  return [...fields].sort().map((field) => {
    const said = new Map<string, string>()
    for (const fact of [...facts].sort(byAge)) {
      const value = fact.facets[field]
      if (value !== undefined) said.set(value, fact.id)
    }
    return { field, statements: [...said.values()].sort() }
  })
}

/** Marks entries that deny what another affirms: both stay, and a person is told. */
function* contradicted(entries: readonly Draft[], words: ReadonlyMap<string, Word>): Generator<void, readonly Draft[]> {
  const denials = entries.filter(({ shown }) => shown.pole.startsWith('not'))
  if (denials.length === 0) return entries
  const found = yield* affirmations(entries)
  const rivals = new Map<Draft, string[]>()
  for (const denial of denials) {
    yield
    for (const entry of found(denial).slice(0, rivalsAtMost)) {
      if (!contradict(denial.shown, entry.shown)) continue
      listed(rivals, denial).push(entry.shown.id)
      listed(rivals, entry).push(denial.shown.id)
    }
  }
  return entries.map((entry) => {
    const others = rivals.get(entry)
    if (!others) return entry
    const conflict = { field: 'negation', statements: [entry.shown.id, ...others].sort() }
    const decided = [entry.shown.id, ...others].every((id) => words.has(id))
    const quiet = decided || settled.has(entry.state)
    return {
      ...entry,
      conflicts: [...entry.conflicts, conflict],
      review: quiet ? entry.review : [...entry.review, 'contradiction' as const],
    }
  })
}

const settled: ReadonlySet<EntryState> = new Set(['ignored', 'superseded', 'deleted'])

/** Entries looked at for one denial: beyond it a sender only repeats himself, and a person is told all the same. */
const rivalsAtMost = 1000

/** What could be denied, by the names that it could be found under; a denial of everything finds all. */
function* affirmations(entries: readonly Draft[]): Generator<void, (denial: Draft) => readonly Draft[]> {
  const affirmed = entries.filter(({ shown }) => shown.pole.startsWith('so'))
  const named = new Map<string, Draft[]>()
  for (const [index, entry] of affirmed.entries()) {
    if (index % 512 === 511) yield
    for (const name of namesOf(entry.shown.subject, entry.shown.tells, '')) listed(named, name).push(entry)
  }
  return ({ shown: { subject, tells, none } }) => {
    if (none === true || subject.codes.length + subject.words.length === 0) return affirmed
    return [...new Set(namesOf(subject, tells, '').flatMap((name) => named.get(name) ?? []))]
  }
}

/** The list under a name, there from now on. */
function listed<Name, One>(lists: Map<Name, One[]>, name: Name): One[] {
  const list = lists.get(name) ?? []
  lists.set(name, list)
  return list
}

function contradict(denial: Fact, fact: Fact): boolean {
  const [, intent] = denial.pole.split(' ')
  if (fact.pole !== `so ${intent}`) return false
  const nameless = denial.subject.codes.length + denial.subject.words.length === 0 || denial.none === true
  if (denial.type === 'allergy') {
    return stillActive(fact.facets) && (nameless || sameConcept(denial.subject, fact.subject) === 'same')
  }
  return !nameless && relate({ ...denial, pole: fact.pole }, fact) === 'same'
}

/** A statement of a document that seems to be about another patient: it meets no other. */
function outsider(fact: Fact, rejected: boolean): Draft {
  const members = [{ fact, standing: 'shown' as const }]
  return {
    id: fact.id,
    type: fact.type,
    state: rejected ? 'rejected' : 'held',
    shown: fact,
    members,
    conflicts: [],
    review: [],
  }
}

function versioned(entry: Draft): Reconciled {
  if (entry.version !== undefined) return { ...entry, version: entry.version }
  const { id, state, shown, members, conflicts, review, stamp } = entry
  const parts = members.map(({ fact, standing: stands }) => [fact.id, stands])
  // What was written here has the revision that wrote it, so that no version ever comes again; what other entries say
  // against it is no change of its own.
  const all =
    stamp === undefined ? [id, state, shown.id, parts, conflicts, review] : [id, state, shown.id, parts, stamp.seq]
  return { ...entry, version: createHash('sha256').update(JSON.stringify(all)).digest('base64url').slice(0, 16) }
}
