import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { oids } from '../../src/asn1/oids.js'
import { context, integer, objectIdentifier, sequenceOf, setOf } from '../../src/asn1/writer.js'
import { aiaIssuers } from '../../src/resolve/aia.js'
import { fetchWithin } from '../../src/resolve/fetch.js'
import { type Identity, makeAuthority, makeIntermediate, makeLeaf, pem } from '../fixtures/pki.js'
import { decide, portsOf, wordOf } from '../trust/world.js'
import { serve } from './server.js'

let server: Awaited<ReturnType<typeof serve>>
let answers: Map<string, Uint8Array | string>
let now = Date.now()
beforeAll(async () => {
  server = await serve((request, response) => {
    const answer = answers.get(request.url ?? '')
    if (answer === undefined) response.writeHead(404).end()
    else response.end(answer)
  })
})
afterAll(() => server.close())
beforeEach(() => {
  answers = new Map()
  server.hits.clear()
  now = Date.now()
})

const root = makeAuthority()
const opened = (imported: readonly Identity[] = []) =>
  aiaIssuers({
    imported: { of: async () => imported.map(({ certificate }) => certificate) },
    fetch: fetchWithin({ allowPrivate: true, timeoutMs: 300 }),
    clock: { now: () => now },
  })

function under(issuer: Identity, ...paths: readonly string[]): Identity {
  const caIssuers = paths.map((path) => (path.includes(':') ? path : server.base + path))
  return makeLeaf(issuer, { keyType: 'p256', san: { dns: ['hisp.test'] }, caIssuers })
}

/** Certificates-only CMS. */
function p7c(...certificates: readonly Identity[]): Uint8Array {
  const data = sequenceOf(
    integer(1),
    setOf(),
    sequenceOf(objectIdentifier(oids.data)),
    context(0, ...certificates.map(({ certificate }) => certificate)),
    setOf(),
  )
  return sequenceOf(objectIdentifier(oids.signedData), context(0, data))
}

const judged = (leaf: Identity, issuers: ReturnType<typeof opened>, bag: readonly Identity[] = []) =>
  wordOf(decide([leaf], { ...portsOf({ anchors: [root] }), issuers }, { bag }))

describe('issuers over HTTP', () => {
  it.each<[string, (middle: Identity) => Uint8Array | string]>([
    ['DER', (middle) => middle.certificate],
    ['PEM', (middle) => `Subject: x\n${pem('CERTIFICATE', middle.certificate)}`],
    ['certificates-only CMS', (middle) => p7c(makeAuthority(), middle)],
    ['certificates-only CMS in PEM', (middle) => pem('PKCS7', p7c(middle))],
  ])('come as %s', async (_, encode) => {
    const middle = makeIntermediate(root)
    answers.set('/ca', encode(middle))
    expect(await judged(under(middle, '/ca'), opened())).toBe('trusted')
  })

  it('are followed over several steps, fetched once', async () => {
    const upper = makeIntermediate(root)
    const lower = makeIntermediate(upper, { caIssuers: [`${server.base}/upper`] })
    answers.set('/upper', upper.certificate)
    answers.set('/lower', lower.certificate)
    const issuers = opened()
    expect(await judged(under(lower, '/lower'), issuers)).toBe('trusted')
    expect(await judged(under(lower, '/lower'), issuers)).toBe('trusted')
    expect([...server.hits.values()]).toEqual([1, 1])
  })

  it('are not fetched where nothing is missing', async () => {
    const middle = makeIntermediate(root)
    expect(await judged(under(middle, '/ca'), opened(), [middle])).toBe('trusted')
    expect(await judged(under(middle, '/ca'), opened([middle]))).toBe('trusted')
    expect(await judged(under(root, '/ca'), opened())).toBe('trusted')
    expect(server.hits.size).toBe(0)
  })

  it('wait when they cannot be had, after trying each place', async () => {
    const middle = makeIntermediate(root)
    expect(await judged(under(middle, '/missing'), opened())).toBe('issuer-unavailable')
    answers.set('/page', '<html>Please log in</html>')
    expect(await judged(under(middle, '/page'), opened())).toBe('issuer-unavailable')
    answers.set('/ca', middle.certificate)
    expect(await judged(under(middle, 'ldap://x.test/cn=a', '/page', '/ca'), opened())).toBe('trusted')
  })

  it('are refused when they came and lead to no anchor', async () => {
    const stranger = makeAuthority()
    answers.set('/ca', stranger.certificate)
    expect(await judged(under(stranger, '/ca'), opened())).toBe('no-anchor')
    answers.set('/wrong', makeIntermediate(root).certificate)
    expect(await judged(under(makeIntermediate(root), '/wrong'), opened())).toBe('no-anchor')
  })

  it('that point to each other without end are given up', async () => {
    let issuer = makeAuthority()
    for (let i = 0; i < 20; i++) {
      const path = `/step${i}`
      answers.set(path, issuer.certificate)
      issuer = makeIntermediate(issuer, { caIssuers: [server.base + path] })
    }
    answers.set('/last', issuer.certificate)
    expect(await judged(under(issuer, '/last'), opened())).not.toBe('trusted')
    expect([...server.hits.values()].reduce((all, n) => all + n, 0)).toBeLessThanOrEqual(6)
  })
})
