import type { IncomingMessage } from 'node:http'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { smartConfiguration } from './metadata.js'
import { routes } from './places.js'
import type { Registration } from './registration.js'

/** What answers requests at the provider's endpoints. */
export type Callback = (request: IncomingMessage, response: FastifyReply['raw']) => Promise<void>

/** What one endpoint takes. */
const endpoints: readonly (readonly [path: string, methods: readonly ('GET' | 'POST' | 'OPTIONS')[]])[] = [
  [routes.authorization, ['GET']],
  [`${routes.authorization}/:uid`, ['GET']],
  [routes.token, ['POST', 'OPTIONS']],
  [routes.jwks, ['GET', 'OPTIONS']],
  [routes.pushed_authorization_request, ['POST', 'OPTIONS']],
  [routes.introspection, ['POST', 'OPTIONS']],
  [routes.revocation, ['POST', 'OPTIONS']],
  [routes.userinfo, ['GET', 'POST', 'OPTIONS']],
  [routes.device_authorization, ['POST', 'OPTIONS']],
  ['/.well-known/openid-configuration', ['GET', 'OPTIONS']],
  ['/.well-known/oauth-authorization-server', ['GET', 'OPTIONS']],
]

/** Largest form at the authorization endpoint; as the provider's own limit elsewhere. */
const formBytes = 56 * 1024

/**
 * The endpoints, for the server of the API, whose rules on TLS and rate they have. Bodies are left alone for the provider;
 * of where it is, it learns what is configured and nothing of what a client writes into headers.
 */
export function mountOauth(
  issuer: string,
  callback: () => Promise<Callback>,
  registration: Registration,
): (app: FastifyInstance) => Promise<void> {
  const config = { access: 'public' as const }
  const schema = { hide: true }
  const smart = smartConfiguration(issuer)

  async function pass(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    const { raw } = request
    const { protocol, host } = new URL(issuer)
    const forwarded = {
      'x-forwarded-proto': protocol.slice(0, -1),
      'x-forwarded-host': host,
      'x-forwarded-for': request.ip,
    }
    Object.assign(raw.headers, forwarded, { host })
    const answer = await callback()
    reply.hijack()
    for (const [name, value] of Object.entries(reply.getHeaders()))
      if (value !== undefined) reply.raw.setHeader(name, value)
    await answer(raw, reply.raw)
  }

  return async (app) => {
    app.removeAllContentTypeParsers()
    app.addContentTypeParser('*', (_request, _payload, done) => done(null, undefined))
    for (const [url, method] of endpoints) app.route({ method: [...method], url, config, schema, handler: pass })

    // SMART App Launch 2.2 `authorize-post`: the same request in a form, whatever its length.
    app.post(routes.authorization, { config, schema }, async (request, reply) => {
      const form = await textOf(request.raw, formBytes)
      const isForm = /^application\/x-www-form-urlencoded\s*(;|$)/i.test(request.headers['content-type'] ?? '')
      if (form === undefined || !isForm) return reply.code(400).send({ error: 'invalid_request' })
      request.raw.method = 'GET'
      request.raw.url = `${routes.authorization}?${form}`
      for (const name of ['content-type', 'content-length', 'transfer-encoding']) delete request.raw.headers[name]
      return pass(request, reply)
    })
    for (const url of ['/.well-known/smart-configuration', '/fhir/.well-known/smart-configuration'])
      app.get(url, { config, schema }, async (_, reply) =>
        reply.header('access-control-allow-origin', '*').type('application/json').send(JSON.stringify(smart)),
      )
    registrationRoutes(app, registration)
  }
}

function registrationRoutes(app: FastifyInstance, registration: Registration): void {
  const config = { access: 'public' as const }
  const schema = { hide: true }
  const handle = (what: keyof Registration) => async (request: FastifyRequest, reply: FastifyReply) => {
    const body =
      request.method === 'GET' || request.method === 'DELETE' ? undefined : await textOf(request.raw, 64 * 1024)
    const { id = '' } = request.params as { readonly id?: string }
    const answer = await registration[what]({
      id,
      authorization: request.headers.authorization,
      body: body === undefined ? undefined : jsonOf(body),
      address: request.ip,
    })
    if (answer.status === 401) reply.header('www-authenticate', 'Bearer error="invalid_token"')
    reply.code(answer.status).headers({ pragma: 'no-cache' })
    return answer.body === undefined ? reply.send() : reply.type('application/json').send(JSON.stringify(answer.body))
  }
  app.post('/oauth/register', { config, schema }, handle('register'))
  app.get('/oauth/register/:id', { config, schema }, handle('read'))
  app.put('/oauth/register/:id', { config, schema }, handle('update'))
  app.delete('/oauth/register/:id', { config, schema }, handle('remove'))
  app.post('/oauth/register/ticket', { config, schema }, handle('ticket'))
}

/** A body as text; undefined where there is more than allowed. */
async function textOf(raw: IncomingMessage, mostBytes: number): Promise<string | undefined> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of raw) {
    bytes += (chunk as Buffer).length
    if (bytes > mostBytes) return undefined
    chunks.push(chunk as Buffer)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
