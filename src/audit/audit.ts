import { createHash, timingSafeEqual } from 'node:crypto'
import type { Audit, AuditEntry } from '../ports/audit.js'
import type { LogEntry, Store } from '../ports/store.js'

const log = 'audit'

/** What one entry may hold: ids and a reason. A stranger's text that found its way here is cut, not refused. */
export const auditLimits = {
  /** An address has at most 320 characters; nothing that is only an id is longer. */
  wordCharacters: 400,
  /** Reasons are refusal names, or one sentence. */
  reasonCharacters: 2000,
  subjectWords: 32,
} as const

/**
 * The audit log as batches append to it: JSON with its keys in order, so that one entry has one encoding. Control
 * characters are escaped by JSON, so that no entry can forge a second line.
 */
export const audit: Audit = {
  entry: (entry) => ({ log, value: encodeEntry(entry) }),
}

export function encodeEntry(entry: AuditEntry): Uint8Array {
  const subject = Object.entries(entry.subject)
    .slice(0, auditLimits.subjectWords)
    .map(([name, value]) => [cut(name), cut(value)] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1))
  // In the order of the alphabet, as in the subject.
  const canonical = {
    action: cut(entry.action),
    actor: cut(entry.actor),
    at: entry.at,
    outcome: entry.outcome,
    ...(entry.reason === undefined ? {} : { reason: entry.reason.slice(0, auditLimits.reasonCharacters) }),
    // Null prototype: a subject word called __proto__ is a word.
    subject: Object.assign(Object.create(null), Object.fromEntries(subject)),
  }
  return Buffer.from(JSON.stringify(canonical))
}

/** Reads an entry back; undefined for bytes that are no entry. */
export function decodeEntry(value: Uint8Array): AuditEntry | undefined {
  try {
    const entry = JSON.parse(Buffer.from(value).toString()) as AuditEntry | null
    return typeof entry?.action === 'string' && typeof entry.at === 'number' ? entry : undefined
  } catch {
    return undefined
  }
}

/** A place in the log that somebody wrote down elsewhere: whoever can rewrite the whole log cannot rewrite that. */
export interface ChainHead {
  /** 0 for an empty log. */
  readonly sequence: number
  /** SHA-256, lower-case hex; 64 zeros for an empty log. */
  readonly link: string
}

export type ChainVerdict =
  | { readonly kind: 'whole'; readonly head: ChainHead }
  /** The first entry that does not follow from the one before it, or that is not there. */
  | { readonly kind: 'broken'; readonly sequence: number; readonly detail: string }

/**
 * Walks a log from its first entry, recomputes every link and compares the heads that were written down earlier. Finds any
 * entry that was changed, dropped or put in; entries cut off at the end only through a `known` head, since what
 * is left is a whole chain.
 */
export async function verifyChain(
  store: Pick<Store, 'log'>,
  options: { readonly known?: readonly ChainHead[]; readonly log?: string; readonly pageEntries?: number } = {},
): Promise<ChainVerdict> {
  const known = new Map((options.known ?? []).map((head) => [head.sequence, head.link]))
  const pageEntries = options.pageEntries ?? 1000
  let sequence = 0
  let link: Uint8Array = new Uint8Array(32)
  while (true) {
    const page = await store.log(options.log ?? log, sequence + 1, pageEntries)
    for (const entry of page) {
      const detail = chainBreak({ sequence, link }, entry, known.get(entry.sequence))
      if (detail) return { kind: 'broken', sequence: sequence + 1, detail }
      sequence = entry.sequence
      link = entry.link
    }
    if (page.length < pageEntries) break
  }
  const missing = [...known.keys()].filter((at) => at > sequence).sort((a, b) => a - b)
  if (missing.length > 0)
    return {
      kind: 'broken',
      sequence: sequence + 1,
      detail: `The log ends before entry ${missing[0]}, which was there`,
    }
  return { kind: 'whole', head: { sequence, link: Buffer.from(link).toString('hex') } }
}

/** Why an entry does not follow from the one before it, or is not the one that was written down; undefined where it does. */
export function chainBreak(
  before: { readonly sequence: number; readonly link: Uint8Array },
  entry: LogEntry,
  knownLink: string | undefined,
): string | undefined {
  if (entry.sequence !== before.sequence + 1) return `Entry ${before.sequence + 1} is missing`
  const link = createHash('sha256').update(before.link).update(entry.value).digest()
  if (entry.link.length !== link.length || !timingSafeEqual(link, entry.link))
    return `Entry ${entry.sequence} is not what was written, or not where it was written`
  if (knownLink !== undefined && knownLink !== link.toString('hex'))
    return `Entry ${entry.sequence} has another link than was written down: the log was written anew`
  return undefined
}

/** Entries by sequence number, for people: `from` inclusive, at most `limit` (1 to 10,000). */
export async function readAudit(
  store: Pick<Store, 'log'>,
  from: number,
  limit: number,
): Promise<readonly { readonly sequence: number; readonly entry: AuditEntry | undefined }[]> {
  const page = await store.log(log, from, limit)
  return page.map(({ sequence, value }) => ({ sequence, entry: decodeEntry(value) }))
}

function cut(text: string): string {
  return text.slice(0, auditLimits.wordCharacters)
}
