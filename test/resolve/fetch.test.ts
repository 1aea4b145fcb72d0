import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { conditionalFetch, fetchWithin, isPublicAddress } from '../../src/resolve/fetch.js'
import { serve } from './server.js'

let server: Awaited<ReturnType<typeof serve>>
beforeAll(async () => {
  server = await serve((request, response) => {
    const path = request.url ?? ''
    if (path === '/ok') response.end('hello')
    else if (path === '/large') response.end(Buffer.alloc(3_000))
    else if (path === '/chunked') {
      response.write(Buffer.alloc(2_000))
      response.end(Buffer.alloc(2_000))
    } else if (path === '/slow') response.write('a')
    else if (path === '/broken') {
      response.writeHead(200, { 'content-length': '10' })
      response.write('abc', () => response.destroy())
    } else if (path === '/gzip') response.writeHead(200, { 'content-encoding': 'gzip' }).end('x')
    else if (path === '/loop') response.writeHead(302, { location: '/loop' }).end()
    else if (path === '/dated') {
      const validators = { etag: '"one"', 'last-modified': 'Sun, 01 Nov 2026 00:00:00 GMT' }
      if (request.headers['if-none-match'] === '"one"') response.writeHead(304, validators).end()
      else response.writeHead(200, validators).end('dated')
    } else if (path === '/echo') {
      const body: Buffer[] = []
      request.on('data', (chunk: Buffer) => body.push(chunk))
      request.on('end', () =>
        response.end(`${request.method} ${request.headers['content-type']} ${Buffer.concat(body).toString('hex')}`),
      )
    } else if (path === '/again') response.writeHead(307, { location: '/echo' }).end()
    else if (path === '/elsewhere') response.writeHead(303, { location: '/echo' }).end()
    else if (path === '/304') response.writeHead(304).end()
    else if (path === '/announced') response.writeHead(200, { 'content-length': '900000' }).write('a')
    else if (path === '/drip') {
      const timer = setInterval(() => response.write('a'), 20)
      response.on('close', () => clearInterval(timer))
    } else if (path === '/reset') request.socket.resetAndDestroy()
    else if (path === '/there') response.writeHead(302, { location: '/ok' }).end()
    else if (path === '/file') response.writeHead(302, { location: 'file:///etc/passwd' }).end()
    else if (path === '/private') response.writeHead(302, { location: 'http://10.0.0.1/' }).end()
    else response.writeHead(404).end()
  })
})
afterAll(() => server.close())

const inside = { allowPrivate: true, sizeBytes: 2_500, timeoutMs: 300 }

describe('fetching', () => {
  it.each([
    ['/ok', 'fetched'],
    ['/there', 'fetched'],
    ['/large', 'unreachable'],
    ['/chunked', 'unreachable'],
    ['/slow', 'unreachable'],
    ['/broken', 'unreachable'],
    ['/gzip', 'unreachable'],
    ['/loop', 'unreachable'],
    ['/missing', 'unreachable'],
    ['/file', 'forbidden'],
    ['/304', 'unreachable'],
    ['/announced', 'unreachable'],
    ['/drip', 'unreachable'],
    ['/reset', 'unreachable'],
  ])('of %s is %s', async (path, kind) => {
    expect(await fetchWithin(inside)(server.base + path)).toMatchObject({ kind })
  })

  it('posts a body, also where it is asked to post it elsewhere, and never turns it into a GET', async () => {
    const post = { type: 'application/ocsp-request', body: Uint8Array.of(1, 2) }
    for (const path of ['/echo', '/again'])
      expect(await fetchWithin(inside)(server.base + path, { post })).toMatchObject({
        kind: 'fetched',
        body: Buffer.from('POST application/ocsp-request 0102'),
      })
    expect(await fetchWithin(inside)(`${server.base}/elsewhere`, { post })).toMatchObject({
      kind: 'unreachable',
      detail: expect.stringContaining('redirected a POST'),
    })
  })

  it('asks only for what changed where it is told what is known', async () => {
    const fetch = conditionalFetch(inside)
    const first = await fetch(`${server.base}/dated`)
    if (first.kind !== 'fetched') throw new Error('nothing came')
    expect(first.validators).toEqual({ etag: '"one"', lastModified: 'Sun, 01 Nov 2026 00:00:00 GMT' })
    expect(await fetch(`${server.base}/dated`, first.validators)).toEqual({ kind: 'not-modified' })
    expect(await fetch(`${server.base}/dated`, { etag: '"two"' })).toMatchObject({ kind: 'fetched' })
    expect(await fetch(`${server.base}/missing`, first.validators)).toMatchObject({ kind: 'failed' })
    // What cannot stand in a header is refused by the platform, and told as any other failure.
    expect(await fetch(`${server.base}/dated`, { etag: 'a\r\nb: c' })).toMatchObject({ kind: 'failed' })
  })

  it('tells hosts that say nothing from those that answer badly', async () => {
    const silent = async (url: string, rules = {}) => {
      const got = await fetchWithin({ ...inside, ...rules })(url)
      return got.kind === 'unreachable' && got.silent === true
    }
    expect(await silent('http://127.0.0.1:1025/')).toBe(true)
    expect(await silent(`${server.base}/reset`)).toBe(true)
    expect(await silent('http://name.test/', { lookup: () => new Promise(() => {}) })).toBe(true)
    for (const path of ['/missing', '/slow', '/drip', '/loop']) expect(await silent(server.base + path)).toBe(false)
  })

  it('answers when nobody listens', async () => {
    expect(await fetchWithin(inside)('http://127.0.0.1:1025/')).toMatchObject({ kind: 'unreachable' })
  })

  it.each([
    'ftp://example.test/a',
    'file:///etc/passwd',
    'ldap://example.test/cn=a',
    'http://user:pass@example.test/',
    'http://example.test:25/',
    'http://example.test:22/',
    'not a url',
    '',
    `http://example.test/${'a'.repeat(3_000)}`,
  ])('never tries %s', async (url) => {
    expect(await fetchWithin({ ...inside, lookup: () => Promise.reject(new Error('asked')) })(url)).toMatchObject({
      kind: 'forbidden',
    })
  })

  it('reaches no private address, by number, by name, or by redirect', async () => {
    const addresses = (address: string, family = 4) => ({ lookup: async () => [{ address, family }] })
    expect((await fetchWithin()(`${server.base}/ok`)).kind).toBe('forbidden')
    for (const host of ['127.1', '0x7f000001', '2130706433', '[::1]', '[::ffff:127.0.0.1]', '169.254.169.254'])
      expect({ host, ...(await fetchWithin()(`http://${host}/`)) }).toMatchObject({ kind: 'forbidden' })
    const port = new URL(server.base).port
    expect(await fetchWithin(addresses('127.0.0.1'))(`http://name.test:${port}/ok`)).toMatchObject({
      kind: 'forbidden',
    })
    expect(await fetchWithin({ ...inside, ...addresses('127.0.0.1') })(`http://name.test:${port}/ok`)).toMatchObject({
      kind: 'fetched',
    })
    // One private address among public ones spoils the name, else the connection could land on it.
    const mixed = {
      lookup: async () => [
        { address: '8.8.8.8', family: 4 },
        { address: '127.0.0.1', family: 4 },
      ],
    }
    expect(await fetchWithin(mixed)('http://name.test/')).toMatchObject({ kind: 'forbidden' })
    expect(server.hits.get('/ok')).toBe(3)
  })
})

it('knows public addresses from special ones', () => {
  for (const address of ['8.8.8.8', '1.1.1.1', '172.32.0.1', '2606:4700::1111', '192.0.3.1'])
    expect({ address, public: isPublicAddress(address) }).toEqual({ address, public: true })
  for (const address of [
    ...['0.0.0.0', '10.1.2.3', '100.64.0.1', '127.0.0.1', '169.254.169.254', '172.16.0.1', '192.168.1.1', '224.0.0.1'],
    ...[
      '255.255.255.255',
      '::',
      '::1',
      '::ffff:8.8.8.8',
      'fe80::1',
      'fc00::1',
      'ff02::1',
      '64:ff9b::7f00:1',
      '2002::1',
    ],
    ...['2001:db8::1', '2001::1', 'localhost', ''],
  ])
    expect({ address, public: isPublicAddress(address) }).toEqual({ address, public: false })
})
