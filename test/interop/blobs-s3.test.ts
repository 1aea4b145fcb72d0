import { randomBytes } from 'node:crypto'
import dns from 'node:dns'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { StoreFailed } from '../../src/ports/store.js'
import { openS3Blobs, type S3Blobs } from '../../src/store/s3/blobs.js'
import type { S3Options } from '../../src/store/s3/options.js'
import { blobContract } from '../contract/blobs.js'
import { standingClock } from '../contract/clock.js'
import { makeAuthority, makeLeaf } from '../fixtures/pki.js'
import { type Misdeed, type StubS3, startStubS3, stubCredentials } from '../fixtures/s3.js'

type Found = (error: null, address: string | readonly dns.LookupAddress[], family: number) => void

const fast = { answerMs: 300, retryMs: 5 }

function optionsFor({ endpoint }: StubS3, draftDirectory: string, more: Partial<S3Options> = {}): S3Options {
  const { accessKeyId, secretAccessKey, region } = stubCredentials
  return {
    ...{ endpoint, region, bucket: 'mail', prefix: 'gateway/', forcePathStyle: true },
    ...{ accessKeyId, secretAccessKey, draftDirectory, limits: fast },
    ...more,
  }
}

blobContract('S3 blobs', async () => {
  const drafts = await mkdtemp(join(tmpdir(), 'gateway-s3-'))
  let now = Date.now
  const stub = await startStubS3({ now: () => now(), pageSize: 5 })
  const opened: S3Blobs[] = []
  return {
    async open(clock) {
      now = () => clock.now()
      const blobs = await openS3Blobs(optionsFor(stub, drafts, { limits: { retryMs: 5 } }), clock)
      opened.push(blobs)
      return blobs
    },
    async destroy() {
      for (const blobs of opened) blobs.close()
      await stub.close()
      expect(await readdir(drafts)).toEqual([])
      await rm(drafts, { recursive: true, force: true })
    },
  }
})

describe('S3 blobs', () => {
  const clock = standingClock(Date.now())
  const bytes = randomBytes(300_000)
  const closing: (() => Promise<void> | void)[] = []
  let drafts: string
  let stub: StubS3
  let blobs: S3Blobs

  beforeEach(async () => {
    drafts = await mkdtemp(join(tmpdir(), 'gateway-s3-'))
    stub = await startStubS3({ pageSize: 2 })
    blobs = await openS3Blobs(optionsFor(stub, drafts), clock)
  })
  afterEach(async () => {
    blobs.close()
    await stub.close()
    await rm(drafts, { recursive: true, force: true })
  })
  afterAll(async () => {
    for (const close of closing) await close()
  })

  async function read(name: string): Promise<Buffer> {
    const parts: Uint8Array[] = []
    for await (const chunk of (await blobs.get(name)) ?? []) parts.push(chunk)
    return Buffer.concat(parts)
  }
  const failing = async (call: Promise<unknown>): Promise<StoreFailed> => {
    const error = await call.then(
      () => undefined,
      (thrown: unknown) => thrown,
    )
    expect(error).toBeInstanceOf(StoreFailed)
    return error as StoreFailed
  }

  it.each<[Misdeed[]]>([
    [['internal-error']],
    [['slow-down', 'slow-down']],
    [['reset', 'internal-error', 'slow-down']],
    [['silent']],
    [['early-ok']],
  ])('are stored all the same when the server answers %s first', async (misdeeds) => {
    stub.misbehave('PUT', ...misdeeds)
    const name = await blobs.put([bytes])
    expect(Buffer.compare(await read(name), bytes)).toBe(0)
    expect(stub.requests.filter((request) => request.startsWith('PUT'))).toHaveLength(misdeeds.length + 1)
  })

  it.each<[Misdeed, number, RegExp]>([
    ['internal-error', 4, /refused PUT: 500 InternalError/],
    ['reset', 4, /could not be reached: (ECONNRESET|EPIPE)/],
    ['silent', 4, /could not be reached: no answer in time/],
    ['early-ok', 4, /could not be reached/],
    ['denied', 1, /refused PUT: 403 AccessDenied .*rights/],
    ['redirect', 1, /refused PUT: 307 without a code .*region and endpoint/],
    ['changed', 1, /refused PUT: 400 XAmzContentSHA256Mismatch/],
  ])('fail by name, in bounded tries, when the server goes on with %s', async (misdeed, tries, message) => {
    stub.misbehave('PUT', ...Array.from({ length: 20 }, () => misdeed))
    const error = await failing(blobs.put([bytes]))
    expect(error.message).toMatch(message)
    expect(stub.requests.filter((request) => request.startsWith('PUT'))).toHaveLength(tries)
    expect(stub.requests.some((request) => request.includes('elsewhere'))).toBe(false)
    expect(stub.objects.size).toBe(0)
    expect(await readdir(drafts)).toEqual([])
    for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
      const shown = `${cause.message} ${cause.stack} ${JSON.stringify(cause)}`
      expect(shown).not.toContain(stubCredentials.secretAccessKey)
      expect(shown).not.toContain('Signature=')
    }
  })

  it.each<[Misdeed, RegExp]>([
    ['cut', /broke off a blob/],
    ['stall', /broke off a blob: no answer in time/],
  ])('are an error and never a short blob when the server makes a %s', async (misdeed, message) => {
    const name = await blobs.put([bytes])
    stub.misbehave('GET', misdeed)
    expect((await failing(read(name))).message).toMatch(message)
    expect(Buffer.compare(await read(name), bytes)).toBe(0)
  })

  it('take a success for one though its own body breaks off, and go on', async () => {
    stub.misbehave('PUT', 'half-answer')
    stub.misbehave('DELETE', 'half-answer')
    const name = await blobs.put([bytes])
    expect(Buffer.compare(await read(name), bytes)).toBe(0)
    await blobs.delete(name)
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(await blobs.size(name)).toBeUndefined()
  })

  it('wait for a reader that takes its time', async () => {
    const name = await blobs.put([randomBytes(3_000_000)])
    let size = 0
    let rests = 0
    for await (const chunk of (await blobs.get(name)) ?? []) {
      size += chunk.length
      if (rests++ < 2) await new Promise((resolve) => setTimeout(resolve, fast.answerMs * 1.5))
    }
    expect(size).toBe(3_000_000)
  })

  it('fail when a listing cannot be read or has no end', async () => {
    await blobs.put([bytes])
    const list = async () => {
      const names: string[] = []
      for await (const name of blobs.olderThan(-60_000)) names.push(name)
      return names
    }
    stub.misbehave('GET', 'not-a-listing')
    expect((await failing(list())).message).toMatch('cannot be read')
    stub.misbehave('GET', ...Array.from({ length: 20 }, () => 'endless' as const))
    expect((await failing(list())).message).toMatch('without end')
    stub.misbehave('GET', 'slow-down')
    expect(await list()).toHaveLength(1)
  })

  it('list page by page what is theirs, and nothing else in the bucket', async () => {
    const names = await Promise.all(Array.from({ length: 7 }, (_, i) => blobs.put([Buffer.of(i)])))
    const other = await openS3Blobs(optionsFor(stub, drafts, { prefix: 'other/' }), clock)
    closing.push(() => other.close())
    await other.put([bytes])
    const [kept] = stub.objects.values()
    if (kept) stub.objects.set('gateway/readme.txt', kept)
    const before = stub.requests.length
    const found: string[] = []
    for await (const name of blobs.olderThan(-60_000)) found.push(name)
    expect(found.toSorted()).toEqual(names.toSorted())
    expect(stub.requests.length - before).toBe(4)
  })

  it.each<[string, Partial<S3Options>, RegExp]>([
    ['another secret key', { secretAccessKey: 'wrong' }, /403 SignatureDoesNotMatch/],
    ['another key', { accessKeyId: 'AKIDOTHER' }, /403 InvalidAccessKeyId/],
    ['another region', { region: 'eu-test-2' }, /403 AuthorizationHeaderMalformed/],
    ['a bucket that is not there', { bucket: 'letters' }, /not there.*NoSuchBucket/],
    ['nobody at the endpoint', { endpoint: 'http://127.0.0.1:9' }, /could not be reached: ECONNREFUSED/],
  ])('do not open with %s', async (_, wrong, message) => {
    expect((await failing(openS3Blobs(optionsFor(stub, drafts, wrong), clock))).message).toMatch(message)
  })

  it('sign the token of a session', async () => {
    const strict = await startStubS3({ sessionToken: 'a/session+token==' })
    closing.push(() => strict.close())
    await failing(openS3Blobs(optionsFor(strict, drafts), clock))
    const session = await openS3Blobs(optionsFor(strict, drafts, { sessionToken: 'a/session+token==' }), clock)
    closing.push(() => session.close())
    expect(await session.size(await session.put([bytes]))).toBe(bytes.length)
  })

  it('go over TLS to a host named after the bucket, and nowhere that the authority did not vouch for', async () => {
    const authority = makeAuthority()
    const leaf = makeLeaf(authority, { san: { dns: ['*.s3.test'] }, eku: ['1.3.6.1.5.5.7.3.1'] })
    const secure = await startStubS3({ tls: { key: leaf.privateKeyPem, cert: leaf.certificatePem } })
    closing.push(() => secure.close())
    const asked: string[] = []
    const names = vi.spyOn(dns, 'lookup').mockImplementation(((name: string, options: object, found: Found) => {
      asked.push(name)
      const all = 'all' in options && options.all === true
      found(null, all ? [{ address: '127.0.0.1', family: 4 }] : '127.0.0.1', 4)
    }) as typeof dns.lookup)
    try {
      const options = { ...optionsFor(secure, drafts), forcePathStyle: false }
      const ours = await openS3Blobs({ ...options, ca: authority.certificatePem }, clock)
      closing.push(() => ours.close())
      const name = await ours.put([bytes])
      expect(await ours.size(name)).toBe(bytes.length)
      expect([...secure.objects.keys()]).toEqual([`gateway/${name}`])
      expect((await failing(openS3Blobs(options, clock))).message).toMatch(/UNABLE_TO|SELF_SIGNED/)
      const other = { ...options, bucket: 'mail2', endpoint: secure.endpoint.replace('s3.test', 'other.test') }
      expect((await failing(openS3Blobs({ ...other, ca: authority.certificatePem }, clock))).message).toMatch('ALTNAME')
      expect(new Set(asked)).toEqual(new Set(['mail.s3.test', 'mail2.other.test']))
    } finally {
      names.mockRestore()
    }
  })

  it('say how much room their drafts have', async () => {
    expect((await blobs.room())?.freeBytes).toBeGreaterThan(0)
  })
})
