import type { FastifyInstance } from 'fastify'
import { asksFhir } from './routes/fhir.js'

/**
 * Applications in browsers read and write FHIR from pages of their own (SMART App Launch 2.2, Fetch Standard CORS
 * protocol). Any page may ask, and none with cookies: without credentials a token is all that opens anything. What else is
 * here is for our own pages.
 */
const shared = {
  'access-control-allow-origin': '*',
  'access-control-expose-headers': 'ETag, Location, DPoP-Nonce, WWW-Authenticate, Retry-After, X-Request-Id',
}

const preflight = {
  'access-control-allow-methods': 'GET, POST, PUT, DELETE',
  'access-control-allow-headers': 'Authorization, DPoP, Content-Type, Accept, If-Match, If-None-Exist, Prefer',
  // As long as browsers keep it.
  'access-control-max-age': '7200',
}

/** Lets pages of others ask the FHIR side; to be told before a request is decided on, so that refusals can be read too. */
export function openToPages(app: FastifyInstance): void {
  app.addHook('onRequest', async (request, reply) => {
    if (asksFhir(request)) reply.headers(shared)
  })
}

/** Answers what browsers ask before they ask: nobody is looked at, and nothing is looked up. */
export function answerPreflights(app: FastifyInstance): void {
  app.addHook('onRequest', async (request, reply) => {
    const asks = request.method === 'OPTIONS' && request.headers['access-control-request-method'] !== undefined
    if (asks && asksFhir(request)) return reply.code(204).headers(preflight).send()
  })
}
