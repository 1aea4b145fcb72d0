import { describe, expect, it } from 'vitest'
import type { RevocationSources, SourceAnswer } from '../../src/ports/trust.js'
import { openRevocation, revocationLimits, type Unavailable } from '../../src/trust/revocation.js'
import { readCertificate } from '../../src/x509/certificate.js'
import { ocspRequest } from '../../src/x509/ocsp.js'
import { dayMs, type Identity, issueCrl, makeAuthority, makeIntermediate, makeLeaf } from '../fixtures/pki.js'
import { hourMs, makeDelegate, respond, respondersAt } from './responder.js'
import { decide, portsOf, wordOf } from './world.js'

const root = makeAuthority()
const listUrl = 'http://crl.hisp.test/root.crl'
const responderUrl = 'http://ocsp.hisp.test:8080/'

/** Sources that give what stands in a map, and tell what they were asked. */
function world(answers: Record<string, Uint8Array | undefined>) {
  let now = Date.now()
  const asked: string[] = []
  const doubted: Uint8Array[] = []
  const told: Unavailable[] = []
  const give = async (url: string): Promise<SourceAnswer> => {
    asked.push(url)
    const bytes = answers[url]
    return bytes ? { kind: 'bytes', bytes } : { kind: 'unavailable', detail: `${url} is silent` }
  }
  const sources: RevocationSources = { list: give, ocsp: (url) => give(url), doubt: (bytes) => doubted.push(bytes) }
  const revocation = openRevocation({
    sources,
    issuers: { of: async () => [] },
    clock: { now: () => now },
    onUnavailable: (one) => told.push(one),
  })
  const ask = (leaf: Identity, more: readonly Identity[] = []) =>
    revocation.status({
      path: [leaf, ...more, root].map(({ certificate }) => certificate),
      others: [],
      at: now,
      allowSha1: false,
    })
  return { answers, asked, doubted, told, revocation, ask, wait: (ms: number) => (now += ms) }
}

function leafWith({ list = false, responders = [] as readonly string[] } = {}): Identity {
  return makeLeaf(root, {
    keyType: 'p256',
    san: { email: ['alice@hisp.test'] },
    ...(list ? { crlUrls: [listUrl] } : {}),
    ...(responders.length > 0 ? { extensions: [respondersAt(...responders)] } : {}),
  })
}

const good = ({ serial }: Identity) => respond(root, { answers: [{ serial }] })
const revoked = ({ serial }: Identity) =>
  respond(root, { answers: [{ serial, status: { at: Date.now() - dayMs, reason: 1 } }] })

describe('lists and responders', () => {
  const both = { list: true, responders: [responderUrl] }

  it('are not asked where neither is named', async () => {
    const { ask, asked } = world({})
    expect(await ask(leafWith())).toEqual({ kind: 'not-published' })
    expect(asked).toEqual([])
  })

  it('are told to a witness with each answer that rests on them, remembered ones too; silent ones are not', async () => {
    const leaf = leafWith(both)
    const { revocation } = world({ [responderUrl]: good(leaf) })
    const heard = async () => {
      const sources = new Set<string>()
      const path = [leaf.certificate, root.certificate]
      const onSource = (url: string) => void sources.add(url)
      expect(await revocation.status({ path, others: [], at: Date.now(), allowSha1: false, onSource })).toEqual({
        kind: 'good',
      })
      return [...sources]
    }
    expect(await heard()).toEqual([responderUrl])
    expect(await heard()).toEqual([responderUrl])
  })

  it('a responder is not asked where a list proves something', async () => {
    const leaf = leafWith(both)
    const { ask, asked } = world({ [listUrl]: issueCrl(root), [responderUrl]: revoked(leaf) })
    expect((await ask(leaf)).kind).toBe('good')
    expect(asked).toEqual([listUrl])
  })

  it.each<[string, Uint8Array | undefined]>([
    ['is silent', undefined],
    ['is of another', issueCrl(makeAuthority())],
    ['is out of date', issueCrl(root, { thisUpdate: Date.now() - 9 * dayMs, nextUpdate: Date.now() - dayMs })],
  ])('a responder is asked where the list %s', async (_, list) => {
    const leaf = leafWith(both)
    expect((await world({ [listUrl]: list, [responderUrl]: good(leaf) }).ask(leaf)).kind).toBe('good')
    expect(await world({ [listUrl]: list, [responderUrl]: revoked(leaf) }).ask(leaf)).toMatchObject({
      kind: 'revoked',
      reason: 'keyCompromise',
    })
    expect((await world({ [listUrl]: list }).ask(leaf)).kind).toBe('unavailable')
  })

  it('a responder alone decides where there is no list', async () => {
    const leaf = leafWith({ responders: [responderUrl] })
    expect((await world({ [responderUrl]: good(leaf) }).ask(leaf)).kind).toBe('good')
    expect((await world({ [responderUrl]: revoked(leaf) }).ask(leaf)).kind).toBe('revoked')
    expect(await world({}).ask(leaf)).toMatchObject({ kind: 'unavailable', detail: `${responderUrl} is silent` })
  })

  it('what one of them revoked the other does not make good again, and silence even less', async () => {
    const leaf = leafWith(both)
    const its = world({ [responderUrl]: revoked(leaf) })
    expect((await its.ask(leaf)).kind).toBe('revoked')
    its.answers[listUrl] = issueCrl(root)
    its.answers[responderUrl] = undefined
    expect((await its.ask(leaf)).kind).toBe('revoked')
    its.answers[listUrl] = undefined
    expect((await its.ask(leaf)).kind).toBe('revoked')
    // Who said so may take it back: a hold ends.
    its.answers[responderUrl] = good(leaf)
    expect((await its.ask(leaf)).kind).toBe('good')
  })

  it('a list that proved nothing is doubted, one that proved something is not', async () => {
    const leaf = leafWith(both)
    const wrong = issueCrl(makeAuthority())
    const its = world({ [listUrl]: wrong, [responderUrl]: good(leaf) })
    await its.ask(leaf)
    expect(its.doubted).toEqual([wrong])
    const strange = good(leafWith())
    const other = world({ [listUrl]: undefined, [responderUrl]: strange })
    await other.ask(leaf)
    expect(other.doubted).toEqual([strange])
  })

  it('two responders are asked at most, and what was left out is said', async () => {
    const urls = ['http://a.test/', 'http://b.test/', 'http://c.test/']
    const leaf = leafWith({ responders: urls })
    const its = world({ 'http://c.test/': good(leaf) })
    expect(await its.ask(leaf)).toMatchObject({ detail: expect.stringMatching(/1 more responders were not asked/) })
    expect(its.asked).toEqual(urls.slice(0, 2))
    its.answers['http://b.test/'] = good(leaf)
    expect((await its.ask(leaf)).kind).toBe('good')
  })

  it('answer for the certificate and the issuer they were asked about', async () => {
    const [one, other] = [leafWith({ responders: [responderUrl] }), leafWith({ responders: [responderUrl] })]
    expect((await world({ [responderUrl]: good(other) }).ask(one)).kind).toBe('unavailable')
    const read = (identity: Identity) => {
      const certificate = readCertificate(identity.certificate)
      if (certificate.kind === 'malformed') throw new Error(certificate.detail)
      return certificate
    }
    expect(ocspRequest(read(one), read(root))).not.toEqual(ocspRequest(read(other), read(root)))
  })
})

describe('a delegate without nocheck', () => {
  const answered = (delegate: Identity, list?: Uint8Array) => {
    const leaf = leafWith({ responders: [responderUrl] })
    const answers = [{ serial: leaf.serial }]
    const bytes = respond(root, { answers, signer: delegate, certificates: [delegate.certificate] })
    return world({ [responderUrl]: bytes, [listUrl]: list }).ask(leaf)
  }

  it('is believed where a list of the issuer does not name him, and only then', async () => {
    const delegate = makeDelegate(root, { noCheck: false, crlUrls: [listUrl] })
    expect((await answered(delegate, issueCrl(root))).kind).toBe('good')
    expect(await answered(delegate, issueCrl(root, { revoked: [{ serial: delegate.serial }] }))).toMatchObject({
      kind: 'unavailable',
      detail: expect.stringMatching(/responder was revoked/),
    })
    expect(await answered(delegate)).toMatchObject({ kind: 'unavailable' })
    expect(await answered(makeDelegate(root, { noCheck: false }), issueCrl(root))).toMatchObject({
      detail: expect.stringMatching(/nobody publishes/),
    })
    expect((await answered(makeDelegate(root))).kind).toBe('good')
  })
})

describe('an answer', () => {
  it('is remembered as long as the sources hand out the same bytes', async () => {
    const leaf = leafWith({ list: true })
    const its = world({ [listUrl]: issueCrl(root) })
    expect((await its.ask(leaf)).kind).toBe('good')
    expect((await its.ask(leaf)).kind).toBe('good')
    its.answers[listUrl] = issueCrl(root, { revoked: [{ serial: leaf.serial }] })
    expect((await its.ask(leaf)).kind).toBe('revoked')
    its.answers[listUrl] = undefined
    its.wait(revocationLimits.revokedMs + 1)
    expect((await its.ask(leaf)).kind).toBe('unavailable')
  })

  it('ends with the list or the answer that it rests on, whatever the sources say', async () => {
    const leaf = leafWith({ list: true })
    const its = world({ [listUrl]: issueCrl(root, { nextUpdate: Date.now() + hourMs }) })
    expect((await its.ask(leaf)).kind).toBe('good')
    its.wait(hourMs + 1000)
    expect((await its.ask(leaf)).kind).toBe('unavailable')
    const asked = leafWith({ responders: [responderUrl] })
    const other = world({ [responderUrl]: good(asked) })
    expect((await other.ask(asked)).kind).toBe('good')
    other.wait(hourMs + 1000)
    expect((await other.ask(asked)).kind).toBe('unavailable')
  })

  it('is of its path: what another anchor vouches for proves nothing here', async () => {
    const middle = makeIntermediate(root)
    const leaf = makeLeaf(middle, { keyType: 'p256', crlUrls: [listUrl] })
    const its = world({ [listUrl]: issueCrl(middle) })
    expect((await its.ask(leaf, [middle])).kind).toBe('good')
    expect((await its.ask(leaf, [])).kind).toBe('unavailable')
  })

  it('about certificates that do not parse is none', async () => {
    const { revocation } = world({})
    const question = { others: [], at: Date.now(), allowSha1: false }
    for (const path of [[], [root.certificate], [new Uint8Array(), root.certificate]])
      expect((await revocation.status({ ...question, path })).kind).toBe('unavailable')
  })
})

describe('silence', () => {
  const leaf = leafWith({ list: true, responders: [responderUrl] })

  it('is told of once an hour for each host', async () => {
    const its = world({})
    await its.ask(leaf)
    await its.ask(leafWith({ list: true }))
    expect(its.told.map(({ host }) => host)).toEqual(['crl.hisp.test', 'ocsp.hisp.test:8080'])
    expect(its.told[0]).toMatchObject({ certificate: leaf.fingerprint, detail: expect.stringMatching(/silent/) })
    its.wait(revocationLimits.tellEveryMs)
    await its.ask(leafWith({ list: true }))
    expect(its.told).toHaveLength(3)
  })

  it('waits under hard, warns and alarms under soft, and nobody is asked under off', async () => {
    const its = world({})
    const ports = { ...portsOf({ anchors: [root] }), revocation: its.revocation }
    expect(await wordOf(decide([leaf], ports))).toBe('revocation-unavailable')
    const soft = world({})
    expect(
      await decide([leaf], { ...ports, revocation: soft.revocation }, { policy: { revocation: 'soft' } }),
    ).toMatchObject({ kind: 'trusted', warnings: ['revocation-unknown'] })
    expect(soft.told).not.toHaveLength(0)
    const off = world({})
    expect(
      await wordOf(decide([leaf], { ...ports, revocation: off.revocation }, { policy: { revocation: 'off' } })),
    ).toBe('trusted')
    expect(off.asked).toEqual([])
  })

  it('does not make a revoked certificate pass under soft', async () => {
    const its = world({ [responderUrl]: revoked(leaf) })
    const ports = { ...portsOf({ anchors: [root] }), revocation: its.revocation }
    const policy = { revocation: 'soft' as const }
    expect(await wordOf(decide([leaf], ports, { policy }))).toBe('revoked')
    its.answers[responderUrl] = undefined
    expect(await wordOf(decide([leaf], ports, { policy }))).toBe('revoked')
  })
})
