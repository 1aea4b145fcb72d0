import { request } from 'node:http'
import { networkInterfaces } from 'node:os'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { z } from 'zod'
import { listenApi } from '../../src/api/api.js'
import type { clinicalItem } from '../../src/api/item-schema.js'
import { openapiDocument, writeOpenapi } from '../../src/api/openapi.js'
import { problems } from '../../src/api/problem.js'
import { decodeEntry } from '../../src/audit/audit.js'
import type { RecordItem } from '../../src/direct/clinical.js'
import type { Store } from '../../src/ports/store.js'
import { StoreFailed } from '../../src/ports/store.js'
import { openGateway } from './gateway.js'

async function signedIn(...given: Parameters<typeof openGateway>) {
  const gateway = await openGateway(...given)
  const { headers } = await gateway.token('*', ['messages:read', 'messages:write', 'record:read', 'operator'])
  const { address, message, recordId } = gateway.patients.alice
  const base = `/api/v1/mailboxes/${address}/messages`
  async function get(url: string, more: Record<string, string> = {}) {
    const response = await gateway.app.inject({ method: 'GET', url, headers: { ...headers, ...more } })
    return {
      status: response.statusCode,
      headers: response.headers,
      body: response.body,
      json: () => JSON.parse(response.body),
    }
  }
  async function patch(payload: unknown, more: Record<string, string> = {}) {
    const type = { 'content-type': 'application/json' }
    const response = await gateway.app.inject({
      method: 'PATCH',
      url: `${base}/${message}`,
      headers: { ...headers, ...type, ...more },
      payload: typeof payload === 'string' ? payload : JSON.stringify(payload),
    })
    return { status: response.statusCode, headers: response.headers, json: () => JSON.parse(response.body) }
  }
  return { ...gateway, tokenHeaders: headers, address, message, recordId, base, get, patch }
}

async function audited(store: Store) {
  return (await store.log('audit', 1, 10_000)).map(({ value }) => decodeEntry(value))
}

describe('reading', () => {
  it('lists messages as the description says, and nothing more', async () => {
    const { get, base, address, message } = await signedIn()
    const { messages, unreadable } = (await get(base)).json()
    expect(unreadable).toEqual([])
    expect(messages[0]).toMatchObject({
      id: message,
      mailbox: address,
      receivedAt: '2023-11-14T22:13:20.000Z',
      flags: { seen: false },
      attachments: [{ index: 0, name: 'summary.xml' }],
    })
    const described = (await openapiDocument()) as { components: { schemas: Record<string, { properties: object }> } }
    const fields = Object.keys(described.components.schemas['Message']?.properties ?? {})
    expect(fields).toEqual(expect.arrayContaining(Object.keys(messages[0])))
  })

  it('pages with limit and cursor', async () => {
    const { get, base, deliver, patients } = await signedIn()
    for (let n = 0; n < 4; n++) {
      await deliver(patients.alice.box, 'x', { original: Buffer.from(`${n}`), receivedAt: n })
    }
    const first = (await get(`${base}?limit=3`)).json()
    expect(first.messages).toHaveLength(3)
    const second = (await get(`${base}?limit=3&cursor=${first.next}`)).json()
    expect(second.messages).toHaveLength(2)
    expect(second).not.toHaveProperty('next')
    expect((await get(`${base}?cursor=zzz`)).json()).toMatchObject({ status: 400, code: 'invalid-cursor' })
  })

  it('filters messages', async () => {
    const { get, base, patch } = await signedIn()
    await patch({ seen: true })
    const count = async (query: string) => (await get(`${base}?${query}`)).json().messages.length
    expect(await count('unread=true')).toBe(0)
    expect(await count('unread=false&from=DR@far.example&hasAttachment=true&subject=summary')).toBe(1)
    expect(await count('since=2023-11-14T22:13:20Z')).toBe(1)
    expect(await count('until=2023-11-14T23:13:20%2B01:00')).toBe(0)
  })

  it('gives the original byte for byte, to be saved and not shown', async () => {
    const { get, base, message } = await signedIn()
    const answer = await get(`${base}/${message}/original`)
    expect(answer.body).toBe('Subject: to alice@gw.example\r\n\r\nbody')
    expect(answer.headers).toMatchObject({
      'content-type': 'message/rfc822',
      'content-length': '36',
      'content-disposition': `attachment; filename="${message}.eml"`,
      'x-content-type-options': 'nosniff',
      'content-security-policy': "sandbox; default-src 'none'; frame-ancestors 'none'",
      'cache-control': 'no-store',
      'referrer-policy': 'no-referrer',
    })
    expect(answer.headers).not.toHaveProperty('x-powered-by')
    expect(answer.headers).not.toHaveProperty('strict-transport-security')
  })

  it('gives a large original as a stream', async () => {
    const { get, base, deliver, patients } = await signedIn()
    const original = Buffer.alloc(500_000, 'long line\r\n')
    const id = await deliver(patients.alice.box, 'x', { original })
    expect((await get(`${base}/${id}/original`)).body).toBe(original.toString())
  })

  it('names an attachment safely in ASCII and in UTF-8', async () => {
    const { get, base, deliver, patients } = await signedIn()
    const named = { index: 0, path: '2', mediaType: 'Text/HTML; charset=x\r\nX-Evil: 1', sizeBytes: 7 }
    const id = await deliver(patients.alice.box, 'x', {
      original: Buffer.from('a message'),
      attachments: [{ ...named, name: '..\\ré"sumé\r\n\u202egpj.exe' }],
    })
    const { headers, body } = await get(`${base}/${id}/attachments/0`)
    expect(body).toBe('a messa')
    expect(headers['content-type']).toBe('text/html')
    expect(headers['content-disposition']).toBe(
      `attachment; filename="_r__sum____gpj.exe"; filename*=UTF-8''_r%C3%A9%22sum%C3%A9___gpj.exe`,
    )
    expect((await get(`${base}/${id}/attachments/1`)).status).toBe(404)
    expect((await get(`${base}/${id}/attachments/00x`)).status).toBe(404)
  })

  it('gives record items and documents', async () => {
    const { get, recordId, patients } = await signedIn()
    const { items } = (await get(`/api/v1/records/${recordId}/items?type=problem&state=proposed`)).json()
    expect(items).toMatchObject([{ id: 'item-of-alice', recordId, state: 'proposed', content: { type: 'problem' } }])
    const document = await get(`/api/v1/records/${recordId}/documents/${patients.alice.sha256}`)
    expect(document.body).toBe('<ClinicalDocument>alice@gw.example</ClinicalDocument>')
    expect(document.headers).toMatchObject({
      'content-type': 'text/xml',
      'content-disposition': 'attachment; filename="ccd.xml"',
    })
  })

  it('shows a message trail without the steps of other recipients', async () => {
    const { get, base, message, trail, store } = await signedIn().then((all) => ({ ...all, trail: all.ports.trail }))
    const other = { at: 3, step: 'refused', recipient: 'other@gw.example', detail: '' } as const
    await store.commit(trail.steps('a'.repeat(26), [other as Parameters<typeof trail.steps>[1][number]]))
    const { steps } = (await get(`${base}/${message}/trail`)).json()
    expect(JSON.stringify(steps)).not.toContain('other@gw.example')
    expect((await get(`/api/v1/trail/${'a'.repeat(26)}`)).body).toContain('other@gw.example')
  })

  it('shows the quarantine with reasons and help, and no clinical words', async () => {
    const { get, quarantined } = await signedIn()
    const { messages } = (await get('/api/v1/quarantine')).json()
    expect(messages).toMatchObject([{ spoolId: quarantined, refused: [{ reason: 'no-anchor', help: /trust anchor/ }] }])
  })

  it('shows the context of a message, and fields that nobody signed as what they are', async () => {
    const { app, patients, deliver, token } = await openGateway()
    const { headers } = await token(patients.alice.address, ['messages:read'])
    const context = {
      version: '1.1',
      patientIds: [{ domain: '2.16.1', id: '7' }],
      type: { category: 'dental', action: 'plan' },
      patient: { surname: 'Testperson', others: [{ name: 'shoeSize', value: '40' }] },
      others: [{ name: 'x-local', value: 'y' }],
    }
    const outerFields = [{ name: 'x-direct-purpose', value: 'TREATMENT' }]
    const id = await deliver(patients.alice.box, 'x', { original: Buffer.from('1'), context, outerFields })
    const url = `/api/v1/mailboxes/${patients.alice.address}/messages/${id}`
    const shown = JSON.parse((await app.inject({ url, headers })).body)
    expect(shown).toMatchObject({ context, outerFields })
  })
})

describe('changing flags', () => {
  it('changes, audits and answers the new version', async () => {
    const { get, patch, base, message, store } = await signedIn()
    const before = await get(`${base}/${message}`)
    const after = await patch({ seen: true, flagged: false }, { 'if-match': String(before.headers['etag']) })
    expect(after.json()).toMatchObject({ flags: { seen: true, flagged: false } })
    expect(after.headers['etag']).not.toBe(before.headers['etag'])
    expect((await audited(store)).at(-1)).toMatchObject({
      action: 'api.message.flag',
      outcome: 'success',
      subject: { message },
    })
    expect((await patch({ seen: false }, { 'if-match': String(before.headers['etag']) })).json()).toMatchObject({
      status: 412,
      code: 'version-mismatch',
    })
  })

  it.each([
    ['no flag', {}, 'body'],
    ['an unknown flag', { deleted: true }, 'body'],
    ['a wrong type', { seen: 'yes' }, 'body.seen'],
    ['a prototype', '{"__proto__":{"seen":true}}', undefined],
    ['no JSON', '{"seen":', undefined],
  ])('refuses %s', async (_, payload, where) => {
    const { patch } = await signedIn()
    const { status, json } = await patch(payload)
    expect([status, json().code]).toEqual([400, 'invalid-request'])
    if (where) expect(json().errors[0].where).toBe(where)
  })

  it('refuses large bodies and other types', async () => {
    const { patch } = await signedIn()
    expect((await patch({ seen: true, pad: 'x'.repeat(70_000) })).json()).toMatchObject({
      status: 413,
      code: 'too-large',
    })
    expect((await patch('a=b', { 'content-type': 'application/x-www-form-urlencoded' })).status).toBe(415)
    expect((await patch('text', { 'content-type': 'text/plain' })).status).toBe(415)
  })

  it('lets every change of many at once win in turn or say that it did not', async () => {
    const { patch } = await signedIn()
    const answers = await Promise.all(Array.from({ length: 8 }, (_, n) => patch({ seen: n % 2 === 0 })))
    for (const { status } of answers) expect([200, 409]).toContain(status)
    expect(answers.filter(({ status }) => status === 200).length).toBeGreaterThan(0)
  })
})

describe('refusing', () => {
  it('tells problem details whose instance finds the audit entry', async () => {
    const { get, base, store } = await signedIn()
    const { headers, json } = await get(`${base}/${'f'.repeat(32)}`)
    expect(headers['content-type']).toMatch(/^application\/problem\+json/)
    expect(json()).toEqual({
      type: 'about:blank',
      title: 'Not Found',
      status: 404,
      code: 'not-found',
      detail: problems['not-found'].detail,
      instance: `urn:uuid:${headers['x-request-id']}`,
    })
    const [entry] = (await audited(store)).filter((one) => one?.subject['request'] === headers['x-request-id'])
    expect(entry).toMatchObject({ action: 'api.message.read', outcome: 'refused', reason: 'not-found' })
  })

  it.each([
    ['limit=0', 'query.limit'],
    ['limit=201', 'query.limit'],
    ['limit=ten', 'query.limit'],
    ['limit=1&limit=2', 'query.limit'],
    ['unread=maybe', 'query.unread'],
    ['since=yesterday', 'query.since'],
    ['from=not an address', 'query.from'],
    ['subject=', 'query.subject'],
    ['order=asc', 'query'],
  ])('names what is wrong in ?%s', async (query, where) => {
    const { get, base } = await signedIn()
    const { status, json } = await get(`${base}?${query}`)
    expect([status, json().code, json().errors?.[0]?.where]).toEqual([400, 'invalid-request', where])
  })

  it('answers a problem, and never a fault, for any path and query', async () => {
    const { app, tokenHeaders, logged } = await signedIn({
      limits: { perToken: { perSecond: 1e6, burst: 1e6 }, perAddress: { perSecond: 1e6, burst: 1e6 } },
    })
    const part = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom('%', '%zz', '..', '%2e%2e%2f', '%00', 'x'.repeat(900)),
    )
    const roots = ['mailboxes', 'records', 'trail', 'quarantine', 'mailboxes/alice@gw.example/messages']
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...roots), part, part, fc.boolean(), async (root, one, two, raw) => {
        const code = (text: string) =>
          raw ? text.replace(/[^\x21-\x7e]|[#?]/g, '') : encodeURIComponent(text.replace(/\p{Cs}/gu, ''))
        const url = `/api/v1/${root}/${code(one)}/${code(two)}?${code(one)}=${code(two)}`
        const { statusCode, body } = await app.inject({ method: 'GET', url, headers: tokenHeaders })
        expect(statusCode).toBeLessThan(500)
        expect(body).not.toMatch(/FST_|at \w+ \(|node_modules/)
      }),
      { numRuns: 600 },
    )
    expect(logged).toEqual([])
  })

  it('tells nothing of the inside when something breaks', async () => {
    const secret = 'sensitive words of an error'
    const { get, logged } = await signedIn(
      {},
      {
        exposition: async () => Promise.reject(new Error(secret)),
        addresses: {
          get: async () => Promise.reject(new Error(secret)),
          list: async () => Promise.reject(new Error(secret)),
          ofRecord: async () => Promise.reject(new Error(secret)),
        },
      },
    )
    const { status, body, headers } = await get('/api/v1/mailboxes')
    expect([status, JSON.parse(body).code]).toEqual([500, 'internal'])
    expect(body + JSON.stringify(headers) + logged.join()).not.toContain(secret)
    expect(logged).toHaveLength(1)
    expect((await get('/metrics')).body).not.toContain(secret)
  })

  it('reads nothing out when the read cannot be audited', async () => {
    const { get, base, message } = await signedIn(
      {},
      { store: { commit: async () => Promise.reject(new StoreFailed('disk')) } },
    )
    for (const url of [base, `${base}/${message}`, `${base}/${message}/original`, `${base}/${message}/attachments/0`]) {
      const { status, body, headers } = await get(url)
      expect([status, headers['retry-after']]).toEqual([503, '10'])
      expect(JSON.parse(body).code).toBe('unavailable')
      expect(headers).not.toHaveProperty('etag')
    }
  })

  it('says unreadable, and which, when stored bytes are damaged', async () => {
    const { get, base, message, patients, store } = await signedIn()
    const key = `mailbox/${patients.alice.box}/original/${message}`
    const row = await store.get(key)
    const damaged = Buffer.from(row?.value ?? [])
    damaged[damaged.length - 1] = (damaged.at(-1) ?? 0) ^ 1
    await store.commit({ put: [{ key, value: damaged }] })
    expect((await get(`${base}/${message}/original`)).json()).toMatchObject({ status: 500, code: 'unreadable' })
    expect((await get(`${base}/${message}`)).status).toBe(200)
    await store.commit({ del: [key] })
    expect((await get(`${base}/${message}/attachments/0`)).json()).toMatchObject({ code: 'unreadable' })
  })
})

describe('limits on callers', () => {
  it('answers 429 with Retry-After beyond the rate of a token, and again after the wait', async () => {
    const { get, base, clock } = await signedIn({ limits: { perToken: { perSecond: 0.5, burst: 3 } } })
    const statuses = []
    for (let n = 0; n < 4; n++) statuses.push((await get(base)).status)
    expect(statuses).toEqual([200, 200, 200, 429])
    expect((await get(base)).headers['retry-after']).toBe('2')
    clock.at += 2000
    expect((await get(base)).status).toBe(200)
    clock.at -= 3600_000
    expect((await get(base)).status).toBe(429)
  })

  it('limits an address before it looks at the token, but never the probes', async () => {
    const { app } = await signedIn({ limits: { perAddress: { perSecond: 1, burst: 2 } } })
    const status = async (url: string) => (await app.inject({ url, remoteAddress: '192.0.2.1' })).statusCode
    expect([await status('/x'), await status('/api/v1/records'), await status('/api/v1/records')]).toEqual([
      404, 401, 429,
    ])
    expect(await status('/livez')).toBe(200)
  })

  it('audits the first failed authentications of a network and counts them all', async () => {
    const { app, store, ports } = await signedIn()
    for (let n = 0; n < 30; n++) {
      const remoteAddress = `2001:db8:0:1::${n}`
      expect((await app.inject({ url: '/api/v1/records', remoteAddress })).statusCode).toBe(401)
    }
    const failures = (await audited(store)).filter((one) => one?.reason === 'unauthenticated')
    expect(failures).toHaveLength(10)
    expect(failures[0]).toMatchObject({ actor: 'anonymous', outcome: 'refused', action: 'api.records.list' })
    expect(await ports.exposition()).toContain('api_authentication_failures_total 30')
  })
})

describe('health', () => {
  it('names each check and answers 503 when one fails', async () => {
    const checks = [
      { name: 'store', ok: true },
      { name: 'disk', ok: false, detail: '2% free' },
    ]
    const { app } = await openGateway({}, { checks: async () => checks })
    expect((await app.inject('/livez')).json()).toEqual({ alive: true })
    const ready = await app.inject('/readyz')
    expect([ready.statusCode, ready.json()]).toEqual([503, { ready: false, checks }])
  })

  it('shows metrics to loopback only, or to operator tokens only', async () => {
    const local = await openGateway()
    expect((await local.app.inject('/metrics')).statusCode).toBe(200)
    expect((await local.app.inject({ url: '/metrics', remoteAddress: '192.0.2.1' })).statusCode).toBe(404)
    const proxied = await openGateway({ trustedProxies: ['127.0.0.1'] })
    const forwarded = { 'x-forwarded-for': '192.0.2.1' }
    expect((await proxied.app.inject({ url: '/metrics', headers: forwarded })).statusCode).toBe(404)
    const { app, token } = await openGateway({ metrics: 'operator' })
    expect((await app.inject('/metrics')).statusCode).toBe(401)
    const { headers } = await token('*', ['operator'])
    const answer = await app.inject({ url: '/metrics', headers, remoteAddress: '192.0.2.1' })
    expect([answer.statusCode, answer.headers['content-type']]).toEqual([
      200,
      'text/plain; version=0.0.4; charset=utf-8',
    ])
  })
})

describe('transport', () => {
  it('refuses to listen in plain HTTP beyond loopback unless a TLS proxy stands in front', async () => {
    const { app } = await openGateway()
    await expect(listenApi(app, { host: '0.0.0.0', port: 0 }, {})).rejects.toThrow('does not speak plain HTTP')
    await expect(listenApi(app, { host: '::', port: 0 }, {})).rejects.toThrow('does not speak plain HTTP')
    const behind = await openGateway({ behindTlsProxy: true })
    await listenApi(behind.app, { host: '0.0.0.0', port: 0 }, { behindTlsProxy: true })
    await behind.app.close()
  })

  const outward = Object.values(networkInterfaces())
    .flatMap((all) => all ?? [])
    .find(({ family, internal }) => family === 'IPv4' && !internal)?.address

  it.skipIf(!outward)('answers nothing in plain HTTP on an outward interface, however it came to listen', async () => {
    const { app, token } = await openGateway()
    await app.listen({ host: '0.0.0.0', port: 0 })
    const address = app.server.address()
    const port = typeof address === 'object' && address ? address.port : 0
    const { headers } = await token('*', ['record:read'])
    const status = (host: string) =>
      new Promise<number | undefined>((resolve, reject) => {
        const call = request({ host, port, path: '/api/v1/records', headers, agent: false }, (answer) => {
          answer.resume()
          resolve(answer.statusCode)
        })
        call.on('error', reject).end()
      })
    expect(await status('127.0.0.1')).toBe(200)
    expect(await status(outward ?? '')).toBe(403)
    await app.close()
  })

  it('promises TLS for a year where TLS is spoken', async () => {
    const { app } = await openGateway({ behindTlsProxy: true })
    const { headers } = await app.inject('/livez')
    expect(headers['strict-transport-security']).toBe('max-age=31536000; includeSubDomains')
  })
})

describe('the description', () => {
  it('is OpenAPI 3.1 and the same each time', async () => {
    const text = await writeOpenapi()
    expect(JSON.parse(text)).toMatchObject({ openapi: '3.1.0' })
    expect(await writeOpenapi()).toBe(text)
    expect(text).not.toContain('Default Response')
  })

  it('names only schemas that it has', async () => {
    const text = await writeOpenapi()
    const { schemas } = JSON.parse(text).components
    const named = new Set([...text.matchAll(/#\/components\/schemas\/(\w+)/g)].map((match) => match[1]))
    expect([...named].toSorted()).toEqual(Object.keys(schemas).toSorted())
  })

  it('is served as it is written', async () => {
    const { app } = await openGateway()
    expect((await app.inject('/api/v1/openapi.json')).json()).toEqual(JSON.parse(await writeOpenapi()))
  })

  it('describes record items exactly as the clinical rooms make them', () => {
    type Writable<T> = T extends object ? { -readonly [K in keyof T]: Writable<T[K]> } : T
    // Assignability both ways would let an optional field be forgotten; required copies of both do not.
    type All<T> = T extends object ? { [K in keyof T]-?: All<T[K]> } : T
    type Same<A, B> = [A, All<A>] extends [B, All<B>] ? ([B, All<B>] extends [A, All<A>] ? true : false) : false
    const same: Same<z.output<typeof clinicalItem>, Writable<RecordItem>> = true
    expect(same).toBe(true)
  })
})
