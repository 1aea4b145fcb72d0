import { createHash } from 'node:crypto'
import type { Backend } from './clinic.js'
import { answer, question } from './connect.js'
import { unique } from './house.js'
import { problemItem } from './items.js'
import type { Person } from './people.js'

export const packages = '/api/v1/drop-off/packages'
export const uploads = '/api/v1/drop-off/uploads'

export const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

/** A package as a clinic sends it. */
export function packed(more: object = {}, content: object = {}) {
  return {
    ...{ friendlyName: 'Anna', question, externalId: unique('MRN') },
    content: { kind: 'open', answer, items: [problemItem('Fever')], ...content },
    ...more,
  }
}

export interface Left {
  readonly id: string
  readonly code: string
}

/** Leaves one; rejects where it is refused. */
export async function leave(clinic: Backend, more: object = {}, content: object = {}): Promise<Left> {
  const made = await clinic.ask('POST', packages, packed(more, content))
  if (made.status !== 201) throw new Error(`package: ${made.status} ${made.bytes}`)
  const { package: left, code } = made.json<{ package: { id: string }; code: string }>()
  return { id: left.id, code }
}

/** Sends one piece of an upload. */
export function piece(clinic: Backend, id: string, from: number, bytes: Uint8Array, total: number | '*' = '*') {
  const range = `bytes ${from}-${from + bytes.length - 1}/${total}`
  return clinic.ask('PUT', `${uploads}/${id}`, bytes, { 'content-range': range })
}

export async function begin(clinic: Backend, sizeBytes: number): Promise<string> {
  const begun = await clinic.ask('POST', uploads, { sizeBytes })
  if (begun.status !== 201) throw new Error(`upload: ${begun.status} ${begun.bytes}`)
  return begun.json<{ id: string }>().id
}

/** A whole upload, in pieces. */
export async function upload(clinic: Backend, bytes: Uint8Array, pieceBytes = 1024 * 1024): Promise<string> {
  const id = await begin(clinic, bytes.length)
  for (let from = 0; from < bytes.length; from += pieceBytes)
    await piece(clinic, id, from, bytes.subarray(from, from + pieceBytes), bytes.length)
  const value = sha256(bytes)
  const done = await clinic.ask('POST', `${uploads}/${id}/complete`, { method: 'sha256', value })
  if (done.status !== 200) throw new Error(`complete: ${done.status} ${done.bytes}`)
  return id
}

export function claim(person: Person, ticket: string, record: string, more: object = {}) {
  return person.ask('POST', '/api/v1/pickup/package/claim', { ticket, record, ...more })
}

export async function itemsOf(person: Person, record: string, query = '') {
  const page = await person.ask('GET', `/api/v1/records/${record}/items?limit=200${query}`)
  return page.json<{ items: { entryId: string; version: string; content: { type: string; sha256?: string } }[] }>()
    .items
}
