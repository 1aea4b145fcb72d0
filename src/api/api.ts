import { randomUUID } from 'node:crypto'
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import swagger from '@fastify/swagger'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { fastify } from 'fastify'
import {
  hasZodFastifySchemaValidationErrors,
  jsonSchemaTransform,
  jsonSchemaTransformObject,
  serializerCompiler,
  validatorCompiler,
} from 'fastify-type-provider-zod'
import { SlowHashBusy } from '../ports/slow-hash.js'
import { StoreFailed } from '../ports/store.js'
import { serverTls } from '../ports/tls.js'
import { VaultFailed } from '../ports/vault.js'
import { guard, isLoopback } from './authentication.js'
import { answerPreflights, openToPages } from './cors.js'
import { describeApi, tidied } from './description.js'
import type { ApiOptions, ApiPorts } from './ports.js'
import { apiLimits } from './ports.js'
import type { FieldError } from './problem.js'
import { Problem, problemBody, problems, problemType } from './problem.js'
import { accountRoutes } from './routes/account.js'
import { activityRoutes } from './routes/activity.js'
import { appRoutes } from './routes/apps.js'
import { auditRoutes } from './routes/audit.js'
import { blobRoutes } from './routes/blobs.js'
import { connectRoutes } from './routes/connect.js'
import { directAddressRoutes } from './routes/direct-addresses.js'
import { documentRoutes } from './routes/documents.js'
import { eventRoutes } from './routes/events.js'
import { exportRoutes } from './routes/export.js'
import { asksFhir, fhirRoutes, fhirType, outcomeOf } from './routes/fhir.js'
import { fhirWritingRoutes } from './routes/fhir-writing.js'
import { grantRoutes } from './routes/grants.js'
import { healthRoutes } from './routes/health.js'
import { heldMailRoutes } from './routes/held-mail.js'
import { itemRoutes } from './routes/items.js'
import { messageRoutes } from './routes/messages.js'
import { packageRoutes } from './routes/packages.js'
import { pickupRoutes } from './routes/pickup.js'
import { authorityFileRoutes } from './routes/pki.js'
import { queueRoutes } from './routes/queue.js'
import { recordRoutes } from './routes/records.js'
import { reviewRoutes } from './routes/review.js'
import { sendingRoutes } from './routes/sending.js'
import { sharingRoutes } from './routes/sharing.js'
import { linkRoutes } from './routes/shl.js'
import { operatorRoutes } from './routes/trail.js'
import { transmitRoutes } from './routes/transmit.js'
import { trustRoutes } from './routes/trust.js'

/**
 * The HTTP API, ready for `listenApi` or `inject`. Everything needs a bearer token but the probes and the description;
 * whatever a token may not see is not found. Errors are RFC 9457 problem details.
 */
export async function buildApi(ports: ApiPorts, options: ApiOptions = {}): Promise<FastifyInstance> {
  const limits = { ...apiLimits, ...options.limits }
  const app = createServer(options, limits)
  app.server.maxConnections = limits.connections
  app.server.headersTimeout = limits.requestMs
  app.setValidatorCompiler(validatorCompiler)
  app.setSerializerCompiler(serializerCompiler)
  app.setErrorHandler(async (error, request, reply) => answerProblem(ports, request, reply, problemOf(error), error))
  app.setNotFoundHandler(async (request, reply) => answerProblem(ports, request, reply, new Problem('not-found')))

  // The application/json parser of Fastify stays; beside it only whole messages are read, byte for byte.
  app.removeContentTypeParser('text/plain')
  app.addContentTypeParser('message/rfc822', { parseAs: 'buffer' }, (_, body, done) =>
    done(null, { original: Buffer.from(body).toString('latin1') }),
  )
  await app.register(swagger, {
    openapi: describeApi,
    transform: jsonSchemaTransform,
    transformObject: (input) => tidied(jsonSchemaTransformObject(input)),
  })
  app.addHook('onRequest', async (request, reply) => {
    securityHeaders(request, reply, options)
    if (!mayAnswer(request.socket, options)) throw new Problem('tls-required')
  })
  openToPages(app)
  guard(app, ports, limits, options.metrics ?? 'loopback', options.origin)
  answerPreflights(app)
  app.addHook('onResponse', async (request, reply) => {
    const route = request.routeOptions.url ?? 'none'
    ports.metrics.count('api_requests_total', { route, method: request.method, status: String(reply.statusCode) })
    ports.metrics.observe('api_request_seconds', reply.elapsedTime / 1000, { route })
  })

  healthRoutes(app, ports)
  messageRoutes(app, ports, limits)
  sendingRoutes(app, ports, limits)
  recordRoutes(app, ports)
  itemRoutes(app, ports, limits)
  blobRoutes(app, ports, limits)
  reviewRoutes(app, ports, limits)
  documentRoutes(app, ports)
  exportRoutes(app, ports)
  directAddressRoutes(app, ports)
  transmitRoutes(app, ports)
  operatorRoutes(app, ports)
  auditRoutes(app, ports)
  queueRoutes(app, ports)
  eventRoutes(app, ports)
  trustRoutes(app, ports)
  authorityFileRoutes(app, ports)
  appRoutes(app, ports)
  grantRoutes(app, ports, limits)
  activityRoutes(app, ports)
  fhirRoutes(app, ports)
  fhirWritingRoutes(app, ports)
  connectRoutes(app, ports)
  pickupRoutes(app, ports)
  packageRoutes(app, ports)
  linkRoutes(app, ports)
  heldMailRoutes(app, ports)
  accountRoutes(app, ports, options.origin)
  sharingRoutes(app, ports)
  if (options.also) await app.register(options.also)
  return app
}

/** Opens the listener. Throws, before it opens, where plain HTTP would be spoken on other than loopback interfaces. */
export async function listenApi(
  app: FastifyInstance,
  { host, port }: { readonly host: string; readonly port: number },
  options: Pick<ApiOptions, 'tls' | 'behindTlsProxy'>,
): Promise<string> {
  if (!options.tls && !options.behindTlsProxy && !isLoopback(host) && host !== 'localhost') {
    throw new Error(
      `The API does not speak plain HTTP on ${host}: give it a certificate, or say that a TLS proxy stands in front`,
    )
  }
  return app.listen({ host, port })
}

function createServer(options: ApiOptions, limits: typeof apiLimits): FastifyInstance {
  const common = {
    logger: false,
    bodyLimit: limits.bodyBytes,
    requestTimeout: limits.requestMs,
    connectionTimeout: limits.idleMs,
    keepAliveTimeout: limits.keepAliveMs,
    exposeHeadRoutes: false,
    genReqId: () => randomUUID(), // never the client's own: an id must find one audit entry
    requestIdHeader: false as const,
    routerOptions: { maxParamLength: limits.parameterChars },
    trustProxy: options.trustedProxies ? [...options.trustedProxies] : false,
    frameworkErrors: (error: Error, request: FastifyRequest, reply: FastifyReply) => {
      securityHeaders(request, reply, options)
      const code = problemOf(error).code
      void reply
        .code(problems[code].status)
        .type(problemType)
        .send(JSON.stringify(problemBody(code, request.id)))
    },
  }
  const http = { maxHeaderSize: limits.headerBytes }
  if (!options.tls) return fastify({ ...common, http })
  const https = { ...http, ...options.tls, ...serverTls }
  return fastify({ ...common, https }) as unknown as FastifyInstance
}

/** Plain HTTP is answered on loopback only; a socket without an address is an injected request. */
function mayAnswer(socket: Socket, { behindTlsProxy }: ApiOptions): boolean {
  if (behindTlsProxy || socket instanceof TLSSocket) return true
  return socket.localAddress === undefined || isLoopback(socket.localAddress)
}

function securityHeaders(request: FastifyRequest, reply: FastifyReply, { tls, behindTlsProxy }: ApiOptions): void {
  reply.headers({
    'x-request-id': request.id,
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    'content-security-policy': "sandbox; default-src 'none'; frame-ancestors 'none'",
    'referrer-policy': 'no-referrer',
    'cross-origin-resource-policy': 'same-origin',
    'x-frame-options': 'DENY',
  })
  // RFC 6797 §7.2: only over secure transport.
  if (tls || behindTlsProxy) reply.header('strict-transport-security', 'max-age=31536000; includeSubDomains')
}

/** The problem that an error is told as; what is not known by name is `internal`, and its words stay inside. */
function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error
  if (error instanceof StoreFailed) return new Problem('unavailable', { 'retry-after': '10' })
  if (error instanceof SlowHashBusy) return new Problem('unavailable', { 'retry-after': '5' })
  if (error instanceof VaultFailed) return new Problem('unreadable')
  if (hasZodFastifySchemaValidationErrors(error)) return new Problem('invalid-request', {}, fieldErrors(error))
  const { statusCode } = error as { readonly statusCode?: unknown }
  if (statusCode === 413) return new Problem('too-large')
  if (statusCode === 415) return new Problem('unsupported-media-type')
  if (statusCode === 414 || statusCode === 404) return new Problem('not-found')
  if (typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500) return new Problem('invalid-request')
  return new Problem('internal')
}

const places: Record<string, string> = { querystring: 'query', params: 'path', body: 'body', headers: 'header' }

/** Each wrong value by its place; the words are ours and the schema's, never the value itself. */
function fieldErrors(error: {
  readonly validation: readonly { readonly instancePath: string; readonly message?: string | undefined }[]
  readonly validationContext?: string | undefined
}): FieldError[] {
  const place = places[error.validationContext ?? ''] ?? 'request'
  return error.validation.slice(0, 20).map(({ instancePath, message }) => ({
    where: [place, ...instancePath.split('/').filter(Boolean)].join('.').slice(0, 200),
    detail: (message ?? 'Not valid').slice(0, 300),
  }))
}

async function answerProblem(
  { log }: ApiPorts,
  request: FastifyRequest,
  reply: FastifyReply,
  problem: Problem,
  error?: unknown,
): Promise<FastifyReply> {
  const { status } = problems[problem.code]
  if (status >= 500) {
    const name = error instanceof Error ? error.name : 'none'
    log.error('api.failed', {
      request: request.id,
      code: problem.code,
      route: request.routeOptions.url ?? 'none',
      name,
    })
  }
  for (const header of ['content-length', 'content-disposition', 'etag']) reply.removeHeader(header)
  // Serialised here: the schema of the route's own 503 or 404 must not reshape it.
  const fhir = asksFhir(request)
  const body = fhir
    ? outcomeOf(problem)
    : JSON.stringify(problemBody(problem.code, request.id, problem.errors, problem.healthvaultStatus))
  return reply
    .code(status)
    .headers({ ...problem.headers })
    .type(fhir ? fhirType : problemType)
    .serializer(String)
    .send(body)
}
