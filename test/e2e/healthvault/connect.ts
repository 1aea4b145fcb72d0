import type { Backend } from './clinic.js'
import { unique } from './house.js'
import type { Person } from './people.js'

export const requests = '/api/v1/connect/requests'
export const question = 'Which bird did we talk about?'
export const answer = 'parakeet'

/** What a clinic asks of a new patient. */
export function asked(more: object = {}) {
  return { friendlyName: 'Anna', question, answer, externalId: unique('MRN'), ...more }
}

export interface Code {
  readonly id: string
  readonly code: string
  readonly externalId: string
}

/** Creates a request; rejects where it is refused. */
export async function newRequest(clinic: Backend, more: object = {}): Promise<Code> {
  const body = asked(more)
  const made = await clinic.ask('POST', requests, body)
  if (made.status !== 201) throw new Error(`request: ${made.status} ${made.bytes}`)
  const { request, code } = made.json<{ request: { id: string }; code: string }>()
  return { id: request.id, code, externalId: body.externalId }
}

export function guess(person: Person, code: string, text: string) {
  return person.ask('POST', '/api/v1/pickup/answer', { code, answer: text })
}

/** The ticket of the right answer. */
export async function ticketFor(person: Person, code: string, text = answer): Promise<string> {
  const right = await guess(person, code, text)
  if (right.status !== 200) throw new Error(`answer: ${right.status} ${right.bytes}`)
  return right.json<{ ticket: string }>().ticket
}

/** The whole way: answer, record, consent; `more` as the page would add it. */
export async function connect(person: Person, code: string, record: string, more: object = {}) {
  const ticket = await ticketFor(person, code)
  return person.ask('POST', '/api/v1/pickup/connect/accept', { ticket, record, ...more })
}

export interface Row {
  readonly externalId: string
  readonly person: string
  readonly record: string
  readonly app: string
  readonly authorizedAt: string
}

/** Who connected, every page of it. */
export async function authorized(
  clinic: Backend,
  query: Readonly<Record<string, string>> = {},
): Promise<readonly Row[]> {
  const rows: Row[] = []
  for (let cursor: string | undefined; ; ) {
    const text = new URLSearchParams({ ...query, ...(cursor !== undefined && { cursor }) })
    const page = await clinic.ask('GET', `/api/v1/connect/authorized?${text}`)
    if (page.status !== 200) throw new Error(`authorized: ${page.status} ${page.bytes}`)
    const { authorized: some, next } = page.json<{ authorized: Row[]; next?: string }>()
    rows.push(...some)
    if (next === undefined) return rows
    cursor = next
  }
}
