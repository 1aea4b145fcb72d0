import { encryptSHLFile, SHL, SHLViewer } from 'kill-the-clipboard'
import { afterEach, describe, expect, it } from 'vitest'
import { writeLink } from '../../src/connect/shl/link.js'
import type { LinkFetch } from '../../src/ports/fetch.js'
import { allergy, openWays, patient, type Ways } from '../connect/ways.js'

let ways: Ways
afterEach(() => ways.gateway.app.close())
const base = 'https://gw.example'
const path = '/records/child/links'

/** The child's record holds an allergy of 2020, and who the child is. */
async function filled(options: Parameters<typeof openWays>[0] = {}) {
  ways = await openWays(options)
  const items = [patient('Anna', '2015-02-03'), allergy]
  const given = {
    access: { record: 'child', told: 'child', rules: 'all', custodian: true, actor: { by: 'x', avenue: 'page' } },
  }
  const put = await ways.record.put(
    'child',
    items.map((item) => ({ kind: 'create', item }) as never),
    given as never,
  )
  if (put.kind !== 'put') throw new Error(JSON.stringify(put))
  await ways.store.commit(put.parts)
}

/** Sends what a viewer asks of our name to our socket. */
const serving = (async (url: string | URL | Request, options?: RequestInit) =>
  fetch(String(url).replace(base, ways.url), options)) as typeof fetch

async function shared(body: object = {}, who = 'mother') {
  const made = await ways.call(who, 'POST', path, body)
  expect([made.status, made.status === 201 ? '' : made.body]).toEqual([201, ''])
  return made.body as { uri: string; items: number; link: { id: string } }
}
const urlOf = (uri: string) => SHL.parse(uri).url.replace(base, ways.url)

describe('a record shared by a link', () => {
  it('is opened by another implementation over the network, with what was chosen and the patient', async () => {
    await filled()
    const { uri, items } = await shared({ passcode: 'tulips', label: 'For Dr. Lake', types: ['allergy'] })
    expect(items).toBe(1)
    const viewer = new SHLViewer({ shlinkURI: uri, fetch: serving })
    const { fhirResources } = await viewer.resolveSHL({ recipient: 'Dr. Lake', passcode: 'tulips' })
    const [bundle] = fhirResources as unknown as { entry: { resource: { resourceType: string; id: string } }[] }[]
    expect(bundle?.entry.map(({ resource }) => resource.resourceType)).toEqual(['Patient', 'AllergyIntolerance'])
    // The true id of the record is in no link.
    expect(JSON.stringify(bundle)).not.toContain('Patient/child')
    const { body } = await ways.call('mother', 'GET', path)
    expect(body.links).toMatchObject([{ state: 'active', opened: 1, recipient: 'Dr. Lake', attemptsLeft: 10 }])
    expect(await ways.history('child')).toMatchObject([
      { action: 'download', from: { avenue: 'link' }, addressee: 'Dr. Lake' },
      { action: 'share', from: { person: 'mother' }, addressee: 'link: For Dr. Lake', count: 1, types: ['allergy'] },
    ])
  })

  it('gives large files at addresses of their own, or alone without a manifest', async () => {
    await filled()
    const { uri } = await shared()
    const viewer = new SHLViewer({ shlinkURI: uri, fetch: serving })
    expect((await viewer.resolveSHL({ recipient: 'x', embeddedLengthMax: 1 })).fhirResources).toHaveLength(1)
    const direct = new SHLViewer({ shlinkURI: (await shared({ direct: true })).uri, fetch: serving })
    expect((await direct.resolveSHL({ recipient: 'x' })).fhirResources).toHaveLength(1)
  })

  it('lets pages of any origin ask, tells how many passcodes are left, and 404 of all that is not there', async () => {
    await filled()
    const { uri, link } = await shared({ passcode: 'tulips' })
    const url = urlOf(uri)
    const asked = (body: object, to = url) =>
      fetch(to, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
    const preflight = await fetch(url, { method: 'OPTIONS', headers: { origin: 'https://viewer.example' } })
    expect([preflight.status, preflight.headers.get('access-control-allow-origin')]).toEqual([204, '*'])
    const wrong = await asked({ recipient: 'x', passcode: 'roses!', more: 'is passed over' })
    expect([wrong.status, await wrong.json()]).toEqual([401, { remainingAttempts: 9 }])
    expect(wrong.headers.get('access-control-allow-origin')).toBe('*')
    expect((await asked({ passcode: 'tulips' })).status).toBe(400)
    const nowhere = url.replace(/[^/]+$/, 'A'.repeat(43))
    expect((await asked({ recipient: 'x' }, nowhere)).status).toBe(404)
    expect((await fetch(`${url}?recipient=x`)).status).toBe(404)
    expect((await fetch(`${ways.url}/shl-file/x`)).status).toBe(404)
    expect((await ways.call('mother', 'DELETE', `${path}/${link.id}`)).body).toEqual({ revoked: true })
    const gone = await asked({ recipient: 'x', passcode: 'tulips' })
    expect([gone.status, gone.headers.get('access-control-allow-origin')]).toEqual([404, '*'])
    expect((await ways.history('child')).map(({ action, outcome }) => `${action} ${outcome}`)).toEqual([
      ...['unshare success', 'download refused', 'share success'],
    ])
  })

  it('never gives a try too many, however many come at once', async () => {
    await filled()
    const { uri } = await shared({ passcode: 'tulips' })
    const guess = async (i: number) => {
      const body = JSON.stringify({ recipient: 'x', passcode: `guess ${i}` })
      const headers = { 'content-type': 'application/json' }
      return (await fetch(urlOf(uri), { method: 'POST', headers, body })).status
    }
    const all = await Promise.all(Array.from({ length: 50 }, (_, i) => guess(i)))
    expect(all.filter((status) => status === 401).length).toBeLessThanOrEqual(10)
    expect(all.every((status) => [401, 404, 429].includes(status))).toBe(true)
  })

  it('is for custodians: nobody else makes, sees or ends one, and nobody shares more than there is', async () => {
    await filled()
    const { link } = await shared()
    ways.hold('stranger', 'child', [{ name: 'see', reason: {}, permissions: ['read'] }])
    for (const [method, to, body] of [
      ['POST', path, {}],
      ['GET', path, undefined],
      ['DELETE', `${path}/${link.id}`, undefined],
    ] as const)
      expect((await ways.call('stranger', method, to, body)).status).toBe(403)
    expect((await ways.call('mother', 'GET', '/records/other/links')).status).toBe(404)
    expect((await ways.call('mother', 'DELETE', `/records/herself/links/${link.id}`)).status).toBe(404)
    for (const body of [
      { ids: ['f'.repeat(32)] },
      { passcode: 'short' },
      { direct: true, passcode: 'tulips' },
      { more: 1 },
    ])
      expect((await ways.call('mother', 'POST', path, body)).status).toBe(400)
    expect((await ways.call('mother', 'POST', path, { expiresAt: '2020-01-01T00:00:00Z' })).status).toBe(400)
    expect((await ways.call('mother', 'POST', path, { from: '2021-01-01' })).body).toMatchObject({
      code: 'not-possible',
    })
  })
})

const key = Buffer.alloc(32, 4).toString('base64url')
const far = 'https://far.example/shl/x'
const farLink = (more: object = {}) =>
  writeLink({ url: far, key: Buffer.from(key, 'base64url'), flags: ['P'], ...more } as never)
const bundle = (birthDate: string) => ({
  resourceType: 'Bundle',
  type: 'collection',
  entry: [
    { resource: { resourceType: 'Patient', id: 'p', name: [{ family: 'Muster', given: ['Anna'] }], birthDate } },
    {
      resource: {
        ...{ resourceType: 'AllergyIntolerance', id: 'a', patient: { reference: 'Patient/p' } },
        code: { text: 'Latex' },
      },
    },
  ],
})

/** A server of the standard made with another implementation's encryption. */
async function farServer(content: object): Promise<LinkFetch> {
  const jwe = await encryptSHLFile({
    content: JSON.stringify(content),
    key,
    contentType: 'application/fhir+json',
  } as never)
  const said = (body: object) => Buffer.from(JSON.stringify(body))
  return async (url, post) => {
    if (url !== far || !post) return { kind: 'failed', detail: 'no such host' }
    const { passcode, recipient } = JSON.parse(Buffer.from(post.body).toString())
    if (recipient !== 'Test house') return { kind: 'failed', detail: 'no recipient', status: 400 }
    if (passcode === 'ended') return { kind: 'failed', detail: '404', status: 404 }
    if (passcode !== 'tulips')
      return { kind: 'failed', detail: '401', status: 401, said: said({ remainingAttempts: 4 }) }
    return { kind: 'fetched', bytes: said({ files: [{ contentType: 'application/fhir+json', embedded: jwe }] }) }
  }
}

describe('a link that somebody pasted', () => {
  const accept = (body: object, record = 'child', who = 'mother') =>
    ways.call(who, 'POST', `/records/${record}/links/accept`, body)

  it('is followed, and what it holds waits in the record to be looked through', async () => {
    await filled({ fetch: await farServer(bundle('2015-02-03')) })
    const taken = await accept({
      link: `https://viewer.example/#${farLink({ label: 'Hospital' })}`,
      passcode: 'tulips',
    })
    expect(taken.body).toMatchObject({
      label: 'Hospital',
      items: 3,
      documents: [{ match: 'match' }],
      issuers: [],
      notes: [],
    })
    expect(await ways.history('child')).toMatchObject([{ action: 'receive', addressee: 'far.example', count: 3 }])
    expect((await accept({ link: farLink(), passcode: 'tulips' })).body).toMatchObject({ items: 0 })
  })

  it('is held where it seems to be of somebody else', async () => {
    await filled({ fetch: await farServer(bundle('1999-01-01')) })
    const taken = await accept({ link: farLink(), passcode: 'tulips' })
    expect(taken.body).toMatchObject({ documents: [{ match: 'mismatch' }] })
    expect(await ways.current('child')).toEqual(['allergy', 'demographics'])
  })

  it.each([
    ['without its passcode', {}, 403, 'link-passcode'],
    ['with a wrong one', { passcode: 'roses!' }, 403, 'link-passcode'],
    ['that ended', { passcode: 'ended' }, 409, 'link-ended'],
    ['whose term is over', { link: farLink({ exp: 1 }), passcode: 'tulips' }, 409, 'link-ended'],
    ['that is none', { link: 'https://far.example/' }, 422, 'link-unreadable'],
    ['to nobody', { link: farLink({ url: 'https://no.example/x' }), passcode: 'tulips' }, 409, 'link-unreachable'],
    ['under another key', { link: farLink({ key: Buffer.alloc(32, 9) }), passcode: 'tulips' }, 422, 'link-empty'],
  ])('%s is told so by name', async (_, body, status, code) => {
    await filled({ fetch: await farServer(bundle('2015-02-03')) })
    const refused = await accept({ link: farLink(), ...body })
    expect(refused.body).toMatchObject({ status, code })
    if (code === 'link-passcode' && 'passcode' in body)
      expect(refused.body.errors).toEqual([{ where: 'body.passcode', detail: 'Not right; tries that are left: 4' }])
  })

  it('goes nowhere that the person may not write, and is followed for nobody else', async () => {
    await filled({ fetch: await farServer(bundle('2015-02-03')) })
    const body = { link: farLink(), passcode: 'tulips' }
    expect((await accept(body, 'other')).status).toBe(404)
    ways.hold('stranger', 'child', [{ name: 'see', reason: {}, permissions: ['read'] }])
    expect((await accept(body, 'child', 'stranger')).body).toMatchObject({ status: 403, healthvaultStatus: 11 })
    expect((await accept(body, 'child', 'clinic')).status).toBe(403)
  })
})
