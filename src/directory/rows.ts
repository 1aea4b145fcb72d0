import type { Audit } from '../ports/audit.js'
import { type Batch, type Entry, type Store, together, within } from '../ports/store.js'
import type { Clock, Random } from '../ports/world.js'
import { recent } from '../x509/recent.js'
import type { TestOnlyPolicy } from './certificate.js'
import type { DomainPolicy } from './policy.js'

/** What wraps private keys; the keyring, of which the directory needs no more. */
export interface Wrapping {
  wrap(purpose: string, id: string, plaintext: Uint8Array): Uint8Array
  rewrap(purpose: string, id: string, wrapped: Uint8Array): Uint8Array | undefined
}

export interface DirectoryPorts extends TestOnlyPolicy {
  readonly store: Store
  readonly keyring: Wrapping
  readonly audit: Audit
  readonly clock: Clock
  readonly random: Random
  /** What a domain demands where it did not choose. */
  readonly defaults?: Partial<DomainPolicy>
}

/** What the directory keeps, and what an owner may have of it. */
export const directoryLimits = {
  /** Rows and lists remembered; a row is under 1 KB, a list of anchors some 50 KB. Strangers' addresses are never remembered. */
  rows: 50_000,
  lists: 10_000,
  /** Certificates in one chain, as in paths: eight is twice the deepest hierarchy in use. */
  chain: 8,
  keysPerOwner: 64,
  /** A trust bundle has some hundreds of anchors. */
  anchorsPerOwner: 2000,
  /** Communities that a domain is a member of, and those known to the gateway. */
  bundlesPerDomain: 20,
  bundles: 200,
  /** As many as are read of one (see x509/bundle.ts). */
  anchorsPerBundle: 2000,
  /** Certificates named in the audit entry of a change; the others are counted. */
  auditedAnchors: 200,
  peersPerOwner: 64,
  /** Partners whose systems are behind the standard; all are read together. */
  encryption: 2000,
  issuers: 10_000,
  domains: 10_000,
  tokens: 5000,
  /** Systems of our own clinics, a few each. All are looked through for every name that somebody says. */
  accounts: 2000,
  sendersPerAccount: 1000,
  /** Senders named in the audit entry of a change; the others are counted. */
  auditedSenders: 100,
  /** How long an ended token is still shown in lists: a quarter, as access reviews look back. */
  tokenMemoryMs: 92 * 86_400_000,
  addressesPerPage: 1000,
  /** Addresses of one record: the row that names them is read whenever one is added. */
  addressesPerRecord: 100,
  labelCharacters: 200,
  /** Rows of one read of a walk through all of a kind. */
  rowsPerRead: 1000,
} as const

export interface Row<T> {
  readonly key: string
  readonly value: T
  readonly version: number
}

/** One change with the audit entry that becomes true with it. */
export interface RowChange {
  readonly require?: Batch['require']
  readonly put?: readonly { readonly key: string; readonly value: unknown }[]
  readonly del?: readonly string[]
  /** What else becomes true with it: jobs, rows that are not remembered. */
  readonly also?: Batch
  readonly action: string
  readonly by: string
  /** Ids only. */
  readonly subject: Readonly<Record<string, string>>
}

/**
 * JSON rows under `directory/`, remembered once read. Our own changes forget what they touch; another process's are
 * noticed by `refresh`, from the version of one row that every change writes.
 */
export interface Rows {
  get<T>(key: string): Promise<Row<T> | undefined>
  /** All rows of a prefix that ends in `/` or a space, up to `limit` of them, in order of their keys. */
  list<T>(prefix: string, limit: number): Promise<readonly Row<T>[]>
  /**
   * The same for a prefix that a stranger chose. What is empty is read anew each time: it takes no room here, and as long
   * for a name that is known otherwise as for one that is not.
   */
  listAsked<T>(prefix: string, limit: number): Promise<readonly Row<T>[]>
  /** All rows of a prefix, however many, read anew: for people and for work that must miss none. */
  walk<T>(prefix: string): Promise<readonly Row<T>[]>
  /** False where a `require` or a lease did not hold; then nothing changed. */
  change(change: RowChange): Promise<boolean>
  refresh(): Promise<boolean>
}

const epochKey = 'directory/epoch'

/** Opens the rows. Keys are `directory/<kind>/<owner> <id>`: owners have no space, so that none is the prefix of another. */
export async function openRows({ store, audit, clock }: DirectoryPorts): Promise<Rows> {
  let caches = emptyCaches()
  let epoch = await epochVersion()

  async function epochVersion(): Promise<number> {
    return (await store.get(epochKey))?.version ?? 0
  }

  async function read(key: string): Promise<Row<unknown> | undefined> {
    const entry = await store.get(key)
    return entry && rowOf(entry)
  }

  async function readAll(prefix: string, limit: number): Promise<readonly Row<unknown>[]> {
    return (await store.range({ ...within(prefix), limit })).map(rowOf)
  }

  async function walk(prefix: string): Promise<readonly Row<unknown>[]> {
    const { gte, lt } = within(prefix)
    const found: Row<unknown>[] = []
    let from = gte
    while (true) {
      const page = await store.range({ gte: from, lt, limit: directoryLimits.rowsPerRead })
      found.push(...page.map(rowOf))
      if (page.length < directoryLimits.rowsPerRead) return found
      from = `${page.at(-1)?.key}\0`
    }
  }

  async function get(key: string) {
    const { rows } = caches
    const known = rows.get(key)
    if (known) return known
    const found = read(key)
    rows.set(key, found)
    // Absence and failure are not remembered: strangers ask for addresses without end.
    const row = await found.catch((error: unknown) => {
      rows.delete(key)
      throw error
    })
    if (!row) rows.delete(key)
    return row
  }

  async function list(prefix: string, limit: number) {
    const { lists } = caches
    const known = lists.get(prefix)
    if (known) return known
    const found = readAll(prefix, limit)
    lists.set(prefix, found)
    return found.catch((error: unknown) => {
      lists.delete(prefix)
      throw error
    })
  }

  async function listAsked(prefix: string, limit: number) {
    const known = await caches.lists.get(prefix)
    if (known && known.length > 0) return known
    return (await readAll(prefix, 1)).length > 0 ? list(prefix, limit) : []
  }

  /** A reader that began before the change may still be reading the old rows: it is forgotten too, being remembered by its promise. */
  function forget(key: string) {
    caches.rows.delete(key)
    caches.lists.delete(key.slice(0, key.indexOf('/', 'directory/'.length) + 1))
    caches.lists.delete(key.slice(0, key.lastIndexOf(' ') + 1))
  }

  async function change({ require, put = [], del = [], also = {}, action, by, subject }: RowChange): Promise<boolean> {
    const at = clock.now()
    const touched = [...put.map(({ key }) => key), ...del]
    const json = (value: unknown) => Buffer.from(JSON.stringify(value))
    try {
      const own: Batch = {
        ...(require ? { require } : {}),
        put: [...put.map(({ key, value }) => ({ key, value: json(value) })), { key: epochKey, value: json(at) }],
        del,
        append: [audit.entry({ at, action, actor: by, subject, outcome: 'success' })],
      }
      const result = await store.commit(together(own, also))
      return result.kind === 'committed'
    } finally {
      // Also after a conflict: what we remembered was old.
      for (const key of touched) forget(key)
    }
  }

  async function refresh(): Promise<boolean> {
    const found = await epochVersion()
    if (found === epoch) return false
    epoch = found
    caches = emptyCaches()
    return true
  }

  return {
    get: get as Rows['get'],
    list: list as Rows['list'],
    listAsked: listAsked as Rows['listAsked'],
    walk: walk as Rows['walk'],
    change,
    refresh,
  }
}

function rowOf({ key, value, version }: Entry): Row<unknown> {
  return { key, value: JSON.parse(Buffer.from(value).toString()), version }
}

function emptyCaches() {
  return {
    rows: recent<Promise<Row<unknown> | undefined>>(directoryLimits.rows),
    lists: recent<Promise<readonly Row<unknown>[]>>(directoryLimits.lists),
  }
}
