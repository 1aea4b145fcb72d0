import { randomBytes } from 'node:crypto'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import process from 'node:process'
import { pathToFileURL } from 'node:url'
import ts from 'typescript'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openKeyring } from '../../src/keyring/keyring.js'
import { createMasterKey, readMasterKey } from '../../src/keyring/master-key.js'
import type { OwnedKey } from '../../src/ports/keys.js'
import type { Pool, PoolOptions } from '../../src/workers/pool.js'
import { doctorKey, domain, gatewayKey, seal, sealByHand, write } from '../fixtures/gateway.js'

/** The pool as it is built, with threads that messages can hurt: what a hostile message would need a defect for. */
const defect = `
    async read(message, depth) {
      const text = Buffer.from(message).toString('latin1')
      if (text.includes('EXIT')) process.exit(1)
      if (text.includes('THROW')) throw new Error('a defect')
      while (text.includes('SPIN'));
      if (text.includes('GROW')) for (const all = []; ; ) all.push(new Array(100_000).fill(text))
      if (text.includes('SLOW')) await new Promise((resolve) => setTimeout(resolve, 400))
      if (text.includes('LATE')) setTimeout(() => { throw new Error('too late') }, 100)
      return readMail(message, depth)
    },`
const honest = 'read: (message, depth) => readMail(message, depth),'

let root: string
let startPool: (options: PoolOptions) => Pool
let failures: { readonly StepFailed: typeof Error; readonly StepNotBegun: typeof Error }

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'gateway-workers-'))
  const names = (await readdir('src', { recursive: true })).filter((name) => name.endsWith('.ts'))
  for (const name of names) {
    const text = await readFile(join('src', name), 'utf8')
    if (name === 'workers/steps.ts' && !text.includes(honest)) throw new Error('the defect has no place to be planted')
    const { outputText } = ts.transpileModule(text.replace(honest, defect), {
      compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2023 },
    })
    const target = join(root, 'src', name.replace(/\.ts$/, '.js'))
    await mkdir(dirname(target), { recursive: true })
    await writeFile(target, outputText)
  }
  await cp('package.json', join(root, 'package.json'))
  await symlink(join(process.cwd(), 'node_modules'), join(root, 'node_modules'))
  const load = (path: string) => import(pathToFileURL(join(root, 'src', path)).href)
  ;({ startPool } = await load('workers/pool.js'))
  failures = await load('pipeline/steps.js')
})
afterAll(() => rm(root, { recursive: true, force: true }))

const random = { bytes: (size: number) => new Uint8Array(randomBytes(size)) }
const master = readMasterKey(createMasterKey(random))
if (master.kind === 'refused') throw new Error(master.detail)
const { key } = master
const masterKey = key.secret

async function withPool<T>(options: Partial<PoolOptions>, use: (pool: Pool) => Promise<T>): Promise<T> {
  const pool = startPool({ masterKey, threads: 2, ...options })
  try {
    return await use(pool)
  } finally {
    await pool.close()
  }
}

const read = (pool: Pool, body: string) => pool.read(Buffer.from(write({ body })), 'documents')
/** `read`, `failed: …` or `not begun`. */
const endOf = (step: Promise<unknown>) =>
  step.then(
    () => 'read',
    (error: unknown) =>
      error instanceof failures.StepNotBegun
        ? 'not begun'
        : error instanceof failures.StepFailed
          ? `failed: ${error.message}`
          : `threw: ${String(error)}`,
  )

describe('a thread', () => {
  it.each([
    ['that exits', 'EXIT', /^failed: read: .*exit/i],
    ['that throws', 'THROW', /^failed: read: a defect$/],
    ['that does not come back', 'SPIN', /^failed: read: no answer within 1500 ms$/],
    ['that runs out of memory', 'GROW', /^failed: read: .*memory/i],
  ])('%s takes its own step with it, others go on, and it is replaced', async (_, word, expected) => {
    await withPool({ stepTimeoutMs: word === 'SPIN' ? 1500 : 20_000, heapMiB: 64 }, async (pool) => {
      expect(await endOf(read(pool, 'warm'))).toBe('read')
      for (let round = 0; round < 3; round++) {
        // More than there are threads: were one not replaced, the last would wait for ever.
        const [hostile, ...others] = await Promise.all([word, 'a', 'b', 'c'].map((body) => endOf(read(pool, body))))
        expect(hostile).toMatch(expected)
        expect(others).toEqual(['read', 'read', 'read'])
      }
    })
  })

  it('that fails after it answered does not end the process', async () => {
    await withPool({ threads: 1 }, async (pool) => {
      expect(await endOf(read(pool, 'warm'))).toBe('read') // or the first step takes longer than the failure that follows it
      expect(await endOf(read(pool, 'LATE'))).toBe('read')
      await new Promise((resolve) => setTimeout(resolve, 300))
      const ends: string[] = []
      for (let tries = 0; tries < 4; tries++) ends.push(await endOf(read(pool, 'x')))
      expect(ends.at(-1)).toBe('read')
    })
  })
})

describe('steps that wait for a thread', () => {
  it('beyond the limit are not begun, and the others are all done', async () => {
    await withPool({ threads: 1, waiting: 2 }, async (pool) => {
      const ends = await Promise.all(['SLOW', 'a', 'b', 'c', 'd'].map((body) => endOf(read(pool, body))))
      expect(ends).toEqual(['read', 'read', 'read', 'not begun', 'not begun'])
      expect(await endOf(read(pool, 'e'))).toBe('read')
    })
  })

  it('have their whole time when their turn comes', async () => {
    await withPool({ threads: 1, stepTimeoutMs: 1500 }, async (pool) => {
      await read(pool, 'warm')
      const ends = await Promise.all(Array.from({ length: 6 }, () => endOf(read(pool, 'SLOW'))))
      expect(ends).toEqual(Array.from({ length: 6 }, () => 'read')) // 2,400 ms in all
    })
  })

  it('when the pool closes are not begun, and what runs comes to its end', async () => {
    const pool = startPool({ masterKey, threads: 1 })
    await read(pool, 'warm')
    const ends = Promise.all(['SLOW', 'a', 'b'].map((body) => endOf(read(pool, body))))
    await pool.close()
    expect(await ends).toEqual(['read', 'not begun', 'not begun'])
    expect(await endOf(read(pool, 'c'))).toBe('not begun')
  })

  it('that hang when the pool closes are given up, and are not held against the message', async () => {
    const pool = startPool({ masterKey, threads: 1 })
    await read(pool, 'warm')
    const end = endOf(read(pool, 'SPIN'))
    await pool.close()
    expect(await end).toBe('not begun')
  })
})

describe('private keys', () => {
  it('cross into the threads wrapped, and never come back', async () => {
    const keyring = openKeyring({ current: key }, random)
    const owned: OwnedKey = {
      id: gatewayKey.fingerprint,
      owner: domain as OwnedKey['owner'],
      certificate: gatewayKey.certificate,
      chain: [],
      wrapped: keyring.wrap('private-key', gatewayKey.fingerprint, gatewayKey.pkcs8),
    }
    const { d = '', p = '', q = '' } = gatewayKey.privateKey.export({ format: 'jwk' })
    const secrets = [d, p, q].map((secret) => Buffer.from(secret, 'base64url'))
    // All memory that crosses with a value: a view brings the whole buffer that it looks at.
    const shows = (value: unknown): boolean => {
      if (value instanceof Uint8Array) return secrets.some((secret) => Buffer.from(value.buffer).includes(secret))
      return typeof value === 'object' && value !== null && Object.values(value).some(shows)
    }
    expect(shows({ deep: [gatewayKey.pkcs8] })).toBe(true) // what it would look like
    expect(shows({ ...owned, wrapped: Uint8Array.from(owned.wrapped) })).toBe(false)
    await withPool({ threads: 1 }, async (pool) => {
      const unwrapped = sealByHand('Content-Type: text/plain\r\n\r\nHello.', { outer: 'From: <a@b.example>\r\n' })
      const large = seal({ body: 'A long letter.\r\n'.repeat(20_000) })
      const shared = new Uint8Array(new SharedArrayBuffer(large.length))
      shared.set(large)
      for (const bytes of [unwrapped, seal(), shared]) {
        const opened = await pool.open({ kind: 'bytes', bytes }, [owned], { allowSha1: false })
        expect(opened.kind).toBe('opened')
        expect(shows(opened)).toBe(false)
      }
      const sealed = await pool.seal({
        message: Buffer.from(write()),
        signers: [owned],
        recipients: [doctorKey.certificate],
        outer: { from: 'a@b.example' as never, to: [], messageId: '<1@b.example>', date: 0 },
        at: Date.now(),
      })
      expect(sealed.kind).toBe('sealed')
      expect(shows(sealed)).toBe(false)
    })
  })

  it('under another master key are undecided, and refuse nothing', async () => {
    const owned = {
      id: gatewayKey.fingerprint,
      owner: domain,
      certificate: gatewayKey.certificate,
      chain: [],
      wrapped: new Uint8Array(200),
    }
    await withPool({ threads: 1 }, async (pool) => {
      const opened = await pool.open({ kind: 'bytes', bytes: seal() }, [owned as never], { allowSha1: false })
      expect(opened).toMatchObject({ kind: 'undecided', cause: 'key-store-unavailable' })
    })
  })
})
