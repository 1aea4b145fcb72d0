import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Store } from '../../src/ports/store.js'
import { StoreFailed, within } from '../../src/ports/store.js'
import { type EvidenceParts, evidenceLimits, openEvidence } from '../../src/resolve/evidence.js'
import { resolveFamilies } from '../../src/resolve/families.js'
import { chunkKeys, shelfLimits, sweepShelf } from '../../src/resolve/shelf.js'
import { createMemoryDisk, openMemoryStore } from '../../src/store/memory.js'
import { dayMs, issueCrl, makeAuthority, makeLeaf } from '../fixtures/pki.js'
import { hourMs, respond, wrapped } from '../trust/responder.js'
import { serve } from './server.js'

const root = makeAuthority()
const leaf = makeLeaf(root, { keyType: 'p256' })
let server: Awaited<ReturnType<typeof serve>>
let answers: Map<string, { body?: Uint8Array; etag?: string; status?: number }>
let seen: { url: string; method: string; type: string | undefined; etag: string | undefined; body: Buffer }[]
let now = Date.now()
const clock = { now: () => now }

beforeAll(async () => {
  server = await serve((request, response) => {
    const body: Buffer[] = []
    request.on('data', (chunk: Buffer) => body.push(chunk))
    request.on('end', () => {
      const url = request.url ?? ''
      const etag = request.headers['if-none-match']
      seen.push({
        ...{ url, etag, method: request.method ?? '', type: request.headers['content-type'] },
        body: Buffer.concat(body),
      })
      const answer = answers.get(url)
      if (!answer) response.writeHead(404).end()
      else if (answer.status) response.writeHead(answer.status).end()
      else if (answer.etag && answer.etag === etag) response.writeHead(304).end()
      else response.writeHead(200, answer.etag ? { etag: answer.etag } : {}).end(answer.body)
    })
  })
})
afterAll(() => server.close())
beforeEach(() => {
  answers = new Map()
  seen = []
  now = Date.now()
})

const opened = (parts: Partial<EvidenceParts> = {}) =>
  openEvidence({ reach: { allowPrivate: true, timeoutMs: 500 }, clock, ...parts })
const at = (path: string) => server.base + path
const bytesOf = async (answer: ReturnType<ReturnType<typeof opened>['revocation']['list']>) => {
  const got = await answer
  return got.kind === 'bytes' ? got.bytes : got.detail
}
const request = Uint8Array.of(0x30, 3, 2, 1, 7)
const ocspGood = (options: { thisUpdate?: number; nextUpdate?: number | null; producedAt?: number } = {}) => {
  const { producedAt, ...answer } = options
  return respond(root, { answers: [{ serial: leaf.serial, ...answer }], ...(producedAt ? { producedAt } : {}) })
}

describe('a copy', () => {
  it('is the very same array while it is remembered, also when the source confirms or repeats it', async () => {
    const list = issueCrl(root, { nextUpdate: now + 9 * dayMs })
    answers.set('/a', { body: list, etag: '"1"' })
    const { revocation } = opened()
    const first = await bytesOf(revocation.list(at('/a')))
    expect(await bytesOf(revocation.list(at('/a')))).toBe(first)
    now += evidenceLimits.list.refreshMs
    expect(await bytesOf(revocation.list(at('/a')))).toBe(first)
    expect(seen.map(({ etag }) => etag)).toEqual([undefined, '"1"'])
    answers.set('/a', { body: list, etag: '"2"' })
    now += evidenceLimits.list.refreshMs
    expect(await bytesOf(revocation.list(at('/a')))).toBe(first)
    now += evidenceLimits.list.refreshMs
    await revocation.list(at('/a'))
    expect(seen.at(-1)?.etag).toBe('"2"')
    expect(seen).toHaveLength(4)
  })

  it('is not taken where it is older than the one held: nobody makes a revocation unsaid', async () => {
    const fresh = issueCrl(root, {
      thisUpdate: now - 1000,
      revoked: [{ serial: leaf.serial }],
      nextUpdate: now + dayMs,
    })
    const replayed = issueCrl(root, { thisUpdate: now - dayMs, nextUpdate: now + dayMs })
    answers.set('/a', { body: fresh })
    const { revocation } = opened()
    const first = await bytesOf(revocation.list(at('/a')))
    answers.set('/a', { body: replayed })
    now += evidenceLimits.list.refreshMs
    expect(await bytesOf(revocation.list(at('/a')))).toBe(first)
    expect(seen).toHaveLength(2)
    now += dayMs
    expect(await bytesOf(revocation.list(at('/a')))).toMatch(/out of date/)
  })

  it('that was doubted is asked for anew before long, as if nothing were known, and then anything is taken', async () => {
    const forged = issueCrl(root, { thisUpdate: now, signWith: makeAuthority(), nextUpdate: now + 9 * dayMs })
    answers.set('/a', { body: forged, etag: '"real"' })
    const { revocation } = opened()
    const first = await bytesOf(revocation.list(at('/a')))
    if (typeof first === 'string') throw new Error(first)
    revocation.doubt?.(first)
    expect(await bytesOf(revocation.list(at('/a')))).toBe(first)
    const real = issueCrl(root, { thisUpdate: now - hourMs, nextUpdate: now + dayMs })
    answers.set('/a', { body: real, etag: '"real"' })
    now += evidenceLimits.doubtMs
    expect(await bytesOf(revocation.list(at('/a')))).toEqual(Buffer.from(real))
    expect(seen.map(({ etag }) => etag)).toEqual([undefined, undefined])
  })

  it('is never taken from the future, without an end, past it, or of another kind', async () => {
    const { revocation, certificates } = opened()
    const cases: [string, Uint8Array, RegExp][] = [
      ['/future', issueCrl(root, { thisUpdate: now + hourMs }), /not in force yet/],
      ['/endless', issueCrl(root, { nextUpdate: null }), /no nextUpdate/],
      ['/old', issueCrl(root, { thisUpdate: now - dayMs, nextUpdate: now - 1000 }), /out of date/],
      ['/page', Buffer.from('<html>Please log in</html>'), /not a CRL/],
      ['/certificate', root.certificate, /not a CRL/],
      ['/nothing', new Uint8Array(), /not a CRL/],
    ]
    for (const [path, body, reason] of cases) {
      answers.set(path, { body })
      expect(await bytesOf(revocation.list(at(path)))).toMatch(reason)
    }
    expect(await certificates(at('/page'))).toMatchObject({ detail: expect.stringMatching(/no certificates/) })
  })
})

describe('an OCSP answer', () => {
  const ask = (evidence: ReturnType<typeof opened>, which = request) =>
    bytesOf(evidence.revocation.ocsp(at('/o'), which))

  it('is asked for by POST, once for each question, until its refresh or its end', async () => {
    answers.set('/o', { body: ocspGood({ nextUpdate: now + 20 * 60_000 }) })
    const evidence = opened()
    const [first, same] = await Promise.all([ask(evidence), ask(evidence)])
    expect(same).toBe(first)
    expect(seen).toMatchObject([{ method: 'POST', type: 'application/ocsp-request', body: Buffer.from(request) }])
    await ask(evidence, Uint8Array.of(0x30, 0))
    expect(seen).toHaveLength(2)
    now += 20 * 60_000 + 1000
    answers.set('/o', { body: ocspGood({ thisUpdate: now, nextUpdate: now + 30 * dayMs, producedAt: now }) })
    const second = await ask(evidence)
    expect(second).not.toBe(first)
    now += evidenceLimits.ocsp.refreshMs
    expect(await ask(evidence)).toBe(second)
    expect(seen).toHaveLength(4)
  })

  it('without nextUpdate serves for minutes', async () => {
    answers.set('/o', { body: ocspGood({ thisUpdate: now, nextUpdate: null, producedAt: now }) })
    const evidence = opened()
    await ask(evidence)
    now += evidenceLimits.withoutNextUpdateMs - 2000
    await ask(evidence)
    expect(seen).toHaveLength(1)
    now += 4000
    expect(await ask(evidence)).toMatch(/out of date/)
  })

  it.each<[string, () => Uint8Array, RegExp]>([
    ['says tryLater', () => wrapped(3), /answered tryLater/],
    ['is out of date', () => ocspGood({ thisUpdate: now - dayMs, nextUpdate: now - 1000 }), /out of date/],
    ['is from the future', () => ocspGood({ producedAt: now + hourMs }), /not in force/],
    ['is a page', () => Buffer.from('<html>'), /not an OCSP response/],
  ])('that %s is a failure, and not asked for again at once', async (_, body, reason) => {
    answers.set('/o', { body: body() })
    const evidence = opened()
    expect(await ask(evidence)).toMatch(reason)
    expect(await ask(evidence)).toMatch(reason)
    expect(seen).toHaveLength(1)
    answers.set('/o', { body: ocspGood() })
    now += evidenceLimits.failureMs
    expect(await ask(evidence)).toBeInstanceOf(Uint8Array)
  })

  it('is not waited for once for every certificate where the host says nothing at all', async () => {
    let asked = 0
    const evidence = opened({
      fetch: async () => {
        asked++
        return { kind: 'unreachable', detail: 'it took too long', silent: true }
      },
    })
    for (let i = 0; i < 50; i++) await ask(evidence, Uint8Array.of(i))
    expect(asked).toBe(1)
    now += evidenceLimits.failureMs
    await ask(evidence, Uint8Array.of(99))
    expect(asked).toBe(2)
    // A bad answer is one of its question alone.
    answers.set('/o', { status: 500 })
    const other = opened()
    for (let i = 0; i < 3; i++) await ask(other, Uint8Array.of(i))
    expect(seen).toHaveLength(3)
  })
})

describe('in the store', () => {
  async function familiesFit(store: Store): Promise<number> {
    let rows = 0
    for await (const row of store.snapshot()) {
      if (row.kind !== 'entry') continue
      rows++
      const family = resolveFamilies.find(({ form }) => form.test(row.key))
      expect(family?.kind).toBe('entry')
      const needs = family?.kind === 'entry' ? await family.check(row, {} as never) : []
      for (const need of needs) expect(need.kind === 'entry' && (await store.get(need.key))).toBeTruthy()
    }
    return rows
  }

  it('copies survive the process, large ones in pieces, and a copy past its refresh is confirmed, not fetched', async () => {
    const disk = createMemoryDisk()
    const store = await openMemoryStore({ clock, disk })
    const revoked = Array.from({ length: 40_000 }, (_, i) => ({ serial: Buffer.from(`serial ${i}`) }))
    const large = issueCrl(root, { revoked, nextUpdate: now + 9 * dayMs })
    expect(large.length).toBeGreaterThan(2 * shelfLimits.chunkBytes)
    answers.set('/large', { body: large, etag: '"1"' })
    answers.set('/o', { body: ocspGood() })
    answers.set('/ca', { body: root.certificate })
    const first = opened({ store })
    await first.revocation.list(at('/large'))
    await first.revocation.ocsp(at('/o'), request)
    await first.certificates(at('/ca'))
    await first.close()
    expect(await familiesFit(store)).toBe(3 + chunkKeys('x', large.length).length + 2)
    await store.close()
    seen = []

    const again = await openMemoryStore({ clock, disk })
    const second = opened({ store: again })
    expect(Buffer.compare(Buffer.from(await bytesOf(second.revocation.list(at('/large')))), large)).toBe(0)
    expect(await bytesOf(second.revocation.ocsp(at('/o'), request))).toBeInstanceOf(Uint8Array)
    expect(await second.certificates(at('/ca'))).toEqual({
      kind: 'certificates',
      certificates: [Buffer.from(root.certificate)],
    })
    expect(seen).toEqual([])
    now += evidenceLimits.list.refreshMs
    await second.revocation.list(at('/large'))
    expect(seen).toMatchObject([{ url: '/large', etag: '"1"' }])
    await second.close()
    const third = opened({ store: again })
    await third.revocation.list(at('/large'))
    expect(seen).toHaveLength(1)
    await third.close()
  })

  it('what one node fetched anew the other takes without asking the source', async () => {
    const store = { ...(await openMemoryStore({ clock })), shared: true }
    answers.set('/a', { body: issueCrl(root, { nextUpdate: now + 9 * dayMs }) })
    const [one, other] = [opened({ store }), opened({ store })]
    await one.revocation.list(at('/a'))
    await one.close()
    const before = await bytesOf(other.revocation.list(at('/a')))
    expect(seen).toHaveLength(1)
    now += evidenceLimits.list.refreshMs
    const newer = issueCrl(root, { thisUpdate: now, revoked: [{ serial: leaf.serial }], nextUpdate: now + 9 * dayMs })
    answers.set('/a', { body: newer })
    await one.revocation.list(at('/a'))
    await one.close()
    const after = await bytesOf(other.revocation.list(at('/a')))
    expect(after).not.toBe(before)
    expect(after).toEqual(Buffer.from(newer))
    expect(seen).toHaveLength(2)
  })

  it('a shorter copy leaves nothing of the longer one behind', async () => {
    const store = await openMemoryStore({ clock })
    const revoked = Array.from({ length: 20_000 }, (_, i) => ({ serial: Buffer.from(`serial ${i}`) }))
    answers.set('/a', { body: issueCrl(root, { revoked, nextUpdate: now + 9 * dayMs }) })
    const evidence = opened({ store })
    await evidence.revocation.list(at('/a'))
    answers.set('/a', { body: issueCrl(root, { thisUpdate: now, nextUpdate: now + 9 * dayMs }) })
    now += evidenceLimits.list.refreshMs
    await evidence.revocation.list(at('/a'))
    await evidence.close()
    expect(await familiesFit(store)).toBe(2)
  })

  it('a store that fails breaks no judging and is counted', async () => {
    const broken = () => Promise.reject(new StoreFailed('the disk is gone'))
    const store: Store = { ...(await openMemoryStore({ clock })), get: broken, commit: broken, range: broken }
    const counted: string[] = []
    answers.set('/a', { body: issueCrl(root) })
    const evidence = opened({ store, metrics: { count: (name) => counted.push(name) } })
    expect(await bytesOf(evidence.revocation.list(at('/a')))).toBeInstanceOf(Uint8Array)
    await evidence.close()
    expect(counted).toEqual([
      'evidence_store_failures_total',
      'evidence_fetches_total',
      'evidence_store_failures_total',
    ])
    expect(await bytesOf(evidence.revocation.list(at('/a')))).toBeInstanceOf(Uint8Array)
    expect(seen).toHaveLength(1)
  })

  it('a row that was damaged is no copy: the source is asked', async () => {
    const store = await openMemoryStore({ clock })
    answers.set('/a', { body: issueCrl(root) })
    const first = opened({ store })
    await first.revocation.list(at('/a'))
    await first.close()
    const [piece] = await store.range({ ...within('evidence-bytes/'), limit: 1 })
    await store.commit({ put: [{ key: piece?.key ?? '', value: Buffer.from('damaged') }] })
    expect(await bytesOf(opened({ store }).revocation.list(at('/a')))).toBeInstanceOf(Uint8Array)
    expect(seen).toHaveLength(2)
    const [row] = await store.range({ ...within('evidence/'), limit: 1 })
    await store.commit({ put: [{ key: row?.key ?? '', value: Buffer.from('{"place":1}') }] })
    expect(await bytesOf(opened({ store }).revocation.list(at('/a')))).toBeInstanceOf(Uint8Array)
    expect(seen).toHaveLength(3)
  })

  it('what is out of date goes, then the oldest until the rest fits, one kind never for another', async () => {
    const store = await openMemoryStore({ clock })
    const evidence = opened({ store })
    for (let i = 0; i < 8; i++) {
      answers.set(`/${i}`, { body: issueCrl(root, { nextUpdate: now + (i === 3 ? hourMs : 90 * dayMs) }) })
      await evidence.revocation.list(at(`/${i}`))
      await evidence.close()
      now += 1000
    }
    answers.set('/ca', { body: root.certificate })
    await evidence.certificates(at('/ca'))
    await evidence.close()
    const rows = async () => (await store.range({ ...within('evidence/list/'), limit: 100 })).length
    const rules = { kept: 100, keptBytes: 1e6 }
    expect(await sweepShelf(store, 'list', now, rules)).toBe(0)
    expect(await sweepShelf(store, 'list', now + 2 * hourMs, rules)).toBe(1)
    expect(await sweepShelf(store, 'list', now, { ...rules, kept: 4 })).toBe(3)
    expect(await rows()).toBe(4)
    expect(await sweepShelf(store, 'list', now, { ...rules, keptBytes: 700 })).toBeGreaterThan(0)
    const left = await store.range({ ...within('evidence/list/'), limit: 100 })
    expect(left.map(({ value }) => JSON.parse(Buffer.from(value).toString()).place).sort()).toContain(at('/7'))
    expect((await store.range({ ...within('evidence/issuer/'), limit: 100 })).length).toBe(1)
    await familiesFit(store)
  })

  it('and in memory, there is never more than the limits say, however many are asked for', async () => {
    const store = await openMemoryStore({ clock })
    const list = { ...evidenceLimits.list, held: 5, kept: 10, heldBytes: 1e6, keptBytes: 4_000 }
    const body = Buffer.from(issueCrl(root, { nextUpdate: now + 9 * dayMs }))
    const evidence = opened({
      store,
      limits: { ...evidenceLimits, list },
      fetch: async () => ({ kind: 'fetched', body }),
    })
    for (let i = 0; i < 60; i++) {
      await evidence.revocation.list(`http://crl.test/${i}`)
      await evidence.close()
    }
    const kept = await store.range({ ...within('evidence/list/'), limit: 100 })
    expect(kept.length * body.length).toBeLessThan(2 * list.keptBytes)
  })
})
