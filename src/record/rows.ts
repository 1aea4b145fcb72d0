import { createHash } from 'node:crypto'
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
 * | `record/<record>/change/<revision>`           | what a commit did to entries, sealed  |
 * | `record/<record>/client/<digest>`             | entry of a client id, sealed          |
 * | `record/<record>/upload/<id>`                 | an upload that goes on, sealed        |
 * | `record/<record>/piece/<id>/<n>`              | a piece of an upload or a blob, sealed |
 * | `record/<record>/blob/<sha256>`               | what a blob is made of, sealed        |
 * | `uploads/<due>/<record>/<id>`                 | when an upload nobody used is swept   |
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

/** What one commit did; in order of revisions. */
export function changeKey(recordId: string, revision: number): string {
  return `${ownerOf(recordId)}/change/${String(revision).padStart(12, '0')}`
}

export function changePrefix(recordId: string): string {
  return `${ownerOf(recordId)}/change/`
}

/** The digest keeps what an application calls its items out of the keys. */
export function clientKey(recordId: string, author: string, clientId: string): string {
  const digest = createHash('sha256')
    .update(JSON.stringify([recordId, author, clientId]))
    .digest('hex')
  return `${ownerOf(recordId)}/client/${digest}`
}

export function uploadKey(recordId: string, id: string): string {
  return `${ownerOf(recordId)}/upload/${segment(id)}`
}

export function pieceKey(recordId: string, id: string, n: number): string {
  return `${ownerOf(recordId)}/piece/${segment(id)}/${String(n).padStart(5, '0')}`
}

export function blobKey(recordId: string, sha256: string): string {
  return `${ownerOf(recordId)}/blob/${segment(sha256)}`
}

export const sweepPrefix = 'uploads/'

/** Uploads by when they are swept; `dueAt` in Unix milliseconds. */
export function sweepKey(dueAt: number, recordId: string, id: string): string {
  return `${sweepPrefix}${String(dueAt).padStart(15, '0')}/${segment(recordId)}/${segment(id)}`
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
