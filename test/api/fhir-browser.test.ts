import { expect, test } from 'vitest'
import { alice, openGateway } from './gateway.js'

const origin = 'https://app.example'
const asking = {
  origin,
  'access-control-request-method': 'PUT',
  'access-control-request-headers': 'authorization,if-match',
}

test('a page of anybody may ask the FHIR side, with a token and never with cookies', async () => {
  const { app, token } = await openGateway()
  const { headers } = await token(alice, ['record:read', 'record:write'])
  const preflight = await app.inject({ method: 'OPTIONS', url: '/fhir/Condition/1', headers: asking })
  expect([preflight.statusCode, preflight.body]).toEqual([204, ''])
  for (const name of ['Authorization', 'If-Match', 'Content-Type', 'DPoP'])
    expect(preflight.headers['access-control-allow-headers']).toContain(name)
  expect(preflight.headers['access-control-allow-methods']).toBe('GET, POST, PUT, DELETE')
  for (const [url, status] of [
    ['/fhir/metadata', 200],
    ['/fhir/Condition', 200],
    ['/fhir/Condition/none', 404],
    ['/fhir/Condition', 401],
  ] as const) {
    const answer = await app.inject({ url, headers: { origin, ...(status !== 401 && headers) } })
    expect(answer.statusCode).toBe(status)
    expect(answer.headers['access-control-allow-origin']).toBe('*')
    expect(answer.headers['access-control-allow-credentials']).toBeUndefined()
    for (const name of ['ETag', 'Location', 'DPoP-Nonce'])
      expect(answer.headers['access-control-expose-headers']).toContain(name)
  }
})

test('nothing else is for pages of others', async () => {
  const { app, token } = await openGateway()
  const { headers } = await token(alice, ['record:read'])
  for (const url of ['/api/v1/records', '/api/v1/openapi.json', '/livez', '/fhirs', '/']) {
    for (const method of ['GET', 'OPTIONS'] as const) {
      const answer = await app.inject({ method, url, headers: { ...asking, ...(method === 'GET' && headers) } })
      expect(Object.keys(answer.headers).filter((name) => name.startsWith('access-control'))).toEqual([])
      if (method === 'OPTIONS') expect(answer.statusCode).toBe(404)
    }
  }
  const bare = await app.inject({ method: 'OPTIONS', url: '/fhir/Condition' })
  expect(bare.statusCode).toBe(404)
})

test('the server says where applications are authorized, where it knows', async () => {
  const authorize = 'https://gw.example/oauth/authorize'
  const token = 'https://gw.example/oauth/token'
  for (const oauthUris of [undefined, { authorize, token }]) {
    const { app } = await openGateway({}, oauthUris ? { oauthUris } : {})
    const { security } = (await app.inject({ url: '/fhir/metadata' })).json().rest[0]
    expect(security.cors).toBe(true)
    expect(security.extension?.[0].extension).toEqual(
      oauthUris && [
        { url: 'authorize', valueUri: authorize },
        { url: 'token', valueUri: token },
      ],
    )
  }
})
