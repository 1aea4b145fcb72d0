import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { asToken, register, rule } from './healthvault/clinic.js'
import { type House, openHouse, problem } from './healthvault/house.js'
import { noteItem, problemItem } from './healthvault/items.js'
import { itemsOf, sha256 } from './healthvault/packages.js'
import { type Person, signUp } from './healthvault/people.js'
import { redirectUri, type Tokens, tokensFor } from './healthvault/web.js'

/** HealthVault's records, behaviour by behaviour, against one built gateway. */

let house: House
let mother: Person
let stranger: Person
let child: string
let app: Tokens

beforeAll(async () => {
  house = await openHouse()
  ;[mother, stranger] = await Promise.all([signUp(house, 'Mother'), signUp(house, 'Stranger')])
  child = await mother.record('Anna', { relationship: 'parent' })
  const rules = { online: [rule('all', { types: ['problem', 'document', 'note', 'demographics'] })], offline: [] }
  const client = await register(house, { kind: 'web', rules, may: [], redirect: [redirectUri] })
  app = await tokensFor(house, mother, { client: client.id }, { record: child })
})
afterAll(() => house.close())

interface Put {
  readonly items: readonly { readonly id: string; readonly version: string }[]
  readonly sequence: number
}

const path = (record = child) => `/api/v1/records/${record}/items`
const put = (changes: readonly object[], who = mother) => who.ask('POST', path(), { changes })
const create = (item: object) => ({ kind: 'create', item })
async function created(item: object): Promise<Put['items'][number]> {
  const answer = await put([create(item)])
  const [one] = answer.json<Put>().items
  if (!one) throw new Error(`${answer.status} ${answer.bytes}`)
  return one
}
const textOf = async (id: string) => {
  const answer = await mother.ask('GET', `${path()}/${id}`)
  return answer.json<{ content: { text?: string; problem?: { text: string } } }>().content
}
const demographics = (family: string) => ({
  content: {
    ...{ type: 'demographics', names: [{ given: ['Anna'], family }], races: [], ethnicities: [], languages: [] },
    ...{ addresses: [], telecoms: [], identifiers: [] },
  },
})

describe('a record', () => {
  it('refuses a version stamp that is stale with 61, and rolls the whole put back', async () => {
    const { id, version } = await created(noteItem('first'))
    const update = (text: string, stamp: string) => ({
      kind: 'update',
      entry: id,
      version: stamp,
      item: noteItem(text),
    })
    expect((await put([update('second', version)])).status).toBe(200)
    const before = (await itemsOf(mother, child)).length
    const answer = await put([create(noteItem('beside')), update('third', version), create(noteItem('after'))])
    expect(problem(answer)).toBe('412 version-mismatch 61')
    expect(answer.json()).toMatchObject({ errors: [{ where: 'body.changes.1' }] })
    expect(await itemsOf(mother, child)).toHaveLength(before)
    expect(await textOf(id)).toMatchObject({ text: 'second' })
  })

  it('refuses a change without a version stamp with 60', async () => {
    const { id } = await created(noteItem('first'))
    expect(problem(await put([{ kind: 'update', entry: id, item: noteItem('x') }]))).toBe('428 version-missing 60')
    expect(problem(await mother.ask('DELETE', `${path()}/${id}`))).toBe('428 version-missing 60')
    expect(problem(await mother.ask('DELETE', `${path()}/${id}`, undefined, { 'if-match': '*' }))).toBe(
      '428 version-missing 60',
    )
  })

  it('takes one of twenty changes that all read the same version', async () => {
    const { id, version } = await created(noteItem('start'))
    const all = await Promise.all(
      Array.from({ length: 20 }, (_, at) =>
        put([{ kind: 'update', entry: id, version, item: noteItem(`racer ${at}`) }]),
      ),
    )
    expect(all.filter(({ status }) => status === 200)).toHaveLength(1)
    expect(new Set(all.filter(({ status }) => status !== 200).map(problem))).toEqual(
      new Set(['412 version-mismatch 61']),
    )
  })

  it('keeps what is read-only from everybody, its own application and custodians too, 154', async () => {
    const item = noteItem('sealed', { flags: { readOnly: true } })
    const made = (
      await asToken(house, app.access_token, 'POST', path(app.patient), { changes: [create(item)] })
    ).json<Put>()
    const { id = '', version = '' } = made.items[0] ?? {}
    const update = { kind: 'update', entry: id, version, item: noteItem('changed') }
    for (const change of [update, { kind: 'delete', entry: id, version }]) {
      expect(problem(await asToken(house, app.access_token, 'POST', path(app.patient), { changes: [change] }))).toBe(
        '409 read-only 154',
      )
      expect(problem(await put([change]))).toBe('409 read-only 154')
    }
    expect(await textOf(id)).toMatchObject({ text: 'sealed' })
  })

  it('lets no item become read-only later', async () => {
    const { id, version } = await created(noteItem('open'))
    const item = noteItem('open', { flags: { readOnly: true } })
    expect((await put([{ kind: 'update', entry: id, version, item }])).status).toBe(400)
  })

  it('has one set of demographics: a second one is refused, the first one is updated', async () => {
    const { id, version } = await created(demographics('Sample'))
    expect(problem(await put([create(demographics('Other'))]))).toBe('409 singleton 60')
    const update = { kind: 'update', entry: id, version, item: demographics('Changed') }
    expect((await put([update])).status).toBe(200)
    const both = await put([create(demographics('A')), create(demographics('B'))])
    expect(both.status).toBe(409)
  })

  it('hides what is flagged personal from applications, and does not tell that it is there', async () => {
    const { id, version } = await created(problemItem('Private', { flags: { personal: true } }))
    const seen = await asToken(house, app.access_token, 'GET', `${path(app.patient)}?limit=200`)
    expect(seen.bytes.toString()).not.toContain('Private')
    for (const one of [id, 'nothing'])
      expect(problem(await asToken(house, app.access_token, 'GET', `${path(app.patient)}/${one}`))).toBe(
        '404 not-found',
      )
    const change = { kind: 'delete', entry: id, version }
    expect(problem(await asToken(house, app.access_token, 'POST', path(app.patient), { changes: [change] }))).toBe(
      '404 not-found',
    )
    expect((await mother.ask('GET', `${path()}/${id}`)).status).toBe(200)
    const flagged = create(noteItem('mine', { flags: { personal: true } }))
    expect(
      (await asToken(house, app.access_token, 'POST', path(app.patient), { changes: [flagged] })).status,
    ).toBeGreaterThanOrEqual(400)
  })

  it('tells every change in a feed without gaps, under parallel writers', async () => {
    const feed = async (after: number) => {
      const all: { sequence: number; id: string; operation: string }[] = []
      for (let query = `after=${after}`; ; ) {
        const page = (await mother.ask('GET', `/api/v1/records/${child}/changes?limit=7&${query}`)).json<{
          changes: typeof all
          next: string
          more: boolean
        }>()
        all.push(...page.changes)
        if (!page.more) return all
        query = `cursor=${encodeURIComponent(page.next)}`
      }
    }
    const begun = (await feed(0)).at(-1)?.sequence ?? 0
    const puts = await Promise.all(Array.from({ length: 30 }, (_, at) => put([create(noteItem(`parallel ${at}`))])))
    const told = puts.map((one) => one.json<Put>())
    const changes = await feed(begun)
    expect(changes.map(({ sequence }) => sequence)).toEqual(Array.from({ length: 30 }, (_, at) => begun + 1 + at))
    expect(new Set(changes.map(({ id }) => id))).toEqual(new Set(told.map(({ items }) => items[0]?.id)))
  })

  it('keeps what was deleted for its custodians, who bring it back, and shows applications nothing of it', async () => {
    const { id, version } = await created(noteItem('gone for a while'))
    const gone = await mother.ask('DELETE', `${path()}/${id}`, undefined, { 'if-match': `"${version}"` })
    const stamp = gone.json<{ version: string }>().version
    expect(problem(await asToken(house, app.access_token, 'GET', `${path(app.patient)}/${id}`))).toBe('404 not-found')
    const back = await mother.ask('POST', `${path()}/${id}/restore`, undefined, { 'if-match': `"${stamp}"` })
    expect(back.status).toBe(200)
    const history = await mother.ask('GET', `${path()}/${id}/history`)
    expect(history.json<{ versions: { operation: string }[] }>().versions.map(({ operation }) => operation)).toEqual([
      ...['restore', 'delete', 'create'],
    ])
    expect(problem(await asToken(house, app.access_token, 'GET', `${path(app.patient)}/${id}/history`))).toBe(
      '403 access-denied',
    )
  })

  it('creates the same again under one client id once', async () => {
    const item = noteItem('once', { clientId: 'of-the-client-1' })
    const all = await Promise.all(Array.from({ length: 5 }, () => put([create(item)])))
    expect(new Set(all.map((one) => one.json<Put>().items[0]?.id)).size).toBe(1)
  })

  it("is not found by a stranger, exactly as one that does not exist; so are its items in another's record", async () => {
    const { id } = await created(noteItem('hers'))
    const theirs = await stranger.record('Other')
    const nothing = 'f'.repeat(32)
    for (const where of [path(), path(nothing), `${path()}/${id}`, `${path(theirs)}/${id}`])
      expect(problem(await stranger.ask('GET', where))).toBe('404 not-found')
    const change = { changes: [create(noteItem('x'))] }
    for (const record of [child, nothing])
      expect(problem(await stranger.ask('POST', path(record), change))).toBe('404 not-found')
  })

  it('sets nothing in passing that an item has no business to say', async () => {
    const fields = [
      'id',
      'entryId',
      'recordId',
      'version',
      'state',
      'created',
      'updated',
      'provenance',
      'source',
      'withheld',
      'appearances',
    ]
    for (const name of fields)
      expect([name, (await put([create({ ...noteItem('x'), [name]: 'x' })])).status]).toEqual([name, 400])
    const record = { name: 'X', custodian: true, recordId: child, state: 'read-only', quota: 1 }
    expect((await stranger.ask('POST', '/api/v1/account/records', record)).status).toBe(400)
    expect(
      (await stranger.ask('PATCH', '/api/v1/account', { name: 'X', email: 'x@y.example', level: 'two-factors' }))
        .status,
    ).toBe(400)
  })
})

describe('bytes of a record', () => {
  const bytes = randomBytes(300_000)
  const blobs = () => `/api/v1/records/${child}/blobs`
  const append = (id: string, at: number, piece: Uint8Array) =>
    house.ask(`${blobs()}/${id}`, {
      method: 'PATCH',
      headers: {
        ...{ cookie: mother.cookie, 'x-csrf-token': mother.csrf, origin: house.url },
        ...{ 'content-type': 'application/octet-stream', 'upload-offset': String(at) },
      },
      body: new Uint8Array(piece),
    })

  it('come in pieces, go on where they were cut off, and are read back byte for byte', async () => {
    const { id } = (await mother.ask('POST', blobs(), { sizeBytes: bytes.length, sha256: sha256(bytes) })).json<{
      id: string
    }>()
    expect((await append(id, 0, bytes.subarray(0, 100_000))).status).toBe(200)
    const gap = await append(id, 200_000, bytes.subarray(200_000))
    expect([problem(gap), gap.headers.get('upload-offset')]).toEqual(['409 upload-offset', '100000'])
    await house.restart('SIGKILL')
    expect((await mother.ask('GET', `${blobs()}/${id}`)).headers.get('upload-offset')).toBe('100000')
    expect((await append(id, 100_000, bytes.subarray(100_000))).status).toBe(200)
    const blob = { name: 'scan', mediaType: 'application/octet-stream', sha256: sha256(bytes), sizeBytes: bytes.length }
    const item = await created(noteItem('with a scan', { blobs: [blob] }))
    const read = await mother.ask('GET', `${path()}/${item.id}/blobs/${sha256(bytes)}`)
    expect(read.bytes.equals(bytes)).toBe(true)
    expect(problem(await stranger.ask('GET', `${path()}/${item.id}/blobs/${sha256(bytes)}`))).toBe('404 not-found')
  })

  it('that are not what was announced are refused with 111, and named by nothing (102)', async () => {
    const announced = sha256(randomBytes(10))
    const { id } = (await mother.ask('POST', blobs(), { sizeBytes: 10, sha256: announced })).json<{ id: string }>()
    expect(problem(await append(id, 0, randomBytes(10)))).toBe('422 hash-mismatch 111')
    const blob = { name: 'x', mediaType: 'text/plain', sha256: announced, sizeBytes: 10 }
    expect(problem(await put([create(noteItem('x', { blobs: [blob] }))]))).toBe('409 blob-missing 102')
  })

  it('that are too large are refused before they come, and more than announced is too', async () => {
    expect((await mother.ask('POST', blobs(), { sizeBytes: 2 ** 45 })).status).toBeGreaterThanOrEqual(400)
    const { id } = (await mother.ask('POST', blobs(), { sizeBytes: 10 })).json<{ id: string }>()
    expect((await append(id, 0, randomBytes(11))).status).toBe(413)
    // Who does not stop to listen may be cut off before the answer is read; nothing is kept of it either way.
    const told = append(id, 0, randomBytes(9 * 1024 * 1024)).then(({ status }) => status)
    expect(await told.catch(() => 413)).toBe(413)
    expect((await mother.ask('GET', `${blobs()}/${id}`)).headers.get('upload-offset')).toBe('0')
  })
})
