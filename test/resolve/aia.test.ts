import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { oids } from '../../src/asn1/oids.js'
import { content, onlyElement } from '../../src/asn1/reader.js'
import { context, integer, objectIdentifier, sequenceOf, setOf } from '../../src/asn1/writer.js'
import { aiaIssuers } from '../../src/resolve/aia.js'
import { openEvidence } from '../../src/resolve/evidence.js'
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
    evidence: openEvidence({ reach: { allowPrivate: true, timeoutMs: 300 }, clock: { now: () => now } }),
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

/** The same with an indefinite length around it all (X.690 §8.1.3.6). */
function indefinite(whole: Uint8Array): Uint8Array {
  return Buffer.concat([Uint8Array.of(0x30, 0x80), content(onlyElement(whole)), Uint8Array.of(0, 0)])
}

const judged = (leaf: Identity, issuers: ReturnType<typeof opened>, bag: readonly Identity[] = []) =>
  wordOf(decide([leaf], { ...portsOf({ anchors: [root] }), issuers }, { bag }))

describe('issuers over HTTP', () => {
  it.each<[string, (middle: Identity) => Uint8Array | string]>([
    ['DER', (middle) => middle.certificate],
    ['PEM', (middle) => `Subject: x\n${pem('CERTIFICATE', middle.certificate)}`],
    ['certificates-only CMS', (middle) => p7c(makeAuthority(), middle)],
    ['certificates-only CMS in BER', (middle) => indefinite(p7c(middle))],
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

  it('are looked for further on where the first place gave somebody else', async () => {
    const middle = makeIntermediate(root)
    answers.set('/wrong', makeIntermediate(root).certificate)
    answers.set('/ca', middle.certificate)
    expect(await judged(under(middle, '/wrong', '/ca'), opened())).toBe('trusted')
    expect(await judged(under(middle, '/wrong', '/missing'), opened())).toBe('issuer-unavailable')
  })

  it('are looked for in three places, and what was left out is said', async () => {
    const middle = makeIntermediate(root)
    answers.set('/ca', middle.certificate)
    const found = await opened().of(under(middle, '/1', '/2', 'ldap://x.test/cn=a', '/ca', '/ca').certificate)
    expect(found).toMatchObject({
      cause: 'issuer-unavailable',
      detail: expect.stringMatching(/404; .*404; the scheme ldap: is not fetched; 2 more places were not asked/),
    })
    expect(server.hits.has('/ca')).toBe(false)
  })

  it('are garbage where they do not parse, whatever their first byte says', async () => {
    const middle = makeIntermediate(root)
    for (const body of [Uint8Array.of(0x30, 3, 2, 1, 1), Buffer.alloc(70_000, 0x30), p7c(), new Uint8Array()]) {
      answers.set('/ca', body)
      expect(await judged(under(middle, '/ca'), opened())).toBe('issuer-unavailable')
    }
    answers.set('/ca', p7c({ ...middle, certificate: sequenceOf(integer(1)) }, middle))
    expect(await judged(under(middle, '/ca'), opened())).toBe('trusted')
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
