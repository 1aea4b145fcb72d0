import type { RecordAccess } from '../direct/access.js'
import type { RecordItemType } from '../direct/clinical.js'
import { type Batch, within } from '../ports/store.js'
import type { Vault } from '../ports/vault.js'
import type { Shown } from './entries.js'
import type { ChangesQuery, RecordChange, RecordChanges, recordLimits, StoredItem, Whose } from './item.js'
import type { BookPorts } from './ledger.js'
import type { Reconciled } from './reconcile/reconcile.js'
import { changeKey, changePrefix, isId, itemKey, openJson, ownerOf, sealJson } from './rows.js'
import { type Look, lookOf, mayBeSeen, needsShape, opensTo, recordOf } from './sight.js'

/** What a commit did to one entry: how it looked before and after; absent where there was none. */
export interface EntryChange {
  readonly entry: string
  readonly type: RecordItemType
  readonly before?: Omit<Look, 'type'>
  readonly after?: Omit<Look, 'type'>
}

/** The row of one commit. */
interface ChangeRow {
  /** Unix milliseconds. */
  readonly at: number
  readonly changes: readonly EntryChange[]
}

/** What must be committed with a revision so that the feed tells of it; every revision has its row, an empty one too. */
export async function changeParts(
  { vault }: { readonly vault: Vault },
  recordId: string,
  revision: number,
  at: number,
  changes: readonly EntryChange[],
): Promise<Batch> {
  const key = changeKey(recordId, revision)
  const row: ChangeRow = { at, changes }
  return { put: [{ key, value: await sealJson(vault, ownerOf(recordId), key, row) }] }
}

export function changeOf(before: Reconciled | undefined, after: Reconciled | undefined): EntryChange | undefined {
  const some = after ?? before
  if (!some) return undefined
  const look = (entry: Reconciled) => {
    const { type: _, ...rest } = lookOf(entry)
    return rest
  }
  return {
    entry: some.id,
    type: some.type,
    ...(before && { before: look(before) }),
    ...(after && { after: look(after) }),
  }
}

/** What differs between two states of a record, entry by entry. */
export async function changesBetween(before: Shown, after: Shown): Promise<readonly EntryChange[]> {
  const types = before.differs(after)
  if (types.length === 0) return []
  const was = new Map((await before.entries(types)).map((entry) => [entry.id, entry]))
  const changes: EntryChange[] = []
  for (const entry of await after.entries(types)) {
    const old = was.get(entry.id)
    was.delete(entry.id)
    const change = old?.version === entry.version ? undefined : changeOf(old, entry)
    if (change) changes.push(change)
  }
  for (const gone of was.values()) changes.push(changeOf(gone, undefined) as EntryChange)
  return changes
}

/** One page of the feed. Rows of which the caller may see nothing are passed over, a bounded number for each page. */
export async function listChanges(
  ports: BookPorts & { shownIn(recordId: string): Promise<Shown> },
  whose: Whose,
  { after = 0, cursor, limit }: ChangesQuery,
  limits: typeof recordLimits,
): Promise<RecordChanges | { readonly kind: 'bad-cursor' }> {
  const { record, access } = recordOf(whose)
  const from = cursor === undefined ? { sequence: after, index: -1 } : readCursor(cursor)
  if (!from) return { kind: 'bad-cursor' }
  if (!isId(record)) return { kind: 'changes', changes: [], latest: 0, next: writeCursor(from), more: false }
  const size = Math.min(Math.max(1, Math.trunc(limit ?? limits.pageDefault)), limits.changesPage)
  const shown = await ports.shownIn(record)
  const latest = shown.books.head.revision
  const changes: RecordChange[] = []
  const sight = sightOf(ports, record, access, shown)
  let at = from
  for (let read = 0; read < limits.changeRowsPerPage; ) {
    // A row that is told to its end is not read again.
    const first = at.index < 0 ? at.sequence + 1 : at.sequence
    const gte = changeKey(record, first)
    const rows = await ports.store.range({ gte, lt: within(changePrefix(record)).lt, limit: 100 })
    for (const { key, value } of rows) {
      const sequence = Number(key.slice(key.lastIndexOf('/') + 1))
      const row = await openJson<ChangeRow>(ports.vault, ownerOf(record), key, value)
      for (const [index, change] of row.changes.entries()) {
        if (sequence === at.sequence && index <= at.index) continue
        if (changes.length >= size) return { kind: 'changes', changes, latest, next: writeCursor(at), more: true }
        at = { sequence, index }
        const operation = operationOf(change, await sight(change))
        if (operation) changes.push({ sequence, operation, entry: change.entry, type: change.type, at: row.at })
      }
      at = { sequence, index: -1 }
      read++
    }
    if (rows.length < 100) return { kind: 'changes', changes, latest, next: writeCursor(at), more: false }
  }
  return { kind: 'changes', changes, latest, next: writeCursor(at), more: true }
}

/** Whether somebody saw the entry before, and sees it after. */
interface Seen {
  readonly before: boolean
  readonly after: boolean
}

/** What an entry's words say of it is asked of what it shows now: what it showed then is history. */
function sightOf(ports: BookPorts, record: string, access: RecordAccess | undefined, shown: Shown) {
  return async ({ entry, type, before, after }: EntryChange): Promise<Seen> => {
    const sees = (look: Omit<Look, 'type'> | undefined) => look !== undefined && mayBeSeen({ ...look, type }, access)
    const seen = { before: sees(before), after: sees(after) }
    if ((!seen.before && !seen.after) || !needsShape(access)) return seen
    const now = await shown.named(entry)
    const row = now && (await ports.store.get(itemKey(record, now.shown.id)))
    if (!row) return { before: false, after: false }
    const { item } = await openJson<StoredItem>(ports.vault, ownerOf(record), row.key, row.value)
    return opensTo(item, now.shown.day, access, 'by-search') ? seen : { before: false, after: false }
  }
}

function operationOf({ before, after }: EntryChange, seen: Seen): RecordChange['operation'] | undefined {
  if (!seen.before && !seen.after) return undefined
  if (!seen.after || (after?.state === 'deleted' && before?.state !== 'deleted')) return 'delete'
  if (before?.state === 'deleted' && after?.state !== 'deleted') return 'restore'
  return seen.before ? 'update' : 'create'
}

interface Position {
  readonly sequence: number
  /** Of the last change told within the row; -1 where all of the row was. */
  readonly index: number
}

function writeCursor({ sequence, index }: Position): string {
  return Buffer.from(`${sequence}.${index}`).toString('base64url')
}

function readCursor(text: string): Position | undefined {
  const found = /^(\d{1,12})\.(-1|\d{1,6})$/.exec(Buffer.from(text, 'base64url').toString('latin1'))
  return found ? { sequence: Number(found[1]), index: Number(found[2]) } : undefined
}
