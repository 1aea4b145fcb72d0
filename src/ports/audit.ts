/** One audited fact: who did what, to what, with which outcome. Never clinical content, names, subjects or secrets. */
export interface AuditEntry {
  /** Unix milliseconds. */
  readonly at: number
  readonly action: string
  /** `system`, an operator, a token id. */
  readonly actor: string
  /** Ids only: message, recipient, address, domain, certificate fingerprint. */
  readonly subject: Readonly<Record<string, string>>
  readonly outcome: 'success' | 'refused' | 'failed'
  readonly reason?: string
}

/** Turns an entry into what a batch appends to the `audit` log, so that it becomes true with what it tells of. */
export interface Audit {
  entry(entry: AuditEntry): {
    readonly log: 'audit'
    readonly value: Uint8Array
  }
}

/** Ids of the subject that reports are sorted by: the patient's record, the message, where it came from. */
export const auditSubjects = ['record', 'message', 'client'] as const

/** By what a report of the audit log is sorted: each datum that an entry has (45 CFR 170.210(e)(1)). */
export const auditFields = ['at', 'action', 'actor', 'outcome', 'reason', ...auditSubjects] as const
export type AuditField = (typeof auditFields)[number]

export interface AuditQuery {
  /** Unix milliseconds: from inclusive, to exclusive. */
  readonly from?: number
  readonly to?: number
  /** A whole word of the log, or its beginning with `*` behind: `api.*`. */
  readonly action?: string
  readonly actor?: string
  readonly outcome?: AuditEntry['outcome']
  /** Some id or address of the subject is this. */
  readonly subject?: string
  /** Default: at, as it was written. */
  readonly sort?: AuditField
  readonly descending?: boolean
  /** 1 to 1,000. */
  readonly limit: number
  /** `next` of the page before; only where it is sorted as it was written. */
  readonly after?: number
}

export type AuditPage =
  | {
      readonly kind: 'page'
      readonly entries: readonly ({ readonly sequence: number } & AuditEntry)[]
      readonly next?: number
    }
  /** More entries match than are sorted at once: narrow the times. */
  | { readonly kind: 'too-many'; readonly most: number }

/** What happened, by time and by whom (45 CFR 170.315(d)(3)). */
export interface AuditReport {
  report(query: AuditQuery): Promise<AuditPage>
}
