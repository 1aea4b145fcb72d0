import type { RecordItem, RecordItemType } from '../direct/clinical.js'
import type { PartialDate } from '../direct/datatypes.js'
import type { Vault } from '../ports/vault.js'

/**
 * Rows of a record. What its items say is sealed; keys tell which kinds of item it has.
 *
 * What an entry shows is worked out from the ledgers, in `reconcile/`: no row says which statement is current.
 *
 * | key                                           | value                                 |
 * |-----------------------------------------------|---------------------------------------|
 * | `record/<record>/item/<id>`                   | the stored item, sealed               |
 * | `record/<record>/head`                        | revision, documents, modes, sealed    |
 * | `record/<record>/ledger/<type>/<page>`        | facts and decisions of a type, sealed |
 * | `record/<record>/document/<sha256>`           | what is known of the document, sealed |
 * | `record/<record>/bytes/<sha256>`              | its bytes, sealed (see ports/body)    |
 */
export function itemKey(recordId: string, itemId: string): string {
  return `${ownerOf(recordId)}/item/${segment(itemId)}`
}

export function documentKey(recordId: string, sha256: string): string {
  return `${ownerOf(recordId)}/document/${segment(sha256)}`
}

export function bytesKey(recordId: string, sha256: string): string {
  return `${ownerOf(recordId)}/bytes/${segment(sha256)}`
}

/** Changes with everything that is written to the record. */
export function headKey(recordId: string): string {
  return `${ownerOf(recordId)}/head`
}

/** A page of what reconciliation needs of all items of one type. */
export function ledgerKey(recordId: string, type: RecordItemType, page: number): string {
  return `${ownerOf(recordId)}/ledger/${type}/${page}`
}

/** Where the items lie. */
export function itemPrefix(recordId: string): string {
  return `${ownerOf(recordId)}/item/`
}

/** Owner of the record's data key. */
export function ownerOf(recordId: string): string {
  return `record/${segment(recordId)}`
}

/** Whether a text could be the id of a record, an item or a document: what could not be is not looked up. */
export function isId(text: string): boolean {
  return /^[\x21-\x7e]{1,128}$/.test(text)
}

/** One part of a key, whatever characters an id has. */
function segment(text: string): string {
  return encodeURIComponent(text)
}

/**
 * The day an item counts under: when it happened, ended or began, else when it was written down. ISO 8601 texts sort as
 * dates do once all have one length: a year counts as its beginning. Undated items come last in a list.
 */
export function dayOf({ when, recordedAt }: RecordItem): string {
  const dates: readonly (PartialDate | undefined)[] = [when?.value, when?.high, when?.low, recordedAt]
  const known = dates.find((date) => date !== undefined && isoStart.test(date.text))
  const text = known ? known.text.slice(0, undated.length) : ''
  return text + undated.slice(text.length)
}

const undated = '0000-00-00T00:00'

const isoStart = /^\d{4}(-\d\d(-\d\d(T\d\d(:\d\d(:\d\d(\.\d+)?)?)?)?)?)?$/

export async function sealJson(vault: Vault, owner: string, key: string, value: unknown): Promise<Uint8Array> {
  return vault.seal(owner, key, Buffer.from(JSON.stringify(value)))
}

/** Throws VaultFailed where the row was changed or moved. */
export async function openJson<T>(vault: Vault, owner: string, key: string, sealed: Uint8Array): Promise<T> {
  const plain = await vault.open(owner, key, sealed)
  return JSON.parse(Buffer.from(plain.buffer, plain.byteOffset, plain.length).toString('utf8')) as T
}
