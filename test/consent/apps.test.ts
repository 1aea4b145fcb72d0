import { generateKeyPairSync } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { AppRequest } from '../../src/consent/consent.js'
import { isInNetworks, isNetwork } from '../../src/consent/networks.js'
import { faultOfRedirect, isRegisteredRedirect } from '../../src/consent/redirect.js'
import { bounded, covers, faultsOfRules } from '../../src/consent/rules.js'
import type { AccessRule, Permission } from '../../src/direct/access.js'
import { permissions, permits } from '../../src/direct/access.js'
import { auditOf } from '../spool/room.js'
import { openWorld, rule, web } from './world.js'

const publicKey = (kid: string, options: { modulusLength: number } = { modulusLength: 2048 }) => ({
  ...generateKeyPairSync('rsa', options).publicKey.export({ format: 'jwk' }),
  kid,
})

const rsa = publicKey('one')
const ec = { ...generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey.export({ format: 'jwk' }), kid: 'two' }
const ed = { ...generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' }), kid: 'three' }

describe('registering an app', () => {
  it('starts with nothing granted, and is audited', async () => {
    const { apps, store } = await openWorld()
    const made = await apps.register({ kind: 'web', name: 'Well' }, 'operator')
    expect(made).toMatchObject({
      kind: 'registered',
      app: { rules: { online: [], offline: [] }, may: [], state: 'active' },
    })
    expect(await auditOf(store)).toMatchObject([
      { action: 'app.registered', actor: 'operator', subject: { kind: 'web' } },
    ])
  })

  it('keeps nothing that is no part of a registration, and of keys what is public', async () => {
    const { register, apps } = await openWorld()
    const sent = {
      ...web,
      jwks: { keys: [{ ...rsa, x5u: 'https://evil.example', note: 'x' }, ec, ed] },
      state: 'disabled',
      id: 'mine',
      createdAt: 1,
      webhook: { url: 'https://evil.example', secret: 'mine' },
    } as AppRequest
    const app = await register(sent)
    expect(app.id).not.toBe('mine')
    expect(app).toMatchObject({ state: 'active', jwks: { keys: [rsa, ec, ed] } })
    expect(app.webhook).toBeUndefined()
    expect(await apps.webhook(app.id)).toBeUndefined()
    const changed = await apps.change(app.id, { state: 'disabled', kind: 'master', master: 'x' } as object, 'operator')
    expect(changed).toMatchObject({ kind: 'changed', app: { state: 'active', kind: 'web' } })
  })

  const clinic: AppRequest = { kind: 'clinic', name: 'Clinic', jwks: { keys: [rsa] } }
  it.each<[string, Partial<AppRequest> & object, string]>([
    ['an empty name', { name: '' }, 'name'],
    ['a name over two lines', { name: 'a\nb' }, 'name'],
    ['a name that turns what follows', { name: 'a\u202eb' }, 'name'],
    ['a private key', { jwks: { keys: [{ ...rsa, d: 'AQAB' }] } }, 'jwks.keys.0'],
    ['a small key', { jwks: { keys: [publicKey('x', { modulusLength: 1024 })] } }, 'jwks.keys.0'],
    ['a symmetric key', { jwks: { keys: [{ kty: 'oct', k: 'AAAA', kid: 'x' }] } }, 'jwks.keys.0'],
    ['a key without id', { jwks: { keys: [{ ...rsa, kid: undefined }] } }, 'jwks.keys.0'],
    ['two keys of one id', { jwks: { keys: [rsa, rsa] } }, 'jwks.keys.1.kid'],
    ['a key for encryption', { jwks: { keys: [{ ...rsa, use: 'enc' }] } }, 'jwks.keys.0'],
    [
      'a key on another curve',
      { jwks: { keys: [{ kty: 'EC', crv: 'secp256k1', x: 'AA', y: 'AA', kid: 'x' }] } },
      'jwks.keys.0',
    ],
    ['a key off its curve', { jwks: { keys: [{ ...ec, y: ec.x } as never] } }, 'jwks.keys.0'],
    ['no keys at all', { jwks: { keys: [] } }, 'jwks'],
    ['keys at two places', { jwksUri: 'https://a.example/jwks' }, 'jwksUri'],
    ['a page without TLS', { privacyUrl: 'http://a.example' }, 'privacyUrl'],
    ['a script for a logo', { logoUrl: 'javascript:alert(1)' }, 'logoUrl'],
    ['a webhook with a user', { webhookUrl: 'https://u:p@a.example' }, 'webhookUrl'],
    ['redirects of a backend', { redirectUris: ['https://a.example/cb'] }, 'redirectUris'],
    ['registering without being a master', { may: ['register'] }, 'may'],
    ['powers twice', { may: ['connect', 'connect'] }, 'may'],
    ['a network with other bits', { networks: ['192.0.2.1/24'] }, 'networks.0'],
  ])('refuses %s', async (_, more, where) => {
    const { apps } = await openWorld()
    const made = await apps.register({ ...clinic, ...more }, 'operator')
    expect(made).toMatchObject({ kind: 'refused', problem: 'invalid' })
    expect(made.kind === 'refused' && made.faults.map((fault) => fault.where)).toContain(where)
  })

  it('refuses a native app that would connect or drop off, and a server without a key that would', async () => {
    const { apps } = await openWorld()
    for (const request of [
      { kind: 'native', name: 'Phone', may: ['connect'] },
      { kind: 'native', name: 'Phone', may: ['drop-off'], jwks: { keys: [rsa] } },
      { kind: 'clinic', name: 'Clinic', may: ['connect'] },
    ] as const)
      expect(await apps.register(request, 'operator')).toMatchObject({ kind: 'refused', problem: 'invalid' })
  })
})

describe('a webhook', () => {
  it('has a secret that is told once, is kept sealed, and changes with its place', async () => {
    const { apps, store } = await openWorld()
    const made = await apps.register({ ...web, webhookUrl: 'https://well.example/hook' }, 'operator')
    if (made.kind !== 'registered' || !made.webhookSecret) throw new Error('no secret')
    const { app, webhookSecret: first } = made
    expect(first).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/)
    expect(await apps.webhook(app.id)).toEqual({ url: 'https://well.example/hook', secret: first })
    expect(JSON.stringify(await apps.get(app.id))).not.toContain('whsec_')
    for await (const row of store.snapshot())
      if (row.kind === 'entry') expect(Buffer.from(row.value).toString('latin1')).not.toContain(first.slice(6, 30))
    expect(await apps.change(app.id, { name: 'Weller' }, 'operator')).not.toHaveProperty('webhookSecret')
    expect((await apps.webhook(app.id))?.secret).toBe(first)
    const moved = await apps.change(app.id, { webhookUrl: 'https://other.example/hook' }, 'operator')
    expect(moved.kind === 'changed' && moved.webhookSecret).not.toBe(first)
    const rotated = await apps.rotateSecret(app.id, 'operator')
    expect((await apps.webhook(app.id))?.secret).toBe(rotated.kind === 'changed' && rotated.webhookSecret)
    await apps.change(app.id, { webhookUrl: null }, 'operator')
    expect(await apps.rotateSecret(app.id, 'operator')).toMatchObject({ kind: 'refused', problem: 'no-webhook' })
  })
})

describe('a master and its children', () => {
  const rules = {
    online: [rule('all', { permissions: ['read', 'update'], types: ['problem', 'allergy'] })],
    offline: [],
  }
  const master: AppRequest = {
    kind: 'master',
    name: 'Maker',
    rules,
    jwks: { keys: [rsa] },
    may: ['connect', 'register'],
  }

  it('gives installations its rules and every later change of them', async () => {
    const { register, apps, setRules } = await openWorld()
    const { id } = await register(master)
    const phone = await register({ kind: 'native', name: 'Phone', master: id, redirectUris: ['com.maker.app:/done'] })
    expect(phone.rules).toEqual(rules)
    expect([phone.jwks, phone.may]).toEqual([undefined, []])
    const grown = { online: [rule('all', { types: ['medication'] })], offline: [] }
    await setRules(id, grown)
    expect((await apps.get(phone.id))?.rules).toEqual(grown)
    const own = await apps.change(phone.id, { rules }, 'operator')
    expect(own).toMatchObject({ kind: 'refused', problem: 'invalid', faults: [{ where: 'rules' }] })
  })

  it.each<[string, Partial<AppRequest>]>([
    ['another permission', { rules: { online: [rule('more', { permissions: ['delete'] })], offline: [] } }],
    ['another kind', { rules: { online: [rule('more', { types: ['problem', 'medication'] })], offline: [] } }],
    ['every kind', { rules: { online: [{ name: 'every', reason: { en: 'x' }, permissions: ['read'] }], offline: [] } }],
    ['the other avenue', { rules: { online: [], offline: [rule('all')] } }],
    ['another power', { may: ['drop-off'] }],
  ])('lets no child widen itself by %s, when made or later', async (_, more) => {
    const { register, apps } = await openWorld()
    const { id } = await register(master)
    expect(await apps.register({ kind: 'clinic', name: 'Clinic', master: id, ...more }, `app:${id}`)).toMatchObject({
      kind: 'refused',
      problem: 'beyond-master',
    })
    const child = await register({ kind: 'clinic', name: 'Clinic', master: id })
    expect(await apps.change(child.id, more, `app:${id}`)).toMatchObject({ kind: 'refused', problem: 'beyond-master' })
  })

  it('holds a child back that had more before its master shrank', async () => {
    const { register, apps, setRules } = await openWorld()
    const { id } = await register(master)
    const own = { online: [rule('own', { types: ['problem', 'allergy'] })], offline: [] }
    const child = await register({ kind: 'clinic', name: 'Clinic', master: id, rules: own, may: ['connect'] })
    expect(child.jwks).toEqual({ keys: [rsa] })
    await setRules(id, { online: [rule('less', { types: ['allergy'] })], offline: [] })
    await apps.change(id, { may: ['register'] }, 'operator')
    expect(await apps.get(child.id)).toMatchObject({ rules: { online: [{ types: ['allergy'] }] }, may: [] })
    expect(await apps.setState(child.id, 'disabled', 'operator')).toMatchObject({ kind: 'changed' })
  })

  it('is the end of all when disabled, and lists and ends them one by one', async () => {
    const { register, apps } = await openWorld()
    const { id } = await register(master)
    const ids = []
    for (const name of ['one', 'two', 'three']) ids.push((await register({ kind: 'native', name, master: id })).id)
    expect((await apps.children(id)).map((app) => app.id).toSorted()).toEqual(ids.toSorted())
    const page = await apps.list({ master: id, limit: 2 })
    expect((await apps.list({ master: id, limit: 2, after: page.next ?? '' })).apps).toHaveLength(1)
    await apps.setState(ids[0] ?? '', 'disabled', 'operator')
    expect((await apps.get(ids[1] ?? ''))?.state).toBe('active')
    await apps.setState(id, 'disabled', 'operator')
    expect((await apps.children(id)).map(({ state }) => state)).toEqual(['disabled', 'disabled', 'disabled'])
    expect(await apps.register({ kind: 'native', name: 'late', master: id }, 'operator')).toMatchObject({
      problem: 'no-such-master',
    })
    await apps.setState(id, 'active', 'operator')
    expect((await apps.get(ids[0] ?? ''))?.state).toBe('disabled')
  })

  it('is no other kind of app', async () => {
    const { register, apps } = await openWorld()
    const { id } = await register(web)
    expect(await apps.register({ kind: 'native', name: 'x', master: id }, 'x')).toMatchObject({
      problem: 'no-such-master',
    })
    expect(await apps.register({ kind: 'native', name: 'x', master: 'none' }, 'x')).toMatchObject({
      problem: 'no-such-master',
    })
    expect(await apps.register({ ...master, master: id }, 'x')).toMatchObject({ problem: 'invalid' })
  })
})

describe('redirect URIs', () => {
  it.each([
    'https://a.example/cb',
    'https://a.example',
    'https://a.example:8443/cb?x=1',
    'http://127.0.0.1/cb',
    'http://127.0.0.1:49152/cb',
    'http://[::1]:8080/cb',
  ])('takes %s', (uri) => {
    expect(faultOfRedirect(uri, 'web')).toBeUndefined()
    expect(faultOfRedirect(uri, 'native')).toBeUndefined()
  })

  it.each(['com.example.app:/done', 'com.example.app://done', 'io.example:/'])(
    'takes %s of a native app only',
    (uri) => {
      expect(faultOfRedirect(uri, 'native')).toBeUndefined()
      expect(faultOfRedirect(uri, 'web')).toBeDefined()
    },
  )

  it.each([
    '',
    '/cb',
    '//evil.example/cb',
    'a.example/cb',
    'http://a.example/cb',
    'http://localhost/cb',
    'http://127.0.0.1.evil.example/cb',
    'http://127.1/cb',
    'http://2130706433/cb',
    'https://a.example/cb#x',
    'https://a.example/cb#',
    'https://user@a.example/cb',
    'https://user:pass@a.example/cb',
    'https://@a.example/cb',
    'https://*.example/cb',
    'https://a.example/*',
    'https://a.example\\@evil.example/cb',
    'https://a.example/../cb',
    'https://a.example/%2e%2e/cb',
    'https://A.example/cb',
    'https://a.example:443/cb',
    'https:a.example/cb',
    'https:///a.example/cb',
    'https://a.example/c b',
    ' https://a.example/cb',
    'https://a.example/cb\n',
    'https://a.example/\u{fc}',
    'https://ex\u{200b}ample.example/cb',
    `https://a.example/${'x'.repeat(2000)}`,
    'javascript:alert(1)',
    'javascript://a.example/%0aalert(1)',
    'data:text/html,x',
    'file:///etc/passwd',
    'myapp:/done',
    'myapp://done',
    'com.example.app:done',
    'com.example.app:/../x',
    'com.example.app:/done#x',
    'com.example.app://user@done',
    'com.example-:/x#y',
  ])('refuses %j', (uri) => {
    expect(faultOfRedirect(uri, 'native')).toBeDefined()
    expect(faultOfRedirect(uri, 'web')).toBeDefined()
  })

  const registered = ['https://a.example/cb', 'http://127.0.0.1:1/cb', 'http://[::1]/cb?x=1', 'com.example.app:/done']
  it.each(['https://a.example/cb', 'http://127.0.0.1:49152/cb', 'http://127.0.0.1/cb', 'http://[::1]:9/cb?x=1'])(
    'comes back to %s',
    (uri) => expect(isRegisteredRedirect(registered, uri)).toBe(true),
  )
  it.each([
    'https://a.example/cb/',
    'https://a.example/cb?x=1',
    'https://a.example:8443/cb',
    'https://a.example/CB',
    'https://a.example/cb#',
    'https://a.example.evil.example/cb',
    'http://127.0.0.1:1/other',
    'http://127.0.0.1:99999/cb',
    'http://127.0.0.1:1@evil.example/cb',
    'http://127.0.0.1:/cb',
    'http://localhost:1/cb',
    'http://[::1]/cb',
    'https://127.0.0.1:1/cb',
    'com.example.app:/done/x',
    'http://127.0.0.1:1/cb\r\nx',
  ])('does not come back to %j', (uri) => expect(isRegisteredRedirect(registered, uri)).toBe(false))

  it('never comes back to what could not be registered', () => {
    const uri = fc.oneof(
      fc.webUrl(),
      fc.string(),
      fc.constantFrom(...registered).chain((one) => fc.string().map((more) => one + more)),
    )
    fc.assert(
      fc.property(uri, (asked) => {
        if (isRegisteredRedirect(registered, asked)) expect(faultOfRedirect(asked, 'native')).toBeUndefined()
      }),
      { numRuns: 3000 },
    )
  })
})

describe('networks', () => {
  it.each(['192.0.2.0/24', '0.0.0.0/0', '2001:db8::/32', '::/0', '2001:db8::1/128'])('takes %s', (text) =>
    expect(isNetwork(text)).toBe(true),
  )
  it.each([
    '',
    '192.0.2.0',
    '192.0.2.0/33',
    '192.0.2.1/24',
    '2001:db8::1/32',
    '1.2.3/8',
    'a/8',
    '::1::/8',
    '192.0.2.0/024',
  ])('refuses %j', (text) => expect(isNetwork(text)).toBe(false))
  it('knows who is inside', () => {
    expect(isInNetworks(['192.0.2.0/24'], '192.0.2.77')).toBe(true)
    expect(isInNetworks(['192.0.2.0/24'], '::ffff:192.0.2.77')).toBe(true)
    expect(isInNetworks(['192.0.2.0/24'], '192.0.3.77')).toBe(false)
    expect(isInNetworks(['2001:db8::/32'], '2001:db8:1::5')).toBe(true)
    expect(isInNetworks(['::/0'], '192.0.2.1')).toBe(false)
    expect(isInNetworks(['0.0.0.0/0'], 'nothing')).toBe(false)
  })
})

describe('rules', () => {
  const fine = { name: 'a', reason: { en: 'x' }, permissions: ['read'] }
  it.each<[string, unknown]>([
    ['no object', 7],
    ['no set', { online: [] }],
    ['another set', { online: [], offline: [], both: [] }],
    ['no rule', { online: [null], offline: [] }],
    ['two of one name', { online: [fine, fine], offline: [] }],
    ['a long name', { online: [{ ...fine, name: 'a'.repeat(17) }], offline: [] }],
    ['no English', { online: [{ ...fine, reason: { de: 'x' } }], offline: [] }],
    ['a long reason', { online: [{ ...fine, reason: { en: 'x'.repeat(1025) } }], offline: [] }],
    ['no permission', { online: [{ ...fine, permissions: [] }], offline: [] }],
    ['an unknown one', { online: [{ ...fine, permissions: ['write'] }], offline: [] }],
    ['one twice', { online: [{ ...fine, permissions: ['read', 'read'] }], offline: [] }],
    ['an unknown kind', { online: [{ ...fine, types: ['secret'] }], offline: [] }],
    ['no kind', { online: [{ ...fine, types: [] }], offline: [] }],
    ['no day', { online: [{ ...fine, from: '2026-02-30' }], offline: [] }],
    ['days the wrong way round', { online: [{ ...fine, from: '2026-02-02', to: '2026-02-01' }], offline: [] }],
    ['a scope', { online: [{ ...fine, within: { resource: 'Patient' } }], offline: [] }],
    ['optional false', { online: [{ ...fine, optional: false }], offline: [] }],
    ['too many', { online: Array.from({ length: 33 }, (_, i) => ({ ...fine, name: `r${i}` })), offline: [] }],
  ])('refuses %s', (_, rules) => expect(faultsOfRules(rules)).not.toEqual([]))

  it('takes one name in both sets', () => expect(faultsOfRules({ online: [fine], offline: [fine] })).toEqual([]))

  const types = ['problem', 'allergy', 'medication'] as const
  const days = ['2020-01-01', '2021-01-01', '2022-01-01'] as const
  const anyRule: fc.Arbitrary<AccessRule> = fc
    .record({
      permissions: fc.uniqueArray(fc.constantFrom(...permissions), { minLength: 1 }),
      types: fc.option(fc.uniqueArray(fc.constantFrom(...types), { minLength: 1 }), { nil: undefined }),
      from: fc.option(fc.constantFrom(...days), { nil: undefined }),
      to: fc.option(fc.constantFrom(...days), { nil: undefined }),
    })
    .map(({ permissions: asked, ...more }) => {
      const given = Object.fromEntries(Object.entries(more).filter(([, value]) => value !== undefined))
      return { name: 'r', reason: { en: 'x' }, permissions: asked, ...given }
    })
  const anyRules = fc.array(anyRule, { maxLength: 4 })
  const days4 = ['2019-06-01', '2020-06-01', '2021-06-01', '2022-06-01', '2021-01-01', undefined] as const
  const cases = permissions.flatMap((permission: Permission) =>
    types.flatMap((type) => days4.map((day) => [permission, type, day] as const)),
  )

  it('allow together exactly what both allow', () => {
    fc.assert(
      fc.property(anyRules, anyRules, (one, other) => {
        const both = bounded(one, other)
        for (const [permission, type, day] of cases)
          expect(permits(both, permission, type, day)).toBe(
            permits(one, permission, type, day) && permits(other, permission, type, day),
          )
      }),
      { numRuns: 1500 },
    )
  })

  it('cover a rule only where they allow all of it', () => {
    fc.assert(
      fc.property(anyRules, anyRule, (ceiling, one) => {
        if (!covers(ceiling, one)) return
        for (const [permission, type, day] of cases)
          if (permits([one], permission, type, day)) expect(permits(ceiling, permission, type, day)).toBe(true)
      }),
      { numRuns: 1500 },
    )
  })
})
