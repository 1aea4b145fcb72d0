import { createHash } from 'node:crypto'
import { sameConcept } from './concept.js'
import { type Decision, standing } from './decision.js'
import type { Fact } from './fact.js'
import { groupFacts, type Ties } from './group.js'
import { byMoment } from './moment.js'
import { relate } from './relate.js'

/** How an entry stands in the record. */
export type EntryState = 'proposed' | 'current' | 'ignored' | 'held' | 'superseded'

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
  /** Changes whenever anything of the entry does. */
  readonly version: string
}

/** What is known of the documents that statements came in. */
export interface DocumentStanding {
  /** About another patient, as it seems: shown to nobody until a person decides. */
  readonly held: ReadonlySet<string>
  /** About another patient, as a person said. */
  readonly rejected: ReadonlySet<string>
  /** Replaced by a later version. */
  readonly superseded: ReadonlySet<string>
  /** Revision at which a held document was released: its statements came to the record no earlier. */
  readonly released: ReadonlyMap<string, number>
}

/**
 * The entries of one type, from the set of its statements, the decisions and the standing of documents. Pure; the order of
 * what it is given does not matter, and neither does the order in which documents came, but for the ids of entries, which
 * are those of the statements that came first.
 */
export function reconcile(
  facts: readonly Fact[],
  decisions: readonly Decision[],
  documents: DocumentStanding,
): readonly Reconciled[] {
  const outside = ({ document }: Fact) => documents.held.has(document) || documents.rejected.has(document)
  const stands = standing(decisions)
  const words = lastWords(stands)
  const groups = groupFacts(
    facts.filter((fact) => !outside(fact)),
    tiesOf(stands),
  )
  const entries = groups.map((group) => entryOf(group, words, documents))
  const apart = facts.filter(outside).map((fact) => outsider(fact, documents.rejected.has(fact.document)))
  return [...contradicted(entries, words), ...apart].map(versioned)
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
interface Word {
  readonly kind: 'add' | 'ignore' | 'replaced'
  readonly seq: number
  readonly chosen: boolean
}

function lastWords(decisions: readonly Decision[]): ReadonlyMap<string, Word> {
  const words = new Map<string, Word>()
  const say = (ids: readonly string[], kind: Word['kind'], seq: number, chosen = false) => {
    for (const id of ids) words.set(id, { kind, seq, chosen })
  }
  for (const { deed, seq } of decisions) {
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

type Draft = Omit<Reconciled, 'version'>

function entryOf(group: readonly Fact[], words: ReadonlyMap<string, Word>, documents: DocumentStanding): Draft {
  const cameAt = ({ seq, document }: Fact) => Math.max(seq, documents.released.get(document) ?? 0)
  const members = [...group].sort((a, b) => cameAt(a) - cameAt(b) || (a.id < b.id ? -1 : 1))
  const first = members[0] as Fact
  const live = members.filter(({ document }) => !documents.superseded.has(document))
  const word = latest(members, words)
  const fresh = live.filter(
    (fact) => !words.has(fact.id) && !members.some((other) => words.has(other.id) && other.says === fact.says),
  )
  const auto = fresh.filter(mayEnter)
  const conflicts = conflictsOf(live.length > 0 ? live : members)

  const state = stateOf(word, { fresh, auto, live, type: first.type })
  const shown =
    state === 'current' ? shownOf(members, live, words, auto) : (newest(live.length > 0 ? live : members) ?? first)
  const waits = state === 'current' ? fresh.filter((fact) => waitsFor(fact, shown, auto)) : []
  const withdrawn = live.length === 0 && (state === 'current' || state === 'proposed')
  const open = conflicts.some(({ statements }) => statements.some((id) => fresh.some((fact) => fact.id === id)))
  const review: ReviewReason[] = [
    ...(state === 'proposed' ? (['new'] as const) : []),
    ...(waits.length > 0 ? (['version'] as const) : []),
    ...(open && state !== 'ignored' && state !== 'superseded' ? (['conflict'] as const) : []),
    ...(withdrawn ? (['withdrawn'] as const) : []),
  ]
  return {
    id: first.id,
    type: first.type,
    state,
    shown,
    members: members.map((fact) => ({
      fact,
      standing:
        fact === shown
          ? 'shown'
          : documents.superseded.has(fact.document)
            ? 'superseded'
            : waits.includes(fact)
              ? 'waits'
              : 'same',
    })),
    conflicts,
    review,
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
  if (word) return fresh.length > 0 ? 'proposed' : word.kind === 'ignore' ? 'ignored' : 'superseded'
  if (auto.length > 0) return 'current'
  // An allergy is never dropped because a newer document does not have it.
  return live.length > 0 || type === 'allergy' ? 'proposed' : 'superseded'
}

/**
 * The statement that a current entry shows: the newest of those that a person took, and of those that may enter by
 * themselves where they do not disagree with it. What a person chose stays until something came after the choice.
 */
function shownOf(
  members: readonly Fact[],
  live: readonly Fact[],
  words: ReadonlyMap<string, Word>,
  auto: readonly Fact[],
): Fact {
  const taken = members.filter(({ id }) => words.get(id)?.kind === 'add')
  const chosen = taken.filter(({ id }) => words.get(id)?.chosen)
  const lastChosen = chosen.reduce<Fact | undefined>(
    (best, fact) => (best && (words.get(best.id)?.seq ?? 0) > (words.get(fact.id)?.seq ?? 0) ? best : fact),
    undefined,
  )
  const choice = words.get(lastChosen?.id ?? '')?.seq ?? 0
  const after = taken.filter(({ id }) => (words.get(id)?.seq ?? 0) > choice)
  if (lastChosen && after.length === 0) {
    const later = auto.filter((fact) => fact.seq > choice && agrees(fact, lastChosen))
    return newest([lastChosen, ...later]) ?? lastChosen
  }
  const repeated = live.filter((fact) => !words.has(fact.id) && taken.some(({ says }) => says === fact.says))
  const sure = [...taken, ...repeated]
  const standingOnes = sure.filter((fact) => live.includes(fact))
  const base = newest(standingOnes.length > 0 ? standingOnes : sure)
  const open = base ? auto.filter((fact) => agrees(fact, base)) : auto
  return newest([...(base ? [base] : []), ...open]) ?? (members[0] as Fact)
}

/** Whether a person must look before a statement changes what is shown. */
function waitsFor(fact: Fact, shown: Fact, auto: readonly Fact[]): boolean {
  if (fact.id === shown.id || fact.says === shown.says) return false
  if (!agrees(fact, shown)) return true
  return !auto.includes(fact) && byAge(fact, shown) > 0
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
function contradicted(entries: readonly Draft[], words: ReadonlyMap<string, Word>): readonly Draft[] {
  const denials = entries.filter(({ shown }) => shown.pole.startsWith('not'))
  if (denials.length === 0) return entries
  const rivals = new Map<Draft, string[]>()
  for (const denial of denials) {
    for (const entry of entries) {
      if (!contradict(denial.shown, entry.shown)) continue
      rivals.set(denial, [...(rivals.get(denial) ?? []), entry.shown.id])
      rivals.set(entry, [...(rivals.get(entry) ?? []), denial.shown.id])
    }
  }
  return entries.map((entry) => {
    const others = rivals.get(entry)
    if (!others) return entry
    const conflict = { field: 'negation', statements: [entry.shown.id, ...others].sort() }
    const decided = [entry.shown.id, ...others].every((id) => words.has(id))
    const quiet = decided || entry.state === 'ignored' || entry.state === 'superseded'
    return {
      ...entry,
      conflicts: [...entry.conflicts, conflict],
      review: quiet ? entry.review : [...entry.review, 'contradiction' as const],
    }
  })
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
    state: rejected ? 'ignored' : 'held',
    shown: fact,
    members,
    conflicts: [],
    review: [],
  }
}

function versioned(entry: Draft): Reconciled {
  const { id, state, shown, members, conflicts, review } = entry
  const all = [id, state, shown.id, members.map(({ fact, standing: stands }) => [fact.id, stands]), conflicts, review]
  return { ...entry, version: createHash('sha256').update(JSON.stringify(all)).digest('base64url').slice(0, 16) }
}
