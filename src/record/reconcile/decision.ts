import type { Actor } from '../../direct/access.js'

/** How a sender's documents come into a record: all proposals wait for a person, or what is safe is taken at once. */
export type ReconcileMode = 'review' | 'automatic'

/** What a person decides; statements are named by their ids, so that a decision outlives every new import. */
export type Deed =
  /** These statements belong in the record: a new entry, or a newer version or a merge confirmed. */
  | { readonly kind: 'add'; readonly statements: readonly string[] }
  /** They do not; nothing is deleted. */
  | { readonly kind: 'ignore'; readonly statements: readonly string[] }
  /** They do, in place of another entry. */
  | { readonly kind: 'replace'; readonly statements: readonly string[]; readonly replaced: readonly string[] }
  /** Two statements tell of one thing, though nothing in them says so. */
  | { readonly kind: 'merge'; readonly one: string; readonly other: string }
  /** These statements tell of another thing than those they were merged with. */
  | { readonly kind: 'split'; readonly statements: readonly string[]; readonly from: readonly string[] }
  /** Of several that do not agree, this statement is shown. */
  | { readonly kind: 'choose'; readonly statement: string }
  /** A document about another patient, as it seemed, is about this one; or it is not. */
  | { readonly kind: 'release'; readonly document: string }
  | { readonly kind: 'reject'; readonly document: string }
  | { readonly kind: 'mode'; readonly sender: string; readonly mode: ReconcileMode }
  /** Whatever these statements told of is deleted; all of them stay in the record's history. */
  | { readonly kind: 'delete'; readonly statements: readonly string[]; readonly shown: string }
  /** It is not; as before, this statement is shown. */
  | { readonly kind: 'restore'; readonly statements: readonly string[]; readonly shown: string }
  /** As if that decision had never been made. */
  | { readonly kind: 'undo'; readonly decision: string }

export interface Decision {
  readonly id: string
  /** Revision of the record that it made: later ones go over earlier ones. */
  readonly seq: number
  /** Unix milliseconds. */
  readonly at: number
  /** Who decided, as the audit log names them. */
  readonly by: string
  /** Who they are and how they came, where that is known. */
  readonly actor?: Actor
  readonly deed: Deed
}

/** Decisions that stand, in their order: those that were not undone. */
export function standing(decisions: readonly Decision[]): readonly Decision[] {
  const undone = new Set(decisions.flatMap(({ deed }) => (deed.kind === 'undo' ? [deed.decision] : [])))
  return decisions
    .filter(({ id, deed }) => deed.kind !== 'undo' && !undone.has(id))
    .sort((a, b) => a.seq - b.seq || (a.id < b.id ? -1 : 1))
}
