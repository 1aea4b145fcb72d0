import type { Shown } from './entries.js'
import type { ItemVersion, StoredItem } from './item.js'
import type { BookPorts } from './ledger.js'
import { entryWith } from './reconcile/reconcile.js'
import { isId, itemKey, openJson, ownerOf } from './rows.js'

/**
 * Every version of an entry, newest first: what was told and written, and every time that it was deleted and restored.
 * Throws VaultFailed at a statement whose row is damaged.
 */
export async function historyOf(
  { store, vault }: BookPorts,
  record: string,
  id: string,
  { books, documents, named, standing }: Shown,
): Promise<readonly ItemVersion[]> {
  const entry = isId(id) ? await named(id) : undefined
  if (!entry) return []
  const versions: (Omit<ItemVersion, 'version'> & { readonly seq: number })[] = []
  for (const { fact } of entry.members) {
    const row = await store.get(itemKey(record, fact.id))
    if (!row) continue
    const { item, addedAt } = await openJson<StoredItem>(vault, ownerOf(record), row.key, row.value)
    const { written, seq } = fact
    const by = written
      ? { at: written.at, actor: written.actor }
      : { at: documents.get(fact.document)?.addedAt ?? addedAt }
    versions.push({ operation: fact.id === entry.id ? 'create' : 'update', by, item, seq })
  }
  const ids = new Set(entry.members.map(({ fact }) => fact.id))
  const { decisions } = await books.ledger(entry.type)
  const deletions = new Set<string>()
  for (const { id: decision, seq, at, by, actor, deed } of decisions) {
    const stamp = { at, actor: actor ?? { by, avenue: 'page' as const } }
    const about = deed.kind === 'delete' || deed.kind === 'restore' ? deed.statements : []
    if (about.some((one) => ids.has(one)) && (deed.kind === 'delete' || deed.kind === 'restore')) {
      if (deed.kind === 'delete') deletions.add(decision)
      versions.push({ operation: deed.kind, by: stamp, decision, seq })
    }
    if (deed.kind === 'undo' && deletions.has(deed.decision))
      versions.push({ operation: 'restore', by: stamp, decision, seq })
  }
  const facts = entry.members.map(({ fact }) => fact)
  return versions
    .sort((a, b) => b.seq - a.seq)
    .map(({ seq, ...version }, index) => {
      if (index === 0) return { ...version, version: entry.version }
      const then = entryWith(
        facts.filter((fact) => fact.seq <= seq),
        decisions.filter((decision) => decision.seq <= seq),
        standing,
      )
      return { ...version, version: then.version }
    })
}
