import { createHash } from 'node:crypto'
import type { Permission } from '../direct/access.js'
import type { RecordItem, RecordItemType } from '../direct/clinical.js'
import { type Batch, together } from '../ports/store.js'
import type { Clock } from '../ports/world.js'
import { authoredProblem } from './authored.js'
import { isReadOnly, type Shown } from './entries.js'
import { changeOf, changeParts, type EntryChange } from './feed.js'
import type {
  Author,
  Authored,
  AuthoredItem,
  ItemBlob,
  ItemChange,
  PutOutcome,
  PutProblem,
  recordLimits,
  StoredItem,
} from './item.js'
import { type BookPorts, bookParts, headAfter, type Ledger, type Usage } from './ledger.js'
import type { Decision, Deed } from './reconcile/decision.js'
import { type Fact, factOf, stable, type Written } from './reconcile/fact.js'
import { entryWith, isOfAnother, type Reconciled } from './reconcile/reconcile.js'
import { blobKey, clientKey, dayOf, isId, itemKey, openJson, ownerOf, sealJson, sweepKey, uploadKey } from './rows.js'
import { authorOf, lookOf, mayBeSeen, opensTo } from './sight.js'
import type { StoredBlob } from './uploads.js'

export interface PutPorts extends BookPorts {
  readonly clock: Clock
  shownIn(recordId: string): Promise<Shown>
}

type Refused = { readonly problem: PutProblem; readonly detail: string }

/** What one change comes to: the entry that it is of and, where it is not there yet, the statement and the deed. */
interface Step {
  readonly type: RecordItemType
  readonly before?: Reconciled
  readonly fact?: Fact
  readonly deed?: Deed
  readonly parts?: Batch
  readonly bytes?: number
  /** Nothing is changed: it was created before. */
  readonly repeats?: Reconciled
}

/** What all changes of one put have in common. */
interface Putting extends PutPorts {
  readonly record: string
  readonly by: Author
  readonly shown: Shown
  readonly seq: number
  readonly at: number
  readonly limits: typeof recordLimits
  /** Entries, client ids and blobs that an earlier change of the put has taken. */
  readonly taken: Set<string>
}

/**
 * Judges every change by the record as it is now and answers what must be committed for all of them, or the first that
 * cannot be done. A statement is never changed: an update is a new statement of its entry, a deletion a decision on it, so
 * that old versions stay.
 */
export async function putItems(
  ports: PutPorts,
  record: string,
  changes: readonly ItemChange[],
  by: Author,
  limits: typeof recordLimits,
): Promise<PutOutcome> {
  const refuse = (index: number, { problem, detail }: Refused) => ({ kind: 'refused', index, problem, detail }) as const
  if (!isId(record) || by.access.record !== record) return refuse(0, missing)
  if (changes.length === 0 || changes.length > limits.changesPerPut)
    return refuse(0, { problem: 'bad-item', detail: `1 to ${limits.changesPerPut} changes at once` })
  const shown = await ports.shownIn(record)
  const { head } = shown.books
  const at = ports.clock.now()
  const putting = { ...ports, record, by, shown, seq: head.revision + 1, at, limits, taken: new Set<string>() }
  const steps: Step[] = []
  let usage: Usage = head.usage ?? { items: 0, bytes: 0 }
  for (const [index, change] of changes.entries()) {
    const step = await stepOf(putting, change, index)
    if ('problem' in step) return refuse(index, step)
    if (step.fact) {
      usage = { items: usage.items + 1, bytes: usage.bytes + (step.bytes ?? 0) }
      if (usage.items > limits.itemsPerRecord || usage.bytes > limits.bytesPerRecord)
        return refuse(index, { problem: 'quota', detail: 'the record is full' })
    }
    steps.push(step)
  }
  const made = steps.filter(({ repeats }) => !repeats)
  if (made.length === 0) {
    const items = steps.flatMap(({ repeats }) => (repeats ? [told(repeats, true)] : []))
    return { kind: 'put', parts: {}, sequence: head.revision, items }
  }

  const { changed, decisions } = await ledgersWith(putting, made)
  for (const [type, { facts }] of changed) {
    if (facts.length <= limits.statementsPerType) continue
    const index = steps.findIndex((step) => step.type === type && step.fact)
    if (index >= 0) return refuse(index, { problem: 'quota', detail: 'the record has no room for more of this kind' })
  }
  const next = await headAfter(shown.books, { usage }, changed)
  const after = await shown.after(next, changed)
  const entries = new Map(made.map((step) => [step, entryAfter(step, decisions.get(step.type) ?? [], after)]))
  const items = steps.map((step) => {
    const entry = step.repeats ?? entries.get(step)
    if (!entry) throw new Error('A step without an entry')
    return told(entry, step.repeats !== undefined)
  })
  const feed = [...entries].flatMap(([{ before }, entry]): EntryChange[] => {
    const change = changeOf(before, entry)
    return change ? [change] : []
  })
  const parts = together(
    ...made.map(({ parts: own = {} }) => own),
    await changeParts(ports, record, next.revision, at, feed),
    await bookParts(ports, record, shown.books, next, changed),
  )
  return { kind: 'put', parts, sequence: next.revision, items }
}

const missing: Refused = { problem: 'missing', detail: 'no such item' }

function told({ id, version }: Reconciled, repeated: boolean) {
  return { id, version, ...(repeated && { repeated: true as const }) }
}

/** The entry that a step leaves. */
function entryAfter({ before, fact }: Step, decisions: readonly Decision[], { standing }: Shown): Reconciled {
  const members = [...(before?.members ?? []).map((member) => member.fact), ...(fact ? [fact] : [])]
  return entryWith(members, decisions, standing)
}

/** The ledgers with the statements and decisions of all steps, and all decisions by type. */
async function ledgersWith({ shown: { books }, seq, at, by: { access } }: Putting, steps: readonly Step[]) {
  const changed = new Map<RecordItemType, Ledger>()
  for (const [index, { type, fact, deed }] of steps.entries()) {
    const { facts, decisions } = changed.get(type) ?? (await books.ledger(type))
    const { actor } = access
    const decision = deed && { id: `${seq}.${String(index).padStart(5, '0')}`, seq, at, by: actor.by, actor, deed }
    changed.set(type, {
      facts: fact ? [...facts, fact] : facts,
      decisions: decision ? [...decisions, decision] : decisions,
    })
  }
  return { changed, decisions: new Map([...changed].map(([type, ledger]) => [type, ledger.decisions])) }
}

async function stepOf(putting: Putting, change: ItemChange, index: number): Promise<Step | Refused> {
  switch (change.kind) {
    case 'create':
      return creating(putting, change.item, index)
    case 'update':
      return updating(putting, change, index)
    case 'delete':
      return deleting(putting, change)
    case 'restore':
      return restoring(putting, change)
  }
}

async function creating(putting: Putting, item: AuthoredItem, index: number): Promise<Step | Refused> {
  const { by, shown, record, vault, taken, limits } = putting
  const { access } = by
  const wrong = authoredProblem(item, limits)
  if (wrong !== undefined) return { problem: 'bad-item', detail: wrong }
  const statement = statementOf(putting, item, index)
  const { type } = statement.content
  if (!opensTo(statement, dayOf(statement), access, 'by-id', 'create'))
    return { problem: 'denied', detail: 'no rule allows to create this' }
  if (item.flags?.personal && !access.custodian) return onlyCustodians
  const before = await clientIdOf(putting, item)
  if (before && 'problem' in before) return before
  if (before?.entry) return { type, repeats: before.entry }
  if (type === 'demographics') {
    const current = (await shown.entries([type])).some(({ state }) => state === 'current')
    if (current || taken.has(type)) return singleton
    taken.add(type)
  }
  const blobs = await blobParts(putting, item.blobs ?? [], [])
  if ('problem' in blobs) return blobs
  const { clientId, flags, related, tags, endsAt } = item
  const authored: Authored = {
    actor: access.actor,
    ...(clientId !== undefined && { clientId }),
    ...(flags && { flags }),
    ...besideOf({ related, tags, endsAt, blobs: item.blobs }),
  }
  const row = await itemRow(putting, statement, authored)
  if (row.bytes > limits.itemBytes) return tooLarge
  const client = clientId === undefined ? {} : await clientRow(putting, clientId, item, statement.id)
  const fact = factFor(putting, statement, { authored })
  return { type, fact, parts: together(row.parts, client, blobs.parts), bytes: row.bytes + blobs.bytes }

  async function clientRow({ by: author }: Putting, name: string, of: AuthoredItem, entry: string): Promise<Batch> {
    const key = clientKey(record, authorOf(author.access.actor), name)
    const value = await sealJson(vault, ownerOf(record), key, { entry, digest: digestOfAuthored(of) })
    return { require: [{ key, version: 'absent' }], put: [{ key, value }] }
  }
}

type Changing = Extract<ItemChange, { readonly entry: string }>

async function updating(
  putting: Putting,
  change: Extract<ItemChange, { readonly kind: 'update' }>,
  index: number,
): Promise<Step | Refused> {
  const { by, shown, limits } = putting
  const { access } = by
  const { item } = change
  const target = await targetOf(putting, change, 'update')
  if ('problem' in target) return target
  const { entry, stored } = target
  const wrong = authoredProblem(item, limits)
  if (wrong !== undefined) return { problem: 'bad-item', detail: wrong }
  if (entry.type === 'document') return { problem: 'immutable', detail: 'documents are never changed' }
  if (item.content.type !== entry.type) return { problem: 'bad-item', detail: 'an item keeps its type' }
  const statement = statementOf(putting, item, index)
  if (!opensTo(statement, dayOf(statement), access, 'by-id', 'update'))
    return { problem: 'denied', detail: 'no rule allows to make this of it' }
  const { clientId = stored.authored?.clientId, flags, related, tags, endsAt } = item
  if (clientId !== stored.authored?.clientId) return { problem: 'bad-item', detail: 'an item keeps its client id' }
  const readOnly = isReadOnly(entry, shown.documents)
  if (flags?.readOnly !== undefined && flags.readOnly !== readOnly)
    return { problem: 'bad-item', detail: 'an item is read-only from its creation, or never' }
  const was = lookOf(entry).personal === true
  const personal = flags?.personal ?? was
  if (personal !== was && !access.custodian) return onlyCustodians
  const authored: Authored = {
    actor: access.actor,
    ...(clientId !== undefined && { clientId }),
    ...((personal || readOnly) && { flags: { ...(personal && { personal }), ...(readOnly && { readOnly }) } }),
    ...besideOf({ related, tags, endsAt, blobs: item.blobs }),
  }
  if (readOnly && saysOf(statement, authored) !== saysOf(stored.item, stored.authored))
    return { problem: 'read-only', detail: 'it is read-only but for the day on which it ends' }
  if (entry.type === 'demographics' && (await othersAreCurrent(shown, entry))) return singleton
  const blobs = await blobParts(putting, item.blobs ?? [], stored.authored?.blobs ?? [])
  if ('problem' in blobs) return blobs
  const row = await itemRow(putting, statement, authored)
  if (row.bytes > limits.itemBytes) return tooLarge
  const fact = factFor(putting, statement, { authored, of: entry.id })
  return {
    type: entry.type,
    before: entry,
    fact,
    parts: together(row.parts, blobs.parts),
    bytes: row.bytes + blobs.bytes,
  }
}

async function deleting(putting: Putting, change: Changing): Promise<Step | Refused> {
  const target = await targetOf(putting, change, 'delete')
  if ('problem' in target) return target
  const { entry } = target
  if (isReadOnly(entry, putting.shown.documents)) return { problem: 'read-only', detail: 'it is read-only' }
  return { type: entry.type, before: entry, deed: { kind: 'delete', ...statementsOf(entry) } }
}

async function restoring(putting: Putting, change: Changing): Promise<Step | Refused> {
  const { by, shown } = putting
  const target = await targetOf(putting, change, 'restore')
  if ('problem' in target) return target
  const { entry } = target
  if (!by.access.custodian) return { problem: 'denied', detail: 'custodians restore' }
  if (entry.type === 'demographics' && (await othersAreCurrent(shown, entry))) return singleton
  return { type: entry.type, before: entry, deed: { kind: 'restore', ...statementsOf(entry) } }
}

/**
 * The entry that a change is about, with what it shows; or why this caller may not do this to it. What they may not see, nor
 * change, nor delete is missing, exactly as what does not exist.
 */
async function targetOf(
  { store, vault, record, shown, by: { access }, taken }: Putting,
  { entry: id, version, kind }: Changing,
  permission: Extract<Permission, 'update' | 'delete'> | 'restore',
): Promise<{ readonly entry: Reconciled; readonly stored: StoredItem } | Refused> {
  const entry = isId(id) ? await shown.named(id) : undefined
  if (!entry) return missing
  const wanted = permission === 'restore' ? 'update' : permission
  const may = (['read', 'update', 'delete'] as const).filter((one) => mayBeSeen(lookOf(entry), access, one))
  if (may.length === 0) return missing
  const row = await store.get(itemKey(record, entry.shown.id))
  if (!row) return missing
  const stored = await openJson<StoredItem>(vault, ownerOf(record), row.key, row.value)
  const allowed = may.filter((one) => opensTo(stored.item, entry.shown.day, access, 'by-id', one))
  if (allowed.length === 0) return missing
  if (!allowed.includes(wanted)) return { problem: 'denied', detail: `no rule allows to ${kind} this` }
  if (version === undefined) return { problem: 'version-missing', detail: 'say which version was read' }
  if (version !== entry.version) return { problem: 'stale', detail: 'the item changed since it was read' }
  if (isOfAnother(entry.state)) return { problem: 'not-possible', detail: 'its document has to be released first' }
  if ((entry.state === 'deleted') !== (kind === 'restore'))
    return { problem: 'not-possible', detail: kind === 'restore' ? 'it is not deleted' : 'it is deleted' }
  if (taken.has(entry.id)) return { problem: 'not-possible', detail: 'it is changed twice at once' }
  taken.add(entry.id)
  return { entry, stored }
}

const singleton: Refused = { problem: 'singleton', detail: 'the record has this already, and only once: update it' }
const onlyCustodians: Refused = { problem: 'denied', detail: 'custodians alone say what is personal' }
const tooLarge: Refused = { problem: 'bad-item', detail: 'the item is too large; long things are blobs' }

async function othersAreCurrent(shown: Shown, { id, type }: Reconciled): Promise<boolean> {
  return (await shown.entries([type])).some((other) => other.state === 'current' && other.id !== id)
}

/** One statement for each thing said: what is decided on it holds for all that say the same. */
function statementsOf({ members, shown }: Reconciled) {
  const sayings = new Map(members.map(({ fact }) => [fact.says, fact.id]))
  return { statements: [...sayings.set(shown.says, shown.id).values()], shown: shown.id }
}

/** What was written as the record keeps it. Its id is told to applications, so it tells nothing of the record's own. */
function statementOf({ record, seq, at, by }: Putting, item: AuthoredItem, index: number): RecordItem {
  const { clientId: _, flags: __, related: ___, tags: ____, blobs: _____, endsAt: ______, authors, ...says } = item
  const id = createHash('sha256')
    .update(JSON.stringify([record, seq, index, at]))
    .digest('hex')
    .slice(0, 32)
  const text = new Date(at).toISOString().slice(0, 19)
  return {
    recordedAt: { text, precision: 'second', offsetMinutes: 0, source: text },
    ...says,
    id,
    provenance: { document: '', entry: '', authors: authors ?? by.authors ?? [] },
  }
}

function factFor(
  { seq, at, by }: Putting,
  statement: RecordItem,
  { authored: { flags, endsAt }, of }: { readonly authored: Authored; readonly of?: string },
): Fact {
  const written: Written = {
    ...{ at, actor: by.access.actor },
    ...(of !== undefined && { of }),
    ...(flags?.personal && { personal: true }),
    ...(flags?.readOnly && of === undefined && { readOnly: true }),
    ...(endsAt !== undefined && { endsAt }),
  }
  return factOf(statement, dayOf(statement), seq, false, written)
}

async function itemRow({ vault, record, seq, at }: Putting, item: RecordItem, authored: Authored) {
  const key = itemKey(record, item.id)
  const stored: StoredItem = { recordId: record, seq, addedAt: at, item, authored }
  const put = [{ key, value: await sealJson(vault, ownerOf(record), key, stored) }]
  return { parts: { require: [{ key, version: 'absent' as const }], put }, bytes: JSON.stringify(stored).length }
}

type Beside = Pick<AuthoredItem, 'related' | 'tags' | 'blobs' | 'endsAt'>

function besideOf(given: { readonly [Name in keyof Beside]: Beside[Name] | undefined }): Beside {
  const entries = Object.entries(given).filter(([, value]) => value !== undefined && !isEmpty(value))
  return Object.fromEntries(entries) as Beside
}

function isEmpty(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0
}

/** All that an item says, but for the day on which it ends. */
function saysOf(
  { id: _, provenance: __, recordedAt: ___, ...says }: RecordItem,
  { actor: ____, endsAt: _____, flags: ______, ...beside }: Partial<Authored> = {},
): string {
  return stable([says, beside])
}

function digestOfAuthored(item: AuthoredItem): string {
  return createHash('sha256').update(stable(item)).digest('base64url')
}

/** The entry that this author created under the client id, where it says the same; undefined where there is none. */
async function clientIdOf(
  { store, vault, record, shown, by, taken }: Putting,
  item: AuthoredItem,
): Promise<{ readonly entry: Reconciled } | Refused | undefined> {
  if (item.clientId === undefined) return undefined
  const used: Refused = { problem: 'client-id-used', detail: 'something else was created under this client id' }
  const key = clientKey(record, authorOf(by.access.actor), item.clientId)
  if (taken.has(key)) return used
  taken.add(key)
  const row = await store.get(key)
  if (!row) return undefined
  const known = await openJson<{ readonly entry: string; readonly digest: string }>(
    vault,
    ownerOf(record),
    key,
    row.value,
  )
  const entry = known.digest === digestOfAuthored(item) ? await shown.named(known.entry) : undefined
  return entry ? { entry } : used
}

/**
 * Binds blobs to what is written. Nobody but a custodian binds what they neither uploaded nor find in the item already:
 * knowing a digest is not having the bytes.
 */
async function blobParts(
  { store, vault, record, by, taken }: Putting,
  wanted: readonly ItemBlob[],
  present: readonly ItemBlob[],
): Promise<{ readonly parts: Batch; readonly bytes: number } | Refused> {
  const parts: Batch[] = []
  let bytes = 0
  for (const { sha256, sizeBytes } of wanted) {
    const key = blobKey(record, sha256)
    const row = await store.get(key)
    const blob = row && (await openJson<StoredBlob>(vault, ownerOf(record), key, row.value))
    const { custodian, actor } = by.access
    const own = custodian || blob?.by.includes(authorOf(actor)) || present.some((one) => one.sha256 === sha256)
    if (!row || !blob || !own || blob.sizeBytes !== sizeBytes)
      return { problem: 'blob-missing', detail: 'no finished upload has these bytes' }
    if (blob.dueAt === undefined || taken.has(key)) continue
    taken.add(key)
    const { dueAt, ...kept } = blob
    bytes += blob.sizeBytes
    parts.push({
      require: [{ key, version: row.version }],
      put: [{ key, value: await sealJson(vault, ownerOf(record), key, kept) }],
      del: [sweepKey(dueAt, record, blob.id), uploadKey(record, blob.id)],
    })
  }
  return { parts: together(...parts), bytes }
}
