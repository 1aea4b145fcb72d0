import type { Audit, AuditEntry } from '../ports/audit.js'
import type { SlowHash } from '../ports/slow-hash.js'
import type { Batch, Store } from '../ports/store.js'
import type { Vault } from '../ports/vault.js'
import type { Clock, Random } from '../ports/world.js'
import type { AnswerMode } from './answer.js'
import { type CodeLetters, codeDigest } from './code.js'
import type { ConnectLimits } from './limits.js'
import type { ConnectRequest, KindRules, RequestEnd, RequestKind } from './request.js'
import {
  codeKey,
  openStored,
  type RequestRow,
  type RequestWords,
  requestKey,
  type Stored,
  storing,
  told,
} from './rows.js'

export interface RequestPorts {
  readonly store: Store
  readonly vault: Vault
  readonly clock: Clock
  readonly random: Random
  readonly audit: Audit
  readonly slowHash: SlowHash
  /** At least 32 bytes that are not in the store: without them a stolen store tells nothing of codes and external ids. */
  readonly indexKey: Uint8Array
}

export interface RequestOptions {
  /** What each kind adds. May be filled in after opening: rooms that build on the machine are its rules too. */
  readonly rules: { [kind in RequestKind]?: KindRules }
  readonly answers: AnswerMode
  readonly limits: ConnectLimits
}

/** What the parts of the machine share: reading rows, putting them back, and telling of them. */
export interface RequestLedger extends RequestPorts, RequestOptions {
  byId(id: string): Promise<Stored | undefined>
  byCode(letters: CodeLetters): Promise<Stored | undefined>
  digestOf(letters: CodeLetters): string
  /** Parts that put a changed request in the place of what was read. */
  put(stored: Stored, row: Partial<RequestRow>, words?: Partial<RequestWords>): Promise<Batch>
  /** What a request's kind makes true with an end, of the request as it will be. */
  ended(stored: Stored, row: Partial<RequestRow>, end: RequestEnd, words?: Partial<RequestWords>): Promise<Batch>
  view(stored: Stored, row?: Partial<RequestRow>, words?: Partial<RequestWords>): ConnectRequest
  /** An audit entry as a part. Ids only. */
  audited(
    action: string,
    actor: string,
    row: Pick<RequestRow, 'id' | 'of' | 'owner'>,
    outcome?: AuditEntry['outcome'],
    reason?: string,
  ): Batch
}

export function openLedger(ports: RequestPorts, options: RequestOptions): RequestLedger {
  const { store, vault, clock, audit, indexKey } = ports
  if (indexKey.length < 32) throw new Error('The key of the index needs 32 bytes')
  const digestOf = (letters: CodeLetters) => codeDigest(indexKey, letters)

  async function byId(id: string): Promise<Stored | undefined> {
    if (!/^[0-9a-f]{32}$/.test(id)) return undefined
    const entry = await store.get(requestKey(id))
    return entry && openStored(vault, entry)
  }

  const view: RequestLedger['view'] = ({ row, words }, changed = {}, more = {}) =>
    told({ row: { ...row, ...changed }, words: { ...words, ...more } }, clock.now())

  return {
    ...ports,
    ...options,
    byId,
    digestOf,
    async byCode(letters) {
      const entry = await store.get(codeKey(digestOf(letters)))
      return entry && byId(Buffer.from(entry.value).toString('latin1'))
    },
    put: ({ row, words, version }, changed, more) =>
      storing(vault, { ...row, ...changed }, { ...words, ...more }, version),
    async ended(stored, row, end, words) {
      return (await options.rules[stored.row.of]?.ended?.(view(stored, row, words), end, view(stored))) ?? {}
    },
    view,
    audited: (action, actor, { id, of, owner }, outcome = 'success', reason) => ({
      append: [
        audit.entry({
          ...{ at: clock.now(), action: `connect.${action}`, actor, outcome },
          subject: { request: id, kind: of, owner },
          ...(reason !== undefined && { reason }),
        }),
      ],
    }),
  }
}
