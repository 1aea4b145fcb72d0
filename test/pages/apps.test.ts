import { fastify } from 'fastify'
import { describe, expect, it } from 'vitest'
import { activityPages } from '../../src/pages/activity.js'
import { appPages } from '../../src/pages/apps.js'
import { mountPages } from '../../src/pages/session.js'
import { openWorld, rule, web } from '../consent/world.js'

const origin = 'https://gw.example'

async function setUp() {
  const world = await openWorld()
  const { consents, apps, activity, ports: people, clock } = world
  const sessions = {
    current: async (secret: string) => ({
      ...{ id: 's', person: secret, level: 'two-factors' as const, csrf: `csrf-of-${secret}` },
      ...{ authenticatedAt: clock.now(), endsAt: clock.now() + 1e6 },
    }),
  }
  const kit = { sessions, clock, log: { error: () => undefined } }
  const pages = [appPages({ consents, apps, people }), activityPages({ activity, apps, people })]
  const app = fastify()
  await app.register(mountPages(kit, { origin, house: 'House' }, pages))
  const headers = (who: string) => ({ cookie: `__Host-session=${who}` })
  const get = (path: string, who = 'mother') => app.inject({ method: 'GET', url: path, headers: headers(who) })
  const post = (path: string, fields: Record<string, string>, who = 'mother', from = origin) =>
    app.inject({
      ...{ method: 'POST' as const, url: path },
      headers: { ...headers(who), origin: from, 'content-type': 'application/x-www-form-urlencoded' },
      payload: new URLSearchParams(fields).toString(),
    })
  return { ...world, get, post }
}

const csrf = 'csrf-of-mother'

describe('the page of what applications may do', () => {
  it('lists what was granted, narrows it and ends it', async () => {
    const { register, grant, get, post, consents } = await setUp()
    const { id } = await register({ ...web, name: 'Well <b>' })
    const given = await grant(id, { online: ['vitals'] })
    const list = await get('/account/apps')
    expect(list.body).toContain('Well &lt;b&gt;')
    expect(list.body).toContain('Anna')
    const one = await get(`/account/apps/${given.id}`)
    expect(one.body).toContain('Because of vitals (see: vital sign)')
    expect(one.body).toMatch(/<input type="checkbox" id="online" name="online" value="vitals" checked/)
    const narrowed = await post(`/account/apps/${given.id}`, { csrf })
    expect([narrowed.statusCode, narrowed.headers.location]).toEqual([303, '/account/apps?done=saved'])
    expect((await consents.get(given.id))?.rules.online.map(({ name }) => name)).toEqual(['see'])
    const ended = await post(`/account/apps/${given.id}/end`, { csrf })
    expect(ended.headers.location).toBe('/account/apps?done=ended')
    expect(await consents.access(given.id, 'online')).toBeUndefined()
    expect((await get('/account/apps?done=ended')).body).toContain('Access was ended.')
    expect((await get(`/account/apps/${given.id}`)).statusCode).toBe(404)
  })

  it('shows a custodian what others granted, and others nothing of it', async () => {
    const { register, grant, get, post, hold, consents } = await setUp()
    const { id } = await register(web)
    hold('friend', 'child', [rule('see')])
    hold('stranger', 'neighbour')
    const given = await grant(id, {}, 'father')
    expect((await get('/account/apps')).body).toContain('granted by another person')
    for (const who of ['friend', 'stranger']) {
      expect((await get('/account/apps', who)).body).toContain('No application has access')
      for (const path of [`/account/apps/${given.id}`, '/account/apps/nothing'])
        expect((await get(path, who)).statusCode).toBe(404)
      expect((await post(`/account/apps/${given.id}/end`, { csrf: `csrf-of-${who}` }, who)).statusCode).toBe(404)
    }
    expect(await consents.access(given.id, 'online')).toBeDefined()
  })

  it.each([
    ['without a token', {}, origin],
    ['with the token of another', { csrf: 'csrf-of-father' }, origin],
    ['from elsewhere', { csrf }, 'https://evil.example'],
  ])('changes nothing %s', async (_, fields, from) => {
    const { register, grant, post, consents } = await setUp()
    const { id } = await register(web)
    const given = await grant(id)
    expect((await post(`/account/apps/${given.id}/end`, fields, 'mother', from)).statusCode).toBe(403)
    expect(await consents.access(given.id, 'online')).toBeDefined()
  })
})

describe('the page of the history', () => {
  it('tells custodians who did what, filtered and page by page', async () => {
    const { register, grant, get, hold, activity, store } = await setUp()
    const { id } = await register(web)
    await grant(id)
    hold('friend', 'child', [rule('see')])
    const actor = { by: `app:${id}`, avenue: 'online', person: 'mother', app: id } as const
    for (let at = 1; at <= 60; at++)
      await store.commit(await activity.entry('child', { at, action: 'view', from: actor, outcome: 'success' }))
    const first = await get('/records/child/activity')
    expect(first.body).toContain('Gave access: Well')
    expect(first.body).toContain('Well, for mother')
    const next = /href="([^"]*before=[^"]*)"/.exec(first.body)?.[1]?.replaceAll('&amp;', '&')
    expect((await get(next ?? '')).body.match(/<tr><td>/g)).toHaveLength(11)
    expect((await get('/records/child/activity?action=grant')).body.match(/<tr><td>/g)).toHaveLength(1)
    for (const [path, who] of [
      ['/records/child/activity', 'friend'],
      ['/records/child/activity', 'nobody'],
      ['/records/nothing/activity', 'mother'],
      ['/records/child/activity?before=nonsense', 'mother'],
    ] as const)
      expect((await get(path, who)).statusCode).toBe(404)
  })
})
