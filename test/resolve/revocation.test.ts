import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { evidenceLimits, openEvidence } from '../../src/resolve/evidence.js'
import type { FetchRules } from '../../src/resolve/fetch.js'
import { openRevocation } from '../../src/trust/revocation.js'
import { dayMs, type Identity, issueCrl, makeAuthority, makeIntermediate, makeLeaf } from '../fixtures/pki.js'
import { decide, portsOf, wordOf } from '../trust/world.js'
import { serve } from './server.js'

const root = makeAuthority()
let server: Awaited<ReturnType<typeof serve>>
let answers: Map<string, Uint8Array | number | 'never'>
let now = Date.now()
const clock = { now: () => now }

beforeAll(async () => {
  server = await serve((request, response) => {
    const answer = answers.get(request.url ?? '') ?? 404
    if (answer === 'never') return
    if (typeof answer === 'number') response.writeHead(answer).end()
    else response.end(answer)
  })
})
afterAll(() => server.close())
beforeEach(() => {
  answers = new Map()
  server.hits.clear()
  now = Date.now()
})

const opened = (reach: Partial<FetchRules> = { allowPrivate: true, timeoutMs: 300 }) =>
  openRevocation({
    sources: openEvidence({ reach, clock }).revocation,
    issuers: { of: async () => [] },
    clock,
  })

function leafAt(...paths: readonly string[]): Identity {
  const crlUrls = paths.map((path) => (path.includes(':') ? path : server.base + path))
  return makeLeaf(root, { keyType: 'p256', san: { dns: ['hisp.test'] }, crlUrls })
}

const ask = (revocation: ReturnType<typeof opened>, leaf: Identity, issuer = root) =>
  revocation.status({ path: [leaf.certificate, issuer.certificate], others: [], at: now, allowSha1: false })

describe('revocation over HTTP', () => {
  it('learns who is revoked, from one fetch for all who ask at once and after', async () => {
    const [bad, good] = [leafAt('/a'), leafAt('/a')]
    answers.set('/a', issueCrl(root, { revoked: [{ serial: bad.serial, reason: 1 }] }))
    const revocation = opened()
    const all = await Promise.all([...Array(20)].map((_, i) => ask(revocation, i % 2 ? bad : good)))
    expect(all.map(({ kind }) => kind)).toEqual([...Array(20)].map((_, i) => (i % 2 ? 'revoked' : 'good')))
    expect(await ask(revocation, bad)).toMatchObject({ kind: 'revoked', reason: 'keyCompromise' })
    expect(server.hits.get('/a')).toBe(1)
  })

  it('is not published for a certificate without distribution points', async () => {
    expect(await ask(opened(), makeLeaf(root, { keyType: 'p256' }))).toEqual({ kind: 'not-published' })
    expect(server.hits.size).toBe(0)
  })

  it('tries every distribution point until one proves something', async () => {
    const leaf = leafAt('ldap://dir.test/cn=a', '/missing', '/other', '/garbage', '/a')
    answers.set('/other', issueCrl(makeAuthority()))
    answers.set('/garbage', Buffer.from('<html>'))
    answers.set('/a', issueCrl(root, { revoked: [{ serial: leaf.serial }] }))
    expect((await ask(opened(), leafAt('/missing', '/other', '/garbage', '/a'))).kind).toBe('good')
    expect((await ask(opened(), leafAt('/other', '/a'))).kind).toBe('good')
    answers.delete('/a')
    expect(await ask(opened(), leaf)).toMatchObject({
      kind: 'unavailable',
      detail: expect.stringMatching(
        /ldap: is not fetched; .*404; the CRL is of another issuer; .* gave what is not a CRL: neither DER nor PEM$/,
      ),
    })
    answers.set('/a', issueCrl(root, { revoked: [{ serial: leaf.serial }] }))
    expect(await ask(opened(), leaf)).toMatchObject({ kind: 'revoked' })
  })

  it.each<[string, () => Uint8Array | number | 'never']>([
    ['answers 500', () => 500],
    ['never answers', () => 'never'],
    ['answers a list of another key', () => issueCrl(root, { signWith: makeAuthority() })],
    ['answers a list out of date', () => issueCrl(root, { thisUpdate: now - 9 * dayMs, nextUpdate: now - dayMs })],
    ['answers a list without nextUpdate', () => issueCrl(root, { nextUpdate: null })],
  ])('is unavailable when the server %s: hard waits, soft warns', async (_, answer) => {
    answers.set('/a', answer())
    const leaf = leafAt('/a')
    const revocation = opened()
    const ports = { ...portsOf({ anchors: [root] }), revocation }
    expect(await wordOf(decide([leaf], ports))).toBe('revocation-unavailable')
    expect(await decide([leaf], ports, { policy: { revocation: 'soft' } })).toMatchObject({
      kind: 'trusted',
      warnings: ['revocation-unknown'],
    })
    expect(server.hits.get('/a')).toBe(1)
  })

  it('asks a failed server again after a while, not at once', async () => {
    const leaf = leafAt('/a')
    const revocation = opened()
    expect((await ask(revocation, leaf)).kind).toBe('unavailable')
    answers.set('/a', issueCrl(root))
    expect((await ask(revocation, leaf)).kind).toBe('unavailable')
    now += 30_000
    expect((await ask(revocation, leaf)).kind).toBe('good')
  })

  it('takes effect within the hour after it was published, however long the list before is valid', async () => {
    const leaf = leafAt('/a')
    answers.set('/a', issueCrl(root, { nextUpdate: now + 30 * dayMs }))
    const revocation = opened()
    expect((await ask(revocation, leaf)).kind).toBe('good')
    answers.set('/a', issueCrl(root, { revoked: [{ serial: leaf.serial }], nextUpdate: now + 30 * dayMs }))
    now += evidenceLimits.list.refreshMs - 1
    // The last decision that may still rest on the old list has a newer one fetched behind it.
    expect((await ask(revocation, leaf)).kind).toBe('good')
    await expect.poll(async () => (await ask(revocation, leaf)).kind).toBe('revoked')
  })

  it('takes effect with the very first decision after the hour, also where nobody asked meanwhile', async () => {
    const leaf = leafAt('/a')
    answers.set('/a', issueCrl(root, { nextUpdate: now + 30 * dayMs }))
    const revocation = opened()
    expect((await ask(revocation, leaf)).kind).toBe('good')
    answers.set('/a', issueCrl(root, { revoked: [{ serial: leaf.serial }], nextUpdate: now + 30 * dayMs }))
    now += evidenceLimits.list.refreshMs
    expect((await ask(revocation, leaf)).kind).toBe('revoked')
  })

  it('is answered from the old list while the server is dead, until that list is out of date', async () => {
    const leaf = leafAt('/a')
    answers.set('/a', issueCrl(root, { nextUpdate: now + 3 * dayMs }))
    const revocation = opened()
    expect((await ask(revocation, leaf)).kind).toBe('good')
    answers.set('/a', 'never')
    now += dayMs
    expect((await ask(revocation, leaf)).kind).toBe('good')
    const hits = server.hits.get('/a')
    const before = performance.now()
    for (let i = 0; i < 20; i++) expect((await ask(revocation, leaf)).kind).toBe('good')
    now += 31_000
    expect((await ask(revocation, leaf)).kind).toBe('good')
    // The server is asked again, and nobody waits for it any more.
    expect(performance.now() - before).toBeLessThan(250)
    await expect.poll(() => server.hits.get('/a')).toBe((hits ?? 0) + 1)
    now += 3 * dayMs
    expect((await ask(revocation, leaf)).kind).toBe('unavailable')
  })

  it('is asked for intermediates too', async () => {
    const middle = makeIntermediate(root, { crlUrls: [`${server.base}/root`] })
    const leaf = makeLeaf(middle, {
      keyType: 'p256',
      san: { dns: ['hisp.test'] },
      crlUrls: [`${server.base}/middle`],
    })
    answers.set('/middle', issueCrl(middle))
    answers.set('/root', issueCrl(root, { revoked: [{ serial: middle.serial, reason: 2 }] }))
    const ports = { ...portsOf({ anchors: [root] }), revocation: opened() }
    expect(await decide([leaf], ports, { bag: [middle] })).toMatchObject({ kind: 'refused', reason: 'revoked' })
    answers.set('/root', issueCrl(root))
    const fresh = { ...ports, revocation: opened() }
    expect(await wordOf(decide([leaf], fresh, { bag: [middle] }))).toBe('trusted')
  })

  it('does not reach into the private network on the word of a certificate', async () => {
    answers.set('/a', issueCrl(root))
    const revocation = opened({})
    expect(await ask(revocation, leafAt('/a'))).toMatchObject({
      kind: 'unavailable',
      detail: expect.stringMatching(/not a public/),
    })
    expect(server.hits.size).toBe(0)
  })
})
