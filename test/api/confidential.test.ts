import { describe, expect, it } from 'vitest'
import type { RecordAccess } from '../../src/direct/access.js'
import { openGateway } from './gateway.js'

/** A record that is kept from a parent in part, and an application that may read its documents. */
async function setUp() {
  let access: RecordAccess | undefined
  const gateway = await openGateway(
    {},
    {
      consents: { access: async () => access, ofRecord: async () => [], ofPerson: async () => [] } as never,
      views: { view: async () => '<p>page</p>' },
    },
  )
  const { app, as, held, patients } = gateway
  const { recordId: record, sha256 } = patients.alice
  const rules = [{ name: 'r', reason: { en: 'x' }, permissions: ['read'], types: ['document'] }] as const
  access = { record, told: 'told', rules, custodian: false, actor: { by: 'app:a', avenue: 'offline', app: 'a' } }
  held.hold('teen', record)
  held.hold('mother', record)
  const mothers = held.memberships.get(`mother ${record}`)
  if (!mothers) throw new Error('no mother')
  held.memberships.set(`mother ${record}`, { ...mothers, confidential: true })
  const scopes = ['record:read', 'record:write', 'messages:read'] as const
  const person = (id: string) =>
    as({ by: `person:${id}`, scopes, reach: { kind: 'person', person: id, session: 's', csrf: 'c' } })
  const holder = as({
    ...{ by: 'app:a', scopes },
    reach: { kind: 'grant', grant: 'g', app: 'a', person: 'teen', record, avenue: 'offline' },
  })
  const ask = async (headers: Record<string, string>, path: string, method: 'GET' | 'DELETE' = 'GET') => {
    const answer = await app.inject({ method, url: `/api/v1/${path}`, headers })
    const isJson = String(answer.headers['content-type']).includes('json')
    return { status: answer.statusCode, body: isJson ? answer.json() : undefined, headers: answer.headers }
  }
  return { ask, person, holder, record, sha256 }
}

describe('a parent from whom an adolescent keeps something', () => {
  it('reads none of the mail, which no rule divides, nor whole documents’ history and decisions', async () => {
    const { ask, person, record } = await setUp()
    expect((await ask(person('teen'), 'mailboxes')).body.mailboxes).toHaveLength(1)
    expect((await ask(person('teen'), 'mailboxes/alice%40gw.example/messages')).status).toBe(200)
    expect((await ask(person('mother'), 'mailboxes')).body.mailboxes).toEqual([])
    expect((await ask(person('mother'), 'mailboxes/alice%40gw.example/messages')).status).toBe(404)
    for (const path of ['review', 'decisions', 'documents', 'activity'])
      expect((await ask(person('mother'), `records/${record}/${path}`)).status, path).toBe(403)
  })
})

describe('the page of a document', () => {
  it('is not there for an application that may not see the document any more', async () => {
    const { ask, person, holder, record, sha256 } = await setUp()
    const path = `documents/${sha256}`
    expect((await ask(holder, `records/told/${path}/view`)).status).toBe(200)
    const [item] = (await ask(person('teen'), `records/${record}/items?type=document`)).body.items
    const match = { ...person('teen'), 'if-match': `"${item.version}"` }
    expect((await ask(match, `records/${record}/items/${item.entryId}`, 'DELETE')).status).toBe(200)
    expect((await ask(holder, `records/told/${path}`)).status).toBe(404)
    expect((await ask(holder, `records/told/${path}/view`)).status).toBe(404)
  })
})
