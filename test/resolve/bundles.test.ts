import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { bundleFetch } from '../../src/resolve/bundles.js'
import { makeAuthority, makeLeaf } from '../fixtures/pki.js'
import { serve } from './server.js'

const leaf = makeLeaf(makeAuthority(), { keyType: 'p256', san: { dns: ['community.test'] }, eku: [] })
const secure = createServer({ cert: leaf.certificatePem, key: leaf.privateKeyPem }, (request, response) => {
  if (request.url === '/b') response.end('bundle')
  else response.writeHead(302, { location: request.url === '/down' ? `${plain.base}/b` : '/b' }).end()
})
let plain: Awaited<ReturnType<typeof serve>>
let url = ''
beforeAll(async () => {
  plain = await serve((request, response) =>
    request.url === '/up' ? response.writeHead(302, { location: `${url}/b` }).end() : response.end('other bundle'),
  )
  await new Promise<void>((resolve) => secure.listen(0, '127.0.0.1', resolve))
  url = `https://community.test:${(secure.address() as AddressInfo).port}`
  // Nobody knows the authority of the test; what is tested is where a redirect may lead.
  vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0')
})
afterAll(async () => {
  vi.unstubAllEnvs()
  secure.closeAllConnections()
  secure.close()
  await plain.close()
})

it('follows a bundle from TLS to TLS and from http to TLS, never from TLS to http', async () => {
  const fetch = bundleFetch({ allowPrivate: true, lookup: async () => [{ address: '127.0.0.1', family: 4 }] })
  const got = async (place: string) => {
    const answer = await fetch(place)
    return answer.kind === 'fetched'
      ? Buffer.from(answer.bytes).toString()
      : 'detail' in answer
        ? answer.detail
        : answer.kind
  }
  expect(await got(`${url}/b`)).toBe('bundle')
  expect(await got(`${url}/along`)).toBe('bundle')
  expect(await got(`${url}/down`)).toContain('http:')
  expect(await got(`${url.replace('https', 'HTTPS')}/down`)).toContain('http:')
  expect(plain.hits.size).toBe(0)
  expect(await got(`${plain.base}/b`)).toBe('other bundle')
  expect(await got(`${plain.base}/up`)).toBe('bundle')
})
