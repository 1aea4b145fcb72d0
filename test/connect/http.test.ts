import { describe, expect, it } from 'vitest'
import { decodeEntry } from '../../src/audit/audit.js'
import { asked } from './clinic.js'
import { openHttp, origin } from './http.js'

const requests = '/connect/requests'

async function pickedUp(http: Awaited<ReturnType<typeof openHttp>>) {
  const made = await http.call('clinic', 'POST', requests, asked)
  const { code } = made.body
  const answered = await http.call('mother', 'POST', '/pickup/answer', { code, answer: 'PARAKEET ' })
  return { code, id: made.body.request.id as string, ticket: answered.body.ticket as string }
}

describe('a clinic over the API', () => {
  it('creates a request, polls, and sees where it stands', async () => {
    const http = await openHttp()
    const made = await http.call('clinic', 'POST', requests, { ...asked, birthDate: '2019-05-01', expiresInDays: 7 })
    expect(made.status).toBe(201)
    expect(made.body).toMatchObject({ request: { state: 'pending', attemptsLeft: 3, externalId: 'MRN 1' } })
    expect(made.body.sheet).toContain(made.body.code)
    for (const secret of ['Which bird', 'arakeet']) expect(JSON.stringify(made.body)).not.toContain(secret)
    const { id } = made.body.request
    const answered = await http.call('mother', 'POST', '/pickup/answer', { code: made.body.code, answer: 'parakeet' })
    const { ticket } = answered.body
    expect(answered.body).toMatchObject({ kind: 'connect', friendlyName: 'Anna' })
    const review = await http.call('mother', 'POST', '/pickup/connect/review', { ticket, record: 'child' })
    expect(review.body).toMatchObject({
      records: [{ id: 'child' }],
      asked: { rules: [{ name: 'results' }, { name: 'plan', optional: true }] },
    })
    const accepted = await http.call('mother', 'POST', '/pickup/connect/accept', { ticket, record: 'child' })
    expect([accepted.status, accepted.body.successMessage]).toEqual([200, 'Thank you, see you soon'])
    const polled = await http.call('clinic', 'GET', '/connect/authorized')
    expect(polled.body.authorized).toMatchObject([{ request: id, externalId: 'MRN 1', stands: true }])
    const at = polled.body.authorized[0].authorizedAt
    expect((await http.call('clinic', 'GET', `/connect/authorized?since=${at}`)).body.authorized).toHaveLength(1)
    const after = new Date(Date.parse(at) + 1).toISOString()
    expect((await http.call('clinic', 'GET', `/connect/authorized?since=${after}`)).body.authorized).toEqual([])
    expect((await http.call('clinic', 'DELETE', `${requests}/${id}`)).body).toMatchObject({
      healthvaultStatus: 84,
      status: 409,
    })
  })

  it.each([
    [72, 400, { question: ' ' }],
    [73, 400, { answer: 'short' }],
    [45, 400, { email: 'nobody' }],
  ])('is told HealthVault status %i', async (healthvaultStatus, status, more) => {
    const http = await openHttp()
    const answer = await http.call('clinic', 'POST', requests, { ...asked, ...more })
    expect(answer.body).toMatchObject({ status, healthvaultStatus })
  })

  it('is told 79 for a second request, 69 for a bad date, 74 for a code that is not its own', async () => {
    const http = await openHttp()
    await http.call('clinic', 'POST', requests, asked)
    expect((await http.call('clinic', 'POST', requests, asked)).body).toMatchObject({
      status: 409,
      healthvaultStatus: 79,
    })
    for (const since of ['yesterday', '2026-13-01', '1969-01-01', '%00'])
      expect((await http.call('clinic', 'GET', `/connect/authorized?since=${since}`)).body).toMatchObject({
        status: 400,
        healthvaultStatus: 69,
      })
    const renamed = { code: 'FFFF-FFFF-FFFF-FFFF-FFFF', newExternalId: 'x' }
    expect((await http.call('clinic', 'POST', '/connect/external-ids', renamed)).body).toMatchObject({
      status: 404,
      healthvaultStatus: 74,
    })
  })

  it('reissues, renames and withdraws', async () => {
    const http = await openHttp()
    const made = await http.call('clinic', 'POST', requests, asked)
    const { id } = made.body.request
    const again = await http.call('clinic', 'POST', `${requests}/${id}/reissue`)
    expect([again.status, again.body.code === made.body.code]).toEqual([201, false])
    expect((await http.call('mother', 'POST', '/pickup/open', { code: made.body.code })).status).toBe(404)
    const renamed = await http.call('clinic', 'POST', '/connect/external-ids', {
      externalId: 'MRN 1',
      newExternalId: 'MRN 9',
    })
    expect(renamed.body).toEqual({ changed: 1 })
    expect((await http.call('clinic', 'GET', `${requests}?externalId=MRN%209`)).body.requests).toHaveLength(1)
    expect((await http.call('clinic', 'DELETE', `${requests}?externalId=MRN%209`)).body).toEqual({
      id,
      state: 'withdrawn',
    })
    expect((await http.call('clinic', 'GET', `${requests}/${id}`)).body).toMatchObject({ state: 'withdrawn' })
    expect((await http.call('mother', 'POST', '/pickup/open', { code: again.body.code })).status).toBe(404)
  })

  it('takes no member that is not its own to give', async () => {
    const http = await openHttp()
    for (const more of [
      { owner: 'another' },
      { kind: 'package' },
      { payload: { a: 'b' } },
      { code: 'FFFFFFFFFFFFFFFFFFFF' },
    ])
      expect((await http.call('clinic', 'POST', requests, { ...asked, ...more })).status).toBe(400)
  })
})

const accept = { ticket: 'x'.repeat(43), record: 'child' }
const table: readonly (readonly [method: string, path: string, body: object | undefined, who: string])[] = [
  ['POST', requests, { ...asked, externalId: 'other' }, 'clinic'],
  ['GET', requests, undefined, 'clinic'],
  ['GET', `${requests}/ID`, undefined, 'clinic'],
  ['POST', `${requests}/ID/reissue`, undefined, 'clinic'],
  ['DELETE', `${requests}/ID`, undefined, 'clinic'],
  ['DELETE', `${requests}?externalId=MRN%201`, undefined, 'clinic'],
  ['POST', '/connect/external-ids', { externalId: 'MRN 1', newExternalId: 'x' }, 'clinic'],
  ['GET', '/connect/authorized', undefined, 'clinic'],
  ['POST', '/pickup/open', { code: 'CODE' }, 'mother'],
  ['POST', '/pickup/answer', { code: 'CODE', answer: 'parakeet' }, 'mother'],
  ['POST', '/pickup/connect/review', { ticket: accept.ticket }, 'mother'],
  ['POST', '/pickup/connect/accept', accept, 'mother'],
  ['POST', '/pickup/connect/reject', { ticket: accept.ticket }, 'mother'],
]

describe.each(table)('%s %s', (method, path, body, who) => {
  it('is for its own kind of caller alone, and refusals are audited', async () => {
    const http = await openHttp()
    const made = await http.call('clinic', 'POST', requests, asked)
    const url = path.replace('ID', made.body.request.id)
    const payload = body && JSON.parse(JSON.stringify(body).replace('CODE', made.body.code))
    expect((await http.call(undefined, method, url, payload)).status).toBe(401)
    expect((await http.call('nobody', method, url, payload)).status).toBe(401)
    for (const other of ['operator', 'grant', who === 'clinic' ? 'mother' : 'clinic']) {
      expect([other, (await http.call(other, method, url, payload)).status]).toEqual([other, 403])
      const last = (await http.store.log('audit', 1, 10_000)).at(-1)
      expect(decodeEntry(last?.value ?? new Uint8Array())).toMatchObject({ outcome: 'refused' })
    }
    const right = await http.call(who, method, url, payload)
    // A ticket that nobody was given opens nothing.
    expect(right.status).toBe(
      path.startsWith('/pickup/connect') ? 404 : method === 'POST' && url.startsWith(requests) ? 201 : 200,
    )
    await http.apps.setState(http.app.id, 'disabled', 'operator')
    const after = await http.call(who, method, url, payload)
    expect(after.status).toBe(who === 'clinic' ? 403 : 404)
  })
})

describe('a person over the API', () => {
  it("gets the same for another's ticket, record and code as for none", async () => {
    const http = await openHttp()
    const { ticket } = await pickedUp(http)
    const missing = await http.call('stranger', 'POST', '/pickup/connect/accept', {
      ticket: 'x'.repeat(43),
      record: 'child',
    })
    const theirs = await http.call('stranger', 'POST', '/pickup/connect/accept', { ticket, record: 'other' })
    const record = await http.call('mother', 'POST', '/pickup/connect/accept', { ticket, record: 'other' })
    for (const { status, body } of [missing, theirs, record]) {
      expect(status).toBe(404)
      expect({ ...body, instance: '' }).toEqual({ ...missing.body, instance: '' })
    }
    expect((await http.call('mother', 'POST', '/pickup/connect/accept', { ticket, record: 'child' })).status).toBe(200)
  })

  it('hears how many tries are left, then one error, and never a number', async () => {
    const http = await openHttp()
    const { body } = await http.call('clinic', 'POST', requests, asked)
    const guess = () => http.call('stranger', 'POST', '/pickup/answer', { code: body.code, answer: 'wrong bird' })
    for (const left of ['2 tries are left', '1 try is left', '0 tries are left'])
      expect((await guess()).body).toMatchObject({ status: 403, code: 'wrong-answer', errors: [{ detail: left }] })
    const locked = await http.call('mother', 'POST', '/pickup/answer', { code: body.code, answer: 'parakeet' })
    const unknown = await http.call('mother', 'POST', '/pickup/answer', { code: 'FFFF', answer: 'parakeet' })
    expect({ ...locked.body, instance: '' }).toEqual({ ...unknown.body, instance: '' })
    expect(locked.body.healthvaultStatus).toBeUndefined()
    expect((await http.call('clinic', 'GET', `${requests}/${body.request.id}`)).body).toMatchObject({ state: 'locked' })
  })

  it('waits after ten codes that are not there, as long as is said', async () => {
    const http = await openHttp()
    const guess = () => http.call('stranger', 'POST', '/pickup/open', { code: 'FFFFFFFFFFFFFFFFFFFF' }, '192.0.2.66')
    for (let i = 0; i < 10; i++) expect((await guess()).status).toBe(404)
    const waits = await guess()
    expect([waits.status, waits.headers['retry-after']]).toEqual([429, '180'])
  })
})

describe('the pages of pickup', () => {
  it('lead from the code to the connection, one form after the other', async () => {
    const http = await openHttp()
    const { code } = (await http.call('clinic', 'POST', requests, asked)).body
    const enter = await http.browse(undefined, `/pickup?code=${code}`)
    expect(enter.body).toContain(`value="${code}"`)
    expect(enter.headers['content-security-policy']).toContain("default-src 'none'")
    const question = await http.browse('mother', '/pickup', { code })
    expect(question.body).toContain('Which bird?')
    expect(question.body).not.toContain('Anna')
    const wrong = await http.browse('mother', '/pickup/answer', { code, answer: 'wrong bird' })
    expect([wrong.status, wrong.body.includes('2 tries are left')]).toEqual([422, true])
    await http.browse('mother', '/pickup/answer', { code, answer: '  ' }) // takes no try
    const whose = await http.browse('mother', '/pickup/answer', { code, answer: 'parakeet' })
    expect(whose.body).toContain('Elm Street clinic wants to connect to the record of Anna.')
    const ticket = /name="ticket" value="([\w-]{43})"/.exec(whose.body)?.[1] ?? ''
    const allow = await http.browse('mother', '/pickup/record', { ticket, record: 'child' })
    expect(allow.body).toContain('Because of results')
    const done = await http.browse('mother', '/pickup/decide', {
      ticket,
      record: 'child',
      decision: 'allow',
      optional: 'plan',
    })
    expect([done.status, done.headers.location]).toEqual([303, `/pickup/done?app=${http.app.id}`])
    expect((await http.browse('mother', String(done.headers.location))).body).toContain('Thank you, see you soon')
    const grant = await http.consents.find(http.app.id, 'mother', 'child')
    expect(grant?.rules.offline.map(({ name }) => name)).toEqual(['results', 'plan'])
    const twice = await http.browse('mother', '/pickup/decide', { ticket, record: 'child', decision: 'allow' })
    expect(twice.status).toBe(409)
  })

  it('show who asks before signing in, and lead back to the code', async () => {
    const http = await openHttp()
    const { code } = (await http.call('clinic', 'POST', requests, asked)).body
    const enter = await http.gateway.app.inject({ url: '/pickup', remoteAddress: '192.0.2.9' })
    const cookie = String(enter.headers['set-cookie']).split(';')[0] ?? ''
    const csrf = /name="csrf" value="([^"]+)"/.exec(enter.body)?.[1] ?? ''
    const response = await http.gateway.app.inject({
      ...{ method: 'POST', url: '/pickup', remoteAddress: '192.0.2.9' },
      headers: { cookie, origin, 'content-type': 'application/x-www-form-urlencoded' },
      payload: new URLSearchParams({ csrf, code }).toString(),
    })
    expect(response.body).toContain('Elm Street clinic asks:')
    expect(response.body).toContain(`/sign-in?next=${encodeURIComponent(`/pickup?code=${code}`)}`)
    expect(response.body).not.toContain('name="answer"')
  })

  it('refuse a form from elsewhere, and one without the token', async () => {
    const http = await openHttp()
    const { code } = (await http.call('clinic', 'POST', requests, asked)).body
    expect((await http.browse('mother', '/pickup/answer', { csrf: 'x', code, answer: 'parakeet' })).status).toBe(403)
    expect((await http.browse(undefined, '/pickup/answer', { code, answer: 'parakeet' })).status).toBe(403)
    expect((await http.call('clinic', 'GET', requests)).body.requests).toMatchObject([{ attemptsLeft: 3 }])
  })

  it('say no, and never', async () => {
    const http = await openHttp()
    const { code, ticket, id } = await pickedUp(http)
    const no = await http.browse('mother', '/pickup/decide', { ticket, record: 'child', decision: 'reject' })
    expect(no.headers.location).toBe('/pickup/rejected')
    expect((await http.call('clinic', 'GET', `${requests}/${id}`)).body).toMatchObject({ state: 'rejected' })
    const again = await http.browse('mother', '/pickup/answer', { code, answer: 'parakeet' })
    const next = /name="ticket" value="([\w-]{43})"/.exec(again.body)?.[1] ?? ''
    await http.browse('mother', '/pickup/decide', { ticket: next, record: 'child', decision: 'never' })
    expect((await http.call('clinic', 'GET', `${requests}/${id}`)).body).toMatchObject({ state: 'refused' })
    const dead = await http.browse('mother', '/pickup', { code })
    expect([dead.status, dead.body.includes('This code opens nothing')]).toEqual([422, true])
  })

  it('escape what a clinic writes', async () => {
    const http = await openHttp()
    const evil = { ...asked, question: '<script>alert(1)</script>', friendlyName: '"><img src=x>' }
    const { code } = (await http.call('clinic', 'POST', requests, evil)).body
    const question = await http.browse('mother', '/pickup', { code })
    expect(question.body).toContain('&lt;script&gt;')
    const whose = await http.browse('mother', '/pickup/answer', { code, answer: 'parakeet' })
    expect(whose.body).not.toContain('<img src=x>')
  })
})
