import type { Blobs } from './blobs.js'
import { holdKey } from './body.js'
import { type StoredRow, within } from './store.js'
import type { Vault } from './vault.js'

/**
 * What rooms tell of the rows they keep, so that a whole store can be checked: each room lists its families beside the
 * code that writes them, the wiring gathers the lists, and a row of no family is a finding of its own.
 */
export interface Family<Kind extends StoredRow['kind']> {
  readonly kind: Kind
  /** A short name for people: `mailbox message`. */
  readonly name: string
  /**
   * What the key of an entry, the queue of a job, the name of a log looks like, from its beginning to its end. A group
   * named `owner` tells whose it is; keys of one owner lie beside one another.
   */
  readonly form: RegExp
  /**
   * Reads one row as its room would and answers what must be there as long as it is. Throws RowDamaged, VaultFailed or
   * whatever its decoder throws where the row does not read.
   */
  check(row: Extract<StoredRow, { kind: Kind }>, by: RowReader): Promise<readonly Need[]> | readonly Need[]
}

export type RowFamily = Family<'entry'> | Family<'job'> | Family<'log'>

/** What becomes true in one batch with a row, and stays so while the row is there. */
export type Need =
  | { readonly kind: 'entry'; readonly key: string }
  /** At least one entry under this prefix. */
  | { readonly kind: 'some'; readonly prefix: string }
  | { readonly kind: 'job'; readonly queue: string; readonly id: string }
  /** There, and made of the bytes that its name says. */
  | { readonly kind: 'blob'; readonly name: string }

/** What a check may use to read a row. */
export interface RowReader {
  readonly vault: Pick<Vault, 'open' | 'openStream'>
  readonly blobs: Pick<Blobs, 'get'>
  /** Opens what the keyring wrapped; throws VaultFailed. */
  unwrap(purpose: string, id: string, wrapped: Uint8Array): Uint8Array
}

/** A row is not what its room writes. The message says how, without repeating the row. */
export class RowDamaged extends Error {
  override readonly name = 'RowDamaged'
}

/** Throws RowDamaged with `detail` where a row is not as it should be. */
export function sound(condition: boolean, detail: string): asserts condition {
  if (!condition) throw new RowDamaged(detail)
}

/** The object that a row's JSON says; throws RowDamaged where it is not JSON, or not of an object. */
export function jsonOf(value: Uint8Array): Readonly<Record<string, unknown>> {
  let read: unknown
  try {
    read = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(value))
  } catch {
    throw new RowDamaged('the value is not JSON')
  }
  sound(typeof read === 'object' && read !== null && !Array.isArray(read), 'the value is no JSON object')
  return read as Readonly<Record<string, unknown>>
}

/** Unix milliseconds between 1970 and the year 9999. */
export function isMoment(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < 253_402_300_800_000
}

/**
 * A body as `keepBody` writes it, opened to its end; answers what must be there with it. `each` sees the plaintext.
 */
export async function checkBody(
  { key, value }: Extract<StoredRow, { kind: 'entry' }>,
  owner: string,
  { vault, blobs }: RowReader,
  each: (plaintext: Uint8Array) => void,
): Promise<readonly Need[]> {
  const rest = value.subarray(1)
  if (value[0] === 0x69) {
    each(await vault.open(owner, key, rest))
    return []
  }
  const name = Buffer.from(rest).toString('latin1')
  sound(value[0] === 0x62 && isBlobName(name), 'the body is neither in the row nor in a blob')
  const blob = await blobs.get(name)
  // That a blob is missing is told once, by the row that holds it.
  if (blob) for await (const chunk of vault.openStream(owner, key, blob)) each(chunk)
  return [{ kind: 'entry', key: holdKey(name, key) }]
}

export function isBlobName(text: string): boolean {
  return /^[0-9a-f]{64}$/.test(text)
}

/** Jobs hold their blobs under the name of their queue's holder and their id; every other holder is the key of an entry. */
const jobHolders = { 'spool/': 'inbound', 'outbound/': 'outbound' } as const

/** The rows that keep blobs alive (see body.ts): each names a blob and the row or job whose it is. */
export const holdFamily: Family<'entry'> = {
  kind: 'entry',
  name: 'blob hold',
  form: /^blob\/[0-9a-f]{64}\/.+$/s,
  check({ key, value }) {
    sound(value.length === 0, 'the value is not empty')
    const name = key.slice('blob/'.length, 'blob/'.length + 64)
    const holder = key.slice('blob/'.length + 65)
    const job = Object.entries(jobHolders).find(([prefix]) => holder.startsWith(prefix))
    return [
      { kind: 'blob', name },
      job ? { kind: 'job', queue: job[1], id: holder.slice(job[0].length) } : { kind: 'entry', key: holder },
    ]
  },
}

/** An empty entry whose only meaning is its key. */
export function emptyRow({ value }: { readonly value: Uint8Array }): void {
  sound(value.length === 0, 'the value is not empty')
}

/** The range that a `some` need asks for. */
export function someRange(prefix: string) {
  return { ...within(prefix), limit: 1 }
}
