import type { Actor } from '../direct/access.js'
import type { RecordItemType } from '../direct/clinical.js'
import { recordItemTypes } from '../direct/clinical.js'
import { together } from '../ports/store.js'
import type { Clock } from '../ports/world.js'
import type { Shown } from './entries.js'
import { changeParts, changesBetween } from './feed.js'
import type { DecideOutcome, DecisionView, DeedRequest, recordLimits } from './item.js'
import { type BookPorts, type Books, bookParts, headAfter, type Ledger } from './ledger.js'
import { type Decision, type Deed, standing } from './reconcile/decision.js'
import { isOfAnother, type Reconciled } from './reconcile/reconcile.js'
import { isId } from './rows.js'

type Refused = { readonly kind: 'missing' | 'stale' | 'not-possible'; readonly detail: string }

/** A deed with the type whose ledger keeps it; without one it is about documents or senders. */
interface Placed {
  readonly type?: RecordItemType
  readonly deed: Deed
}

/**
 * Decides as asked, all of it or nothing, and answers what must be committed. Every request is judged by the record as it
 * is now; a later one on the same entry goes over an earlier one. The head's version is required: on a conflict call it
 * again.
 */
export async function decide(
  ports: BookPorts & { readonly clock: Clock; shownIn(recordId: string): Promise<Shown> },
  recordId: string,
  requests: readonly DeedRequest[],
  by: string | Actor,
  limits: typeof recordLimits,
): Promise<DecideOutcome> {
  const refuse = (detail: string) => ({ kind: 'not-possible' as const, index: 0, detail })
  if (!isId(recordId)) return { kind: 'missing', index: 0, detail: 'no such record' }
  if (requests.length === 0 || requests.length > limits.deedsPerRequest)
    return refuse(`1 to ${limits.deedsPerRequest} at once`)
  const shown = await ports.shownIn(recordId)
  const { books } = shown
  const placed: Placed[] = []
  for (const [index, request] of requests.entries()) {
    const outcome = await placedDeeds(request, shown)
    if ('kind' in outcome) return { ...outcome, index }
    placed.push(...outcome)
  }

  const { head } = books
  const seq = head.revision + 1
  const at = ports.clock.now()
  const decisions = placed.map(({ type, deed }, index) => {
    const id = `${seq}.${String(index).padStart(5, '0')}`
    const who = typeof by === 'string' ? { by } : { by: by.by, actor: by }
    return { type, decision: { id, seq, at, ...who, deed } }
  })
  const changed = new Map<RecordItemType, Ledger>()
  for (const { type, decision } of decisions) {
    if (type === undefined) continue
    const ledger = changed.get(type) ?? (await books.ledger(type))
    if (ledger.decisions.length >= limits.decisionsPerType)
      return refuse('too many decisions were made on this kind of entry')
    changed.set(type, { ...ledger, decisions: [...ledger.decisions, decision] })
  }
  const ofHead = decisions.flatMap(({ type, decision }) => (type === undefined ? [decision] : []))
  if (head.decisions.length + ofHead.length > limits.decisionsPerType) return refuse('too many decisions were made')
  const next = await headAfter(books, { decisions: [...head.decisions, ...ofHead] }, changed)
  const feed = await changesBetween(shown, await shown.after(next, changed))
  const parts = together(
    await bookParts(ports, recordId, books, next, changed),
    await changeParts(ports, recordId, seq, at, feed),
  )
  return { kind: 'decided', parts, decisions: decisions.map(({ decision }) => decision.id) }
}

async function placedDeeds(request: DeedRequest, shown: Shown): Promise<readonly Placed[] | Refused> {
  switch (request.kind) {
    case 'mode':
      return [{ deed: { kind: 'mode', sender: request.sender, mode: request.mode } }]
    case 'undo':
      return undoing(request.decision, shown.books)
    case 'release':
    case 'reject':
    case 'add-document':
      return ofDocument(request.kind, request.document, shown)
    default:
      return ofEntry(request, shown)
  }
}

async function undoing(id: string, books: Books): Promise<readonly Placed[] | Refused> {
  for (const { type, decision, undone } of await allDecisions(books)) {
    if (decision.id !== id) continue
    if (decision.deed.kind === 'undo') return notPossible('what was undone is decided again, not undone twice')
    if (undone) return notPossible('it is undone already')
    return [{ ...(type && { type }), deed: { kind: 'undo', decision: id } }]
  }
  return { kind: 'missing', detail: 'no such decision' }
}

async function ofDocument(
  kind: 'release' | 'reject' | 'add-document',
  sha256: string,
  { documents, entries, standing: stands }: Shown,
): Promise<readonly Placed[] | Refused> {
  if (!documents.has(sha256)) return { kind: 'missing', detail: 'no such document' }
  const { held, rejected, released, against } = stands
  const outside = held.has(sha256) || rejected.has(sha256)
  if (kind === 'add-document') {
    if (outside) return notPossible('the document has to be released first')
    const wanted = (await entries()).filter(
      ({ state, members }) => state === 'proposed' && members.some(({ fact }) => fact.document === sha256),
    )
    return wanted.map((entry) => ({ type: entry.type, deed: { kind: 'add', statements: sayingsOf(entry) } }))
  }
  if (kind === 'release') {
    // Releasing what stands already speaks for it, where another is held against it.
    const disputed = [...against.values()].some((others) => others.includes(sha256))
    if (!outside && (!disputed || released.has(sha256))) return notPossible('it is not held')
    const unasked = against.get(sha256)?.some((other) => !released.has(other))
    if (unasked) return notPossible('another document tells of somebody else: release or reject that one first')
  }
  if (kind === 'reject' && rejected.has(sha256)) return notPossible('it is rejected already')
  return [{ deed: { kind, document: sha256 } }]
}

/** Statements that one split can name: all of them stand in the decision. */
const splitAtMost = 500

type OfEntry = Extract<DeedRequest, { readonly entry: string }>

async function ofEntry(request: OfEntry, shown: Shown): Promise<readonly Placed[] | Refused> {
  const entry = await shown.named(request.entry)
  if (!entry) return { kind: 'missing', detail: 'no such entry' }
  if (request.version !== undefined && request.version !== entry.version) {
    return { kind: 'stale', detail: 'the entry changed since it was read' }
  }
  if (isOfAnother(entry.state)) return notPossible('its document has to be released first')
  if (entry.state === 'deleted') return notPossible('it is deleted: restore it first')
  const deed = await deedOn(entry, request, shown)
  return 'detail' in deed ? deed : [{ type: entry.type, deed }]
}

async function deedOn(entry: Reconciled, request: OfEntry, shown: Shown): Promise<Deed | Refused> {
  const statements = idsOf(entry)
  switch (request.kind) {
    case 'add':
    case 'ignore':
      return { kind: request.kind, statements: sayingsOf(entry) }
    case 'replace': {
      const other = await partner(entry, request.replaces, shown)
      if ('detail' in other) return other
      if (other.state !== 'current') return notPossible('only a current entry is replaced')
      return { kind: 'replace', statements: sayingsOf(entry), replaced: sayingsOf(other) }
    }
    case 'merge': {
      const other = await partner(entry, request.with, shown)
      if ('detail' in other) return other
      // What happened and what did not, what is planned and what was done, are never one (nor in FHIR, nor in CDA R2).
      if (other.shown.pole !== entry.shown.pole) return notPossible('one denies or plans what the other does not')
      return { kind: 'merge', one: entry.shown.id, other: other.shown.id }
    }
    case 'split': {
      const out = request.statements.filter((id) => statements.includes(id))
      const from = statements.filter((id) => !out.includes(id))
      if (out.length !== new Set(request.statements).size) return notPossible('a statement is not of this entry')
      if (entry.members.some(({ fact }) => fact.written && out.includes(fact.id)))
        return notPossible('what was written here stays with its entry')
      if (out.length === 0 || from.length === 0) return notPossible('some statements go, and some stay')
      if (statements.length > splitAtMost) return notPossible('too many statements to split')
      return { kind: 'split', statements: out, from }
    }
    case 'choose':
      if (!statements.includes(request.statement)) return notPossible('the statement is not of this entry')
      return { kind: 'choose', statement: request.statement }
  }
}

/** Another entry of the same kind. */
async function partner(entry: Reconciled, id: string, shown: Shown): Promise<Reconciled | Refused> {
  const other = await shown.named(id)
  if (!other) return { kind: 'missing', detail: 'no such other entry' }
  if (other.id === entry.id) return notPossible('both are the same entry')
  if (other.type !== entry.type) return notPossible('the other entry is of another kind')
  if (other.state === 'deleted') return notPossible('the other is deleted: restore it first')
  return isOfAnother(other.state) ? notPossible('the other document has to be released first') : other
}

function notPossible(detail: string) {
  return { kind: 'not-possible' as const, detail }
}

function idsOf({ members }: Reconciled): readonly string[] {
  return members.map(({ fact }) => fact.id)
}

/** One statement for each thing said, the shown one among them: what is decided on it holds for all that say the same. */
function sayingsOf({ members, shown }: Reconciled): readonly string[] {
  const sayings = new Map(members.map(({ fact }) => [fact.says, fact.id]))
  return [...sayings.set(shown.says, shown.id).values()]
}

interface Logged {
  readonly type?: RecordItemType
  readonly decision: Decision
  readonly undone: boolean
}

async function allDecisions(books: Books): Promise<readonly Logged[]> {
  const logged = withUndone(books.head.decisions)
  for (const type of recordItemTypes) {
    const { decisions } = await books.ledger(type)
    logged.push(...withUndone(decisions).map((one) => ({ ...one, type })))
  }
  return logged
}

function withUndone(decisions: readonly Decision[]): Logged[] {
  const stand = new Set(standing(decisions).map(({ id }) => id))
  return decisions.map((decision) => ({
    decision,
    undone: decision.deed.kind !== 'undo' && !stand.has(decision.id),
  }))
}

/** Every decision on a record, newest first; of one entry where it is named, whatever its statements belonged to then. */
export async function decisionsOn(books: Books, entry?: Reconciled): Promise<readonly DecisionView[]> {
  const ids = entry && new Set(idsOf(entry))
  const all = (await allDecisions(books)).map(({ decision, undone }) => ({ ...decision, undone }))
  const own = new Set(ids && all.filter(({ deed }) => statementsIn(deed).some((id) => ids.has(id))).map(({ id }) => id))
  const wanted = ids
    ? all.filter(({ id, deed }) => own.has(id) || (deed.kind === 'undo' && own.has(deed.decision)))
    : all
  return wanted.sort((a, b) => b.seq - a.seq || (a.id < b.id ? 1 : -1))
}

function statementsIn(deed: Deed): readonly string[] {
  switch (deed.kind) {
    case 'add':
    case 'ignore':
    case 'delete':
    case 'restore':
      return deed.statements
    case 'replace':
      return [...deed.statements, ...deed.replaced]
    case 'split':
      return [...deed.statements, ...deed.from]
    case 'merge':
      return [deed.one, deed.other]
    case 'choose':
      return [deed.statement]
    default:
      return []
  }
}
