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
