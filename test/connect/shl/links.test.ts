import { generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import { deflateRawSync } from 'node:zlib'
import fc from 'fast-check'
import { encryptSHLFile, SHL, SHLViewer } from 'kill-the-clipboard'
import { describe, expect, it } from 'vitest'
import { audit } from '../../../src/audit/audit.js'
import { acceptLink } from '../../../src/connect/shl/accept.js'
import { openJwe, sealJwe } from '../../../src/connect/shl/jwe.js'
import { linkLimits } from '../../../src/connect/shl/limits.js'
import { readLink, writeLink } from '../../../src/connect/shl/link.js'
import { type NewLink, openLinks } from '../../../src/connect/shl/links.js'
import { openSlowHash } from '../../../src/keyring/slow-hash.js'
import type { LinkFetch } from '../../../src/ports/fetch.js'
import { openRoom } from '../../spool/room.js'
import { quick } from '../package/world.js'

const base = 'https://gw.example'
const anna = { by: 'person:anna', avenue: 'page', person: 'anna' } as const
const bundle = { resourceType: 'Bundle', type: 'collection', entry: [] }
const files: NewLink['files'] = [{ contentType: 'application/fhir+json', bytes: Buffer.from(JSON.stringify(bundle)) }]

async function openWorld(limits = linkLimits) {
  const room = await openRoom()
  // The other implementation looks at the clock of this machine.
  room.clock.at = Date.now()
  const ports = { ...room, audit, slowHash: openSlowHash(quick), indexKey: new Uint8Array(32).fill(3), base }
  const links = openLinks(ports, limits)
  async function made(link: Partial<NewLink> = {}) {
    const created = await links.create('record-1', { files, ...link }, anna)
    if (created.kind !== 'created') throw new Error(created.problem)
    expect((await room.store.commit(created.parts)).kind).toBe('committed')
    const read = readLink(created.uri)
    if (read.kind !== 'link') throw new Error(read.detail)
    return { ...created, secret: read.link.url.slice(`${base}/shl/`.length), key: read.link.key }
  }
  return { ...room, links, made }
}
type World = Awaited<ReturnType<typeof openWorld>>

/** Our side as a client of the standard meets it. */
function serving({ links }: World): typeof fetch {
  return (async (url: string | URL | Request, options: RequestInit = {}) => {
    const { pathname, searchParams } = new URL(String(url))
    const json = (status: number, body: object) =>
      new Response(JSON.stringify(body), { status, headers: { 'content-type': 'application/json' } })
    const jose = (jwe: string | undefined) =>
      jwe === undefined ? json(404, {}) : new Response(jwe, { headers: { 'content-type': 'application/jose' } })
    const [, where, what = ''] = pathname.split('/')
    if (where === 'shl-file') return jose(await links.file(what))
    if ((options.method ?? 'GET') === 'GET')
      return jose((await links.direct(what, { recipient: searchParams.get('recipient') ?? '' }))?.jwe)
    const answer = await links.manifest(what, JSON.parse(String(options.body)))
    switch (answer.kind) {
      case 'manifest':
        return json(200, { files: answer.files })
      case 'wrong-passcode':
        return json(401, { remainingAttempts: answer.remainingAttempts })
      case 'busy':
        return json(429, {})
      case 'inactive':
        return json(404, {})
    }
  }) as typeof fetch
}

describe('a health link', () => {
  it.each([
    ['in the manifest', {}],
    ['at an address of its own', { embeddedLengthMax: 10 }],
  ])('is opened by a client of the standard: %s', async (_, more) => {
    const world = await openWorld()
    const { uri } = await world.made({ passcode: 'tulips', label: 'For Dr. Lake' })
    const viewer = new SHLViewer({ shlinkURI: `https://viewer.example/#${uri}`, fetch: serving(world) })
    expect(viewer.shl.requiresPasscode).toBe(true)
    expect(viewer.shl.label).toBe('For Dr. Lake')
    expect(viewer.shl.url.length).toBeLessThanOrEqual(128)
    const resolved = await viewer.resolveSHL({ recipient: 'Dr. Lake', passcode: 'tulips', ...more })
    expect(resolved.fhirResources).toEqual([bundle])
    expect(await world.links.list('record-1')).toMatchObject([
      { state: 'active', opened: 1, recipient: 'Dr. Lake', attemptsLeft: 10 },
    ])
  })

  it('may be a single file, which has no passcode', async () => {
    const world = await openWorld()
    const { uri } = await world.made({ direct: true })
    const resolved = await new SHLViewer({ shlinkURI: uri, fetch: serving(world) }).resolveSHL({ recipient: 'x' })
    expect(resolved.fhirResources).toEqual([bundle])
    expect(await world.links.create('record-1', { files, direct: true, passcode: 'tulips' }, anna)).toMatchObject({
      problem: 'bad-passcode',
    })
  })

  it('has its wrong passcodes counted for ever, however many come at once', async () => {
    const world = await openWorld({ ...linkLimits, waiting: 100 })
    const { secret } = await world.made({ passcode: 'tulips' })
    const guess = (passcode?: string) =>
      world.links.manifest(secret, { recipient: 'x', ...(passcode !== undefined && { passcode }) })
    expect(await guess('roses!')).toEqual({ kind: 'wrong-passcode', remainingAttempts: 9 })
    expect(await guess('tulips')).toMatchObject({ kind: 'manifest' })
    const all = await Promise.all(Array.from({ length: 50 }, (_, i) => guess(`guess ${i}`)))
    expect(all.filter(({ kind }) => kind === 'wrong-passcode')).toHaveLength(9)
    expect(all.filter(({ kind }) => kind === 'inactive')).toHaveLength(41)
    expect(await guess('tulips')).toEqual({ kind: 'inactive' })
    expect(await world.links.list('record-1')).toMatchObject([{ state: 'locked', attemptsLeft: 0 }])
  })

  it('lets twenty wait for their turn, and tells the others so', async () => {
    const world = await openWorld()
    const { secret } = await world.made({ passcode: 'tulips' })
    const right = () => world.links.manifest(secret, { recipient: 'x', passcode: 'tulips' })
    const kinds = (await Promise.all(Array.from({ length: 30 }, right))).map(({ kind }) => kind)
    expect(kinds.filter((kind) => kind === 'manifest')).toHaveLength(20)
    expect(kinds.filter((kind) => kind === 'busy')).toHaveLength(10)
    expect(await world.links.list('record-1')).toMatchObject([{ attemptsLeft: 10, opened: 20 }])
  })

  it('is nothing once it is revoked or over, like one that never was; its files go', async () => {
    const world = await openWorld()
    const [one, two] = [await world.made(), await world.made({ termMs: 1000 })]
    const ask = (secret: string) => world.links.manifest(secret, { recipient: 'x', embeddedLengthMax: 0 })
    const given = await ask(one.secret)
    const location = given.kind === 'manifest' ? (given.files[0]?.location ?? '').slice(`${base}/shl-file/`.length) : ''
    expect(await world.links.file(location)).toBeDefined()
    expect(await world.links.revoke('record-2', one.link.id, anna)).toBe(false)
    expect(await world.links.revoke('record-1', one.link.id, anna)).toBe(true)
    expect(await world.links.file(location)).toBeUndefined()
    world.clock.at += 1000
    for (const secret of [one.secret, two.secret, 'a'.repeat(43), ''])
      expect(await ask(secret)).toEqual({ kind: 'inactive' })
    expect(await world.links.sweep()).toBe(1)
    const rows: string[] = []
    for await (const row of world.store.snapshot()) if (row.kind === 'entry') rows.push(row.key)
    expect(rows.filter((key) => key.startsWith('connect/shl-file'))).toEqual([])
    world.clock.at += linkLimits.keptMs + linkLimits.termMs
    expect(await world.links.sweep()).toBe(2)
    expect(await world.links.list('record-1')).toEqual([])
  })

  it('gives addresses of files that hold for an hour, and for no other file', async () => {
    const world = await openWorld()
    const { secret } = await world.made()
    const given = await world.links.manifest(secret, { recipient: 'x', embeddedLengthMax: 0 })
    const location = given.kind === 'manifest' ? (given.files[0]?.location ?? '').slice(`${base}/shl-file/`.length) : ''
    const [digest, index, until, mac] = location.split('.')
    for (const wrong of [
      `${digest}.1.${until}.${mac}`,
      `${digest}.${index}.${Number(until) + 1}.${mac}`,
      `${location}.x`,
      '',
      '...',
    ])
      expect(await world.links.file(wrong)).toBeUndefined()
    world.clock.at += 3_600_000 - 1
    expect(await world.links.file(location)).toBeDefined()
    world.clock.at += 1
    expect(await world.links.file(location)).toBeUndefined()
  })

  it('is not in the store: neither its address, nor its key, nor its passcode, nor a word of the files', async () => {
    const world = await openWorld()
    const { secret, key } = await world.made({ passcode: 'tulips', label: 'private label' })
    for await (const row of world.store.snapshot()) {
      if (row.kind !== 'entry') continue
      const text = row.key + Buffer.from(row.value).toString('latin1')
      for (const hidden of [secret, 'tulips', 'private label', 'Bundle', Buffer.from(key).toString('latin1')])
        expect(text).not.toContain(hidden)
    }
  })
})

describe('a pasted link', () => {
  const url = `${base}/x/${'a'.repeat(43)}`
  const key = randomBytes(32)
  const link = { url, key, flags: [] }
  const fetching =
    (answers: Record<string, string | number>): LinkFetch =>
    async (asked) => {
      const found = answers[asked.split('?')[0] ?? '']
      if (typeof found === 'string') return { kind: 'fetched', bytes: Buffer.from(found) }
      const said = Buffer.from('{"remainingAttempts":2}')
      return { kind: 'failed', detail: 'no', ...(found !== undefined && { status: found, said }) }
    }
  const follow = (fetch: LinkFetch, pasted = writeLink(link), passcode?: string) =>
    acceptLink({ ask: fetch, now: () => 1e12 }, pasted, { recipient: 'us', ...(passcode && { passcode }) })
  const text = JSON.stringify(bundle)

  it('is followed to what another implementation encrypted, deflated or not', async () => {
    const encrypt = (enableCompression: boolean) =>
      encryptSHLFile({
        ...{ content: text, key: key.toString('base64url') },
        ...{ contentType: 'application/fhir+json', enableCompression },
      })
    const manifest = {
      files: [
        { contentType: 'application/fhir+json', embedded: await encrypt(true) },
        { contentType: 'application/fhir+json', location: `${base}/file` },
        { contentType: 'application/fhir+json', embedded: 'no jwe' },
      ],
    }
    const fetch = fetching({ [url]: JSON.stringify(manifest), [`${base}/file`]: await encrypt(false) })
    const got = await follow(fetch)
    if (got.kind !== 'files') throw new Error(got.kind)
    expect(got.files.map(({ bytes }) => Buffer.from(bytes).toString())).toEqual([text, text])
    expect(got.notes).toEqual(['file 3 does not open'])
  })

  it('tells what is missing: a passcode, tries that are left, that it is over', async () => {
    const asks = writeLink({ ...link, flags: ['P'] })
    expect(await follow(fetching({}), asks)).toEqual({ kind: 'passcode' })
    expect(await follow(fetching({ [url]: 401 }), asks, 'x')).toEqual({ kind: 'passcode', remainingAttempts: 2 })
    expect(await follow(fetching({ [url]: 404 }))).toEqual({ kind: 'inactive' })
    expect(await follow(fetching({}))).toMatchObject({ kind: 'unreachable' })
    expect(await follow(fetching({}), writeLink({ ...link, exp: 1 }))).toEqual({ kind: 'inactive' })
  })

  it('has its health cards verified where the key of the issuer is to be had', async () => {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const b64 = (part: Uint8Array | string) => Buffer.from(part).toString('base64url')
    const head = b64(JSON.stringify({ alg: 'ES256', zip: 'DEF', kid: 'k1' }))
    const claims = { iss: 'https://issuer.example', nbf: 1, vc: { credentialSubject: { fhirBundle: bundle } } }
    const body = b64(deflateRawSync(JSON.stringify(claims)))
    const signature = sign('sha256', Buffer.from(`${head}.${body}`), { key: privateKey, dsaEncoding: 'ieee-p1363' })
    const cards = JSON.stringify({ verifiableCredential: [`${head}.${body}.${b64(signature)}`] })
    const embedded = await sealJwe(key, randomBytes(12), { cty: 'application/smart-health-card' }, Buffer.from(cards))
    const manifest = JSON.stringify({ files: [{ contentType: 'application/smart-health-card', embedded }] })
    const jwks = (x: object) => JSON.stringify({ keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'k1', ...x }] })
    const at = 'https://issuer.example/.well-known/jwks.json'
    const issuers = async (answers: Record<string, string>) => {
      const got = await follow(fetching({ [url]: manifest, ...answers }))
      return got.kind === 'files' ? got.files.map(({ issuer }) => [issuer?.verified, issuer?.detail]) : got
    }
    expect(await issuers({ [at]: jwks({}) })).toEqual([[true, 'signed']])
    expect(await issuers({})).toEqual([[false, 'the key of the issuer was not found']])
    expect(await issuers({ [at]: jwks({ kid: 'k2' }) })).toEqual([[false, 'the key of the issuer was not found']])
    const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' })
    expect(await issuers({ [at]: jwks(other) })).toEqual([[false, 'the signature is not right']])
  })

  it.each([
    ['no link', 'https://example.org'],
    ['no JSON', 'shlink:/AAAA'],
    [
      'another version',
      `shlink:/${Buffer.from(JSON.stringify({ url, key: key.toString('base64url'), v: 2 })).toString('base64url')}`,
    ],
    ['a url without TLS', writeLink({ ...link, url: 'http://gw.example/x' })],
    ['a long url', writeLink({ ...link, url: `${base}/${'x'.repeat(130)}` })],
    ['a short key', writeLink({ ...link, key: randomBytes(31) })],
    ['a passcode for a direct file', writeLink({ ...link, flags: ['P', 'U'] })],
    ['too much', `shlink:/${'A'.repeat(5000)}`],
  ])('is refused: %s', (_, pasted) => {
    expect(readLink(pasted)).toMatchObject({ kind: 'refused' })
  })

  it('is read as the standard’s own client reads it, flags that are not known passed over', () => {
    const uri = writeLink({ ...link, flags: ['P', 'L'], label: 'x', exp: 5 })
    expect(SHL.parse(uri).payload).toMatchObject({ url, flag: 'LP', label: 'x', exp: 5 })
    const odd = Buffer.from(JSON.stringify({ url, key: key.toString('base64url'), flag: 'LXZ', extension: {} }))
    expect(readLink(`shlink:/${odd.toString('base64url')}`)).toMatchObject({ link: { flags: ['L'] } })
  })

  it('never throws, whatever is pasted or served', async () => {
    const served = fc.oneof(
      fc.string(),
      fc.json(),
      fc.json().map((files) => `{"files":[${files}]}`),
    )
    await fc.assert(
      fc.asyncProperty(fc.string(), served, async (pasted, manifest) => {
        readLink(`shlink:/${Buffer.from(pasted).toString('base64url')}`)
        await follow(fetching({ [url]: manifest }))
        await openJwe(key, pasted)
      }),
      { numRuns: 1000 },
    )
  })

  it('does not let a small file become a large one', async () => {
    const bomb = await sealJwe(key, randomBytes(12), {}, Buffer.alloc(2_000_000), true)
    const limits = { textChars: 1e6, headerChars: 4096, plaintextBytes: 1_000_000 }
    expect(await openJwe(key, bomb, limits)).toMatchObject({ kind: 'malformed' })
  })
})
