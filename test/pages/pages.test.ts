import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { localPath } from '../../src/pages/session.js'
import { StoreFailed } from '../../src/ports/store.js'
import { codeAt, goodPassword, openWorld } from '../people/world.js'
import { openPages } from './browser.js'

const email = 'ada@mail.example'

describe('a browser without scripts', () => {
  it('signs up, adds an app, creates a record, shares it, signs out and in again', async () => {
    const world = await openWorld()
    const { browser, errors } = await openPages(world)
    const ada = browser()
    await ada.get('/sign-up')
    await ada.send('/sign-up', { email, name: 'Ada <Example>' })
    expect(ada.at).toBe('/sign-up/sent')
    await ada.get(`/sign-up/confirm?code=${await world.link(email, 'confirm-email')}`)
    await ada.send('/sign-up/confirm', { name: 'Ada <Example>', password: goodPassword })
    expect(ada.at).toBe('/account/factors')
    await ada.get('/records')
    expect(ada.at).toContain('/account/factors') // one factor does not open records
    await ada.get('/account/totp')
    const secret = (/class="code">([A-Z2-7 ]+)</.exec(ada.body)?.[1] ?? '').replaceAll(' ', '')
    await ada.send('/account/totp', { code: codeAt(secret, world.clock.at) })
    expect(ada.body.match(/class="code">[0-9A-Z-]{19}</g)?.length).toBe(10)
    await ada.get('/records')
    await ada.send('/records', { name: 'Anna & co', relationship: 'parent', birthDate: '2015-02-03' })
    expect(ada.body).toContain('Anna &amp; co')
    const sharing = /href="(\/records\/[^"]+\/sharing)"/.exec(ada.body)?.[1] ?? ''
    await ada.get(sharing)
    await ada.send(`${sharing}/invite`, { email: 'ben@mail.example', relationship: 'father', kind: 'all', pin: '2468' })
    expect(ada.body).toContain('ben@mail.example (pending)')

    await world.withTotp('ben@mail.example', 'Ben')
    const ben = browser('192.0.2.9')
    const code = await world.link('ben@mail.example', 'invitation')
    await ben.get(`/invitation?code=${code}`)
    expect(ben.at).toContain('/sign-in?next=')
    await world.clock.now()
    expect(errors).toEqual([])
    await ada.get('/sign-out')
    await ada.send('/sign-out')
    expect(ada.cookies.has('__Host-session')).toBe(false)
    world.clock.at += 60_000
    await ada.get('/sign-in?next=/records')
    await ada.send('/sign-in', { email, password: goodPassword })
    await ada.send('/sign-in/second', { code: codeAt(secret, world.clock.at) })
    expect([ada.at, ada.body.includes('Anna &amp; co')]).toEqual(['/records', true])
  })

  it('gets back in by a link and a recovery code, and by nothing with the link alone', async () => {
    const world = await openWorld()
    const { codes } = await world.withTotp(email)
    const ada = (await openPages(world)).browser()
    await ada.get('/recovery')
    await ada.send('/recovery', { email })
    await ada.get(`/recovery/continue?code=${await world.link(email, 'recovery')}`)
    expect((await ada.send('/recovery/continue', { password: 'another marmot 17 lantern' })).statusCode).toBe(422)
    expect(ada.body).toContain('role="alert"')
    await ada.send('/recovery/continue', { password: 'another marmot 17 lantern', proof: codes[0] ?? '' })
    expect(ada.at).toBe('/account/factors')
  })
})

describe('a form', () => {
  it('is refused without its token, with that of another visit, and from another origin', async () => {
    const world = await openWorld()
    const { browser } = await openPages(world)
    const [ada, eve] = [browser(), browser()]
    await ada.get('/sign-in')
    await eve.get('/sign-in')
    const token = /name="csrf" value="([^"]+)"/.exec(eve.body)?.[1] ?? ''
    const own = /name="csrf" value="([^"]+)"/.exec(ada.body)?.[1] ?? ''
    const fields = { email, password: goodPassword }
    expect((await ada.post('/sign-in', fields)).statusCode).toBe(403)
    expect((await ada.post('/sign-in', { ...fields, csrf: token })).statusCode).toBe(403)
    expect((await ada.post('/sign-in', { ...fields, csrf: own }, { origin: 'https://evil.example' })).statusCode).toBe(
      403,
    )
    expect((await ada.post('/sign-in', { ...fields, csrf: own }, { 'sec-fetch-site': 'cross-site' })).statusCode).toBe(
      403,
    )
    expect((await ada.post('/sign-in', { ...fields, csrf: own })).statusCode).toBe(422)
  })

  it('gives a session nobody knew before, and never takes one that was put there (fixation)', async () => {
    const world = await openWorld()
    await world.signUp(email)
    const ada = (await openPages(world)).browser()
    const planted = 'A'.repeat(43)
    ada.cookies.set('__Host-session', planted)
    await ada.get('/sign-in')
    await ada.send('/sign-in', { email, password: goodPassword })
    const session = ada.cookies.get('__Host-session')
    expect(session).not.toBe(planted)
    expect(await world.people.sessions.current(planted)).toBeUndefined()
    expect(await world.people.sessions.current(session ?? '')).toBeDefined()
  })
})

describe('every page', () => {
  it('has a policy that names its style and its scripts by their hashes, and nothing else', async () => {
    const world = await openWorld()
    const ada = (await openPages(world)).browser()
    for (const path of ['/sign-in', '/sign-up', '/recovery', '/recovery/sent', '/sign-up/sent']) {
      await ada.get(path)
      const policy = String(ada.headers['content-security-policy'])
      expect(policy).toContain("default-src 'none'")
      expect(policy).not.toContain('unsafe')
      const inline = [...ada.body.matchAll(/<(?:style|script)>([\s\S]*?)<\/(?:style|script)>/g)].map(
        (one) => one[1] ?? '',
      )
      for (const text of inline) {
        expect(policy).toContain(`'sha256-${createHash('sha256').update(text).digest('base64')}'`)
      }
      expect(ada.body).not.toMatch(/ style=| on[a-z]+=/)
      const labels = new Set([...ada.body.matchAll(/<label for="([^"]+)"/g)].map((one) => one[1]))
      const inputs = [...ada.body.matchAll(/<(?:input|select|textarea) id="([^"]+)"/g)].map((one) => one[1])
      expect(inputs.filter((id) => !labels.has(id))).toEqual([])
      expect(ada.body.match(/<h1>/g)?.length).toBe(1)
    }
  })

  it('leads nowhere else after signing in', () => {
    for (const next of [
      'https://evil.example',
      '//evil.example',
      '/\\evil.example',
      '/a\\b',
      'javascript:x',
      '',
      '/a b',
    ]) {
      expect(localPath(next)).toBe('/account')
    }
    expect(localPath('/records/1?x=y')).toBe('/records/1?x=y')
  })
})

it('tells the audit log who looked at which pages of which record, and shows nothing where it cannot', async () => {
  const world = await openWorld({ secondFactor: 'offered' })
  const { secret, session } = await world.signUp('eve@mail.example')
  const record = await world.record(session.person)
  const { browser } = await openPages(world)
  const eve = browser()
  eve.cookies.set('__Host-session', secret)
  await eve.get(`/records/${record}/sharing`)
  const log = (await world.store.log('audit', 1, 1000)).map(({ value }) => JSON.parse(Buffer.from(value).toString()))
  const subject = { record, page: '/records/:record/sharing', client: '192.0.2.1' }
  expect(log.at(-1)).toMatchObject({ action: 'page.view', actor: `person:${session.person}`, subject })

  const broken = { commit: () => Promise.reject(new StoreFailed('full')) }
  const { browser: dark } = await openPages({ ...world, store: { ...world.store, ...broken } })
  const same = dark()
  same.cookies.set('__Host-session', secret)
  expect((await same.get(`/records/${record}/sharing`)).statusCode).toBe(503)
  expect(same.body).not.toContain('Anna')
})
