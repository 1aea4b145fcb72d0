import { randomBytes } from 'node:crypto'
import { CompactEncrypt, compactDecrypt } from 'jose'
import { describe, expect, it } from 'vitest'
import { readCode } from '../../../src/connect/code.js'
import { readManifest } from '../../../src/connect/package/manifest.js'
import { externalDigest, packageKey, sealPackage, unsealPackage } from '../../../src/connect/package/recipe.js'
import { contentKey } from '../../../src/connect/package/rows.js'
import { gather } from '../../../src/ports/body.js'
import { envelopeOf } from './envelope.js'
import { answer, app, findings, from, holder, left, openWorld, redeemed, uploaded, type World, words } from './world.js'

async function rowsOf(world: World): Promise<string[]> {
  const keys: string[] = []
  for await (const row of world.store.snapshot()) if (row.kind === 'entry') keys.push(row.key)
  return keys
}

/** Finishes a claim as the recipe does: the machine's parts, and nothing with them. */
async function claimed(world: World, text: string) {
  const ticket = await world.requests.redeem(text, holder)
  if (!ticket) return undefined
  const finished = await world.requests.finish(ticket, { person: 'p', record: 'r' })
  if (finished.kind !== 'changed') throw new Error(finished.kind)
  return world.store.commit(finished.parts)
}

describe('a package', () => {
  it('opens with the code and the answer, and gives its items and files back', async () => {
    const world = await openWorld()
    const bytes = randomBytes(3000)
    const { code, request } = await left(world, [await uploaded(world.uploads, bytes, 1000)])
    expect(code).toMatch(/^([FGHJKMNQRVXYZ]{4}-){4}[FGHJKMNQRVXYZ]{4}$/)
    expect(request).toMatchObject({ state: 'pending', externalId: 'mrn-1' })
    const ticket = await redeemed(world, code.toLowerCase(), ' REX  the dog ')
    const opened = await world.packages.open(ticket.request, ticket.secret)
    if (opened.kind !== 'items') throw new Error(opened.kind)
    expect(opened.manifest.items).toEqual([{ secret: 'word' }])
    const [file] = opened.manifest.files
    if (!file) throw new Error('no file')
    const read = await world.packages.file(ticket.request, file)
    expect(Buffer.from(await gather(read ?? [])).equals(bytes)).toBe(true)
    expect(await findings(world)).toEqual([])
  })

  it('is claimed once, and then nothing of it is left', async () => {
    const world = await openWorld()
    const { code } = await left(world, [await uploaded(world.uploads, randomBytes(100))])
    const [one, two] = [await redeemed(world, code), await redeemed(world, code)]
    expect(await claimed(world, one.text)).toEqual({ kind: 'committed' })
    expect(await claimed(world, two.text)).toBeUndefined()
    expect(await world.requests.answer(code, answer, from)).toEqual({ kind: 'nothing' })
    const left_ = (await rowsOf(world)).filter((key) => /^(connect\/(upload|package)|blob)/.test(key))
    expect(left_).toEqual([])
    expect(await world.packages.open(one.request, one.secret)).toMatchObject({ kind: 'malformed' })
    expect(await world.requests.get(app, { of: 'package', externalId: 'mrn-1' })).toMatchObject({ state: 'claimed' })
  })

  it('is intact after two wrong answers, and destroyed by the third', async () => {
    const world = await openWorld()
    const { code } = await left(world)
    expect(await world.requests.answer(code, 'Rex the cat', from)).toEqual({ kind: 'wrong', left: 2 })
    expect(await world.requests.answer(code, 'Rex the rat', from)).toEqual({ kind: 'wrong', left: 1 })
    await redeemed(world, code)
    expect(await world.requests.answer(code, 'Rex the hat', from)).toEqual({ kind: 'wrong', left: 0 })
    expect(await world.requests.answer(code, answer, from)).toEqual({ kind: 'nothing' })
    expect((await rowsOf(world)).filter((key) => key.startsWith('connect/package'))).toEqual([])
  })

  it('has three tries however many come at once', async () => {
    const world = await openWorld()
    const { code } = await left(world)
    const guesses = Array.from({ length: 50 }, (_, i) => world.requests.answer(code, `guess number ${i}`, from))
    const told = (await Promise.allSettled(guesses)).map((one) =>
      one.status === 'fulfilled' ? one.value.kind : 'threw',
    )
    expect(told.filter((kind) => kind === 'wrong')).toHaveLength(3)
    expect(await world.requests.answer(code, answer, from)).toEqual({ kind: 'nothing' })
  })

  it('is one of several of the same external id, and all are deleted together by it', async () => {
    const world = await openWorld()
    const [one, two] = [await left(world), await left(world)]
    expect(one.code).not.toBe(two.code)
    const { requests } = await world.requests.list(app, { of: 'package', externalId: 'mrn-1', limit: 10 })
    expect(requests).toHaveLength(2)
    for (const { id } of requests) {
      const gone = await world.requests.withdraw(app, { id })
      if (gone.kind !== 'changed') throw new Error(gone.kind)
      await world.store.commit(gone.parts)
    }
    expect((await rowsOf(world)).filter((key) => key.startsWith('connect/package'))).toEqual([])
  })

  it('still opens after its external id was changed', async () => {
    const world = await openWorld()
    const { code } = await left(world)
    const changed = await world.requests.changeExternalId(app, { externalId: 'mrn-1' }, 'mrn-2')
    if (changed.kind !== 'changed') throw new Error(changed.kind)
    await world.store.commit(changed.parts)
    const ticket = await redeemed(world, code)
    expect(await world.packages.open(ticket.request, ticket.secret)).toMatchObject({ kind: 'items' })
  })

  it('waits for its code: opened before it is filled nothing is there, and it is filled once', async () => {
    const world = await openWorld()
    const allocated = await world.packages.allocate(app, 'test')
    if (allocated.kind !== 'allocated') throw new Error(allocated.kind)
    expect(await world.requests.open(allocated.code, from)).toEqual({ kind: 'nothing' })
    expect(await world.requests.get(app, { id: allocated.id })).toMatchObject({ state: 'allocated' })
    const made = await left(world, [], { code: allocated.code })
    expect(made.code).toBe(allocated.code)
    const content = { kind: 'open' as const, answer, items: [1], files: [] }
    const again = await world.packages.create(app, { ...words, content, code: allocated.code }, 'test')
    expect(again).toMatchObject({ problem: 'exists' })
    const others = await world.packages.create('clinic-2', { ...words, content, code: allocated.code }, 'test')
    expect(others).toMatchObject({ problem: 'no-such-code' })
    await redeemed(world, allocated.code)
  })

  it('is refused for a bad answer, question or file, or nothing in it', async () => {
    const world = await openWorld()
    const create = (change: object, content: object = {}) =>
      world.packages.create(
        app,
        { ...words, ...change, content: { kind: 'open', answer, items: [1], files: [], ...content } },
        'test',
      )
    expect(await create({}, { answer: 'rex' })).toMatchObject({ problem: 'bad-answer' })
    expect(await create({ question: '  ' })).toMatchObject({ problem: 'bad-question' })
    expect(await create({}, { items: [] })).toMatchObject({ problem: 'bad-content' })
    expect(await create({ code: 'no code' })).toMatchObject({ problem: 'no-such-code' })
    const file = { upload: 'a'.repeat(32), name: 'x.txt', mediaType: 'text/plain' }
    expect(await create({}, { files: [file] })).toMatchObject({ problem: 'upload-not-committed' })
    expect(await create({}, { files: [{ ...file, name: '../x' }] })).toMatchObject({ problem: 'bad-file' })
    const open = await world.uploads.begin(app, 3, 'test')
    const upload = open.kind === 'begun' ? open.upload.id : ''
    expect(await create({}, { files: [{ ...file, upload }] })).toMatchObject({ problem: 'upload-not-committed' })
    expect((await rowsOf(world)).filter((key) => /^connect\/(request|package)/.test(key))).toEqual([])
  })

  it('takes an upload that one package alone names', async () => {
    const world = await openWorld()
    const upload = await uploaded(world.uploads, randomBytes(10))
    const make = () =>
      left(world, [upload]).then(
        () => 'made',
        () => 'not',
      )
    expect((await Promise.all([make(), make(), make()])).toSorted()).toEqual(['made', 'not', 'not'])
    expect(await findings(world)).toEqual([])
  })

  it('is whole or not there at all wherever the process dies', async () => {
    for (let call = 1; call < 40; call++) {
      let left_ = Number.POSITIVE_INFINITY
      const beforeCall = () => {
        if (--left_ === 0) throw new Error('killed')
      }
      const world = await openWorld({}, { beforeCall })
      const upload = await uploaded(world.uploads, randomBytes(10))
      left_ = call
      const made = await left(world, [upload]).catch(() => undefined)
      left_ = Number.POSITIVE_INFINITY
      expect(await findings(world)).toEqual([])
      if (made) return
      const rest = (await rowsOf(world)).some((key) => key.startsWith('connect/request'))
      if (rest) expect((await rowsOf(world)).some((key) => key.endsWith('/content'))).toBe(true)
      else expect(await world.uploads.get(app, upload)).toMatchObject({ completed: true })
    }
    throw new Error('never came to its end')
  })
})

describe('a stolen store', () => {
  it('does not open with the right answer among the guesses', async () => {
    const world = await openWorld()
    const { code, request } = await left(world)
    const id = request.payload['package'] ?? ''
    const row = await world.store.get(contentKey(app, id))
    if (!row) throw new Error('no row')
    // Without the master key: what lies in the row is no JWE at all.
    expect(Buffer.from(row.value).toString('latin1')).not.toContain('eyJ')
    await expect(world.vault.open('app/other', row.key, row.value.subarray(1))).rejects.toThrow()
    // With it, and with the answer, the letters of the code are missing still.
    const jwe = Buffer.from(await world.vault.open(`app/${app}`, row.key, row.value.subarray(1))).toString()
    const binding = { package: id, app, external: externalDigest(id, 'mrn-1') }
    const half = (letters: string) => Buffer.from(letters, 'latin1')
    const unseal = (letters: string) =>
      unsealPackage(world.slowHash, { answer: 'rex the dog', half: half(letters) }, binding, jwe)
    expect(await unseal('')).toEqual({ kind: 'wrong' })
    expect(await unseal('F'.repeat(20))).toEqual({ kind: 'wrong' })
    expect(await unseal(readCode(code) ?? '')).toMatchObject({ kind: 'opened' })
    for await (const one of world.store.snapshot()) {
      if (one.kind !== 'entry') continue
      const text = Buffer.from(one.value).toString('latin1') + one.key
      for (const secret of ['rex the dog', answer, code, code.replaceAll('-', ''), 'mrn-1', 'first dog'])
        expect(text).not.toContain(secret)
    }
  })
})

describe('the recipe', () => {
  const fixed = { answer: 'rex the dog', half: Buffer.from('FGHJKMNQRVXYZFGHJKMN', 'latin1') }

  it('is one that a sender can follow alone: jose opens what we seal, and we open what jose seals', async () => {
    const world = await openWorld()
    const allocated = await world.packages.allocate(app, 'test')
    if (allocated.kind !== 'allocated') throw new Error(allocated.kind)
    const inside = Buffer.from('a file, encrypted by its sender')
    const jweKey = randomBytes(32)
    const fileJwe = await new CompactEncrypt(inside).setProtectedHeader({ alg: 'dir', enc: 'A256GCM' }).encrypt(jweKey)
    const uploadBytes = Buffer.from(fileJwe)
    const upload = await uploaded(world.uploads, uploadBytes)
    const { createHash } = await import('node:crypto')
    const file = {
      ...{ name: 'x.txt', mediaType: 'text/plain', upload, sizeBytes: uploadBytes.length },
      sha256: createHash('sha256').update(uploadBytes).digest('hex'),
      jweKey: jweKey.toString('base64url'),
    }
    const salt = randomBytes(16)
    const half = Buffer.from(allocated.code.replaceAll('-', ''))
    const key = await packageKey(world.slowHash, { answer: 'rex the dog', half }, salt)
    const header = {
      ...{ alg: 'dir', enc: 'A256GCM', cty: 'application/vnd.direct-gateway.package+json' },
      ...{ kdf: 'argon2id+hkdf-sha256', argon2id: world.slowHash.cost, salt: salt.toString('base64url') },
      ...{ package: allocated.id, app, external: externalDigest(allocated.id, 'mrn-1') },
    }
    const manifest = Buffer.from(JSON.stringify({ v: 1, items: [{ a: 1 }], files: [file] }))
    const jwe = await new CompactEncrypt(manifest).setProtectedHeader(header).encrypt(key)
    const create = (given: string, code: string | undefined = allocated.code) =>
      world.packages.create(
        app,
        { ...words, ...(code && { code }), content: { kind: 'sealed', jwe: given, uploads: [upload] } },
        'test',
      )
    expect(await create(jwe, '')).toMatchObject({ problem: 'needs-code' })
    for (const change of [
      { package: 'b' },
      { app: 'other' },
      { external: 'x' },
      { argon2id: 'm=8,t=1,p=1' },
      { salt: 'x' },
      { zip: 'DEF' },
    ]) {
      const [, ...rest] = jwe.split('.')
      const changed = Buffer.from(JSON.stringify({ ...header, ...change })).toString('base64url')
      expect(await create([changed, ...rest].join('.'))).toMatchObject({ problem: 'bad-content' })
    }
    expect(await create(jwe)).toMatchObject({ kind: 'created' })
    const ticket = await redeemed(world, allocated.code)
    const opened = await world.packages.open(ticket.request, ticket.secret)
    if (opened.kind !== 'items') throw new Error(opened.kind)
    const [named] = opened.manifest.files
    if (!named) throw new Error('no file')
    const read = Buffer.from(await gather((await world.packages.file(ticket.request, named)) ?? []))
    expect(Buffer.from((await compactDecrypt(read.toString(), jweKey)).plaintext).equals(inside)).toBe(true)

    const random = { bytes: (size: number) => randomBytes(size) }
    const binding = { package: 'p', app, external: 'e' }
    const ours = await sealPackage({ slow: world.slowHash, random }, fixed, binding, Buffer.from('hello'))
    const header_ = JSON.parse(Buffer.from(ours.split('.')[0] ?? '', 'base64url').toString()) as { salt: string }
    const again = await packageKey(world.slowHash, fixed, Buffer.from(header_.salt, 'base64url'))
    expect(Buffer.from((await compactDecrypt(ours, again)).plaintext).toString()).toBe('hello')
  })

  it('opens nowhere else: not as another package, of another application, or with a bit changed', async () => {
    const world = await openWorld()
    const random = { bytes: (size: number) => randomBytes(size) }
    const binding = { package: 'p', app, external: 'e' }
    const jwe = await sealPackage({ slow: world.slowHash, random }, fixed, binding, Buffer.from('hello'))
    const unseal = (text: string, change: object = {}) =>
      unsealPackage(world.slowHash, fixed, { ...binding, ...change }, text)
    expect(await unseal(jwe)).toMatchObject({ kind: 'opened' })
    for (const change of [{ package: 'q' }, { app: 'x' }, { external: 'f' }])
      expect(await unseal(jwe, change)).toMatchObject({ kind: 'malformed' })
    for (let at = 0; at < jwe.length; at += 7) {
      const changed = jwe.slice(0, at) + (jwe[at] === 'A' ? 'Q' : 'A') + jwe.slice(at + 1)
      expect((await unseal(changed)).kind).not.toBe('opened')
    }
  })

  it.each([
    ['no JSON', '{'],
    ['no object', '[]'],
    ['another version', '{"v":2,"items":[1]}'],
    ['nothing inside', '{"v":1,"items":[],"files":[]}'],
    ['items that are no list', '{"v":1,"items":{}}'],
    ['a file without a name', '{"v":1,"files":[{"upload":"x"}]}'],
  ])('has a manifest that is looked at even where its key was right: %s', (_, text) => {
    expect(readManifest(Buffer.from(text))).toMatchObject({ kind: 'malformed' })
  })
})

describe('an envelope of HealthVault', () => {
  const content = async () => ({ kind: 'legacy' as const, envelope: await envelopeOf('<thing/>', answer, 10_000) })

  it('is taken where it is allowed, and only there', async () => {
    const shut = await openWorld()
    expect(await shut.packages.create(app, { ...words, content: await content() }, 'test')).toMatchObject({
      problem: 'not-enabled',
    })
    const world = await openWorld({ legacyEnvelope: true })
    const made = await world.packages.create(app, { ...words, content: await content() }, 'test')
    if (made.kind !== 'created') throw new Error(made.kind)
    expect(await world.requests.answer(made.code, 'another dog', from)).toEqual({ kind: 'wrong', left: 2 })
    const ticket = await redeemed(world, made.code, 'REX the dog')
    const opened = await world.packages.open(ticket.request, ticket.secret)
    expect(opened.kind === 'things' && Buffer.from(opened.xml).toString()).toBe('<thing/>')
    expect(await findings(world)).toEqual([])
  })
})
