import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fetchWithin, isPublicAddress } from '../../src/resolve/fetch.js'
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
  ])('of %s is %s', async (path, kind) => {
    expect(await fetchWithin(inside)(server.base + path)).toMatchObject({ kind })
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
