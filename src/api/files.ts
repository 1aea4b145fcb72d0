import { fastify } from 'fastify'
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod'
import { networkOf } from '../direct/network.js'
import type { AuthorityFiles } from '../ports/authority.js'
import type { Log, Metrics } from '../ports/observe.js'
import type { Clock } from '../ports/world.js'
import { Problem, problemBody, problems, problemType } from './problem.js'
import { type Rate, rateLimiter } from './rate.js'
import { authorityFileRoutes } from './routes/pki.js'

export const fileLimits = {
  /** Nobody who asks here sends a body. */
  bodyBytes: 1,
  headerBytes: 8 * 1024,
  requestMs: 10_000,
  idleMs: 30_000,
  keepAliveMs: 5_000,
  connections: 500,
  /** A network asks for a list once an hour; many of its machines may share one address. */
  perAddress: { perSecond: 5, burst: 50 } as Rate,
}

export interface FilePorts {
  readonly files: AuthorityFiles
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Metrics
}

/**
 * A listener of its own for the files of our authorities, over plain HTTP: a list that is fetched over TLS could need
 * itself to be fetched (RFC 5280 §8), and what it serves is signed and public. It serves nothing else.
 */
export async function startFiles(
  { files, clock, log, metrics }: FilePorts,
  { host, port }: { readonly host: string; readonly port: number },
): Promise<{ readonly url: string; close(): Promise<void> }> {
  const app = fastify({
    logger: false,
    bodyLimit: fileLimits.bodyBytes,
    requestTimeout: fileLimits.requestMs,
    connectionTimeout: fileLimits.idleMs,
    keepAliveTimeout: fileLimits.keepAliveMs,
    exposeHeadRoutes: false,
    http: { maxHeaderSize: fileLimits.headerBytes },
    routerOptions: { maxParamLength: 64 },
    forceCloseConnections: true,
  })
  app.server.maxConnections = fileLimits.connections
  app.setValidatorCompiler(validatorCompiler)
  app.setSerializerCompiler(serializerCompiler)
  const rate = rateLimiter(clock, fileLimits.perAddress)
  app.addHook('onRequest', async (request, reply) => {
    reply.headers({ 'x-content-type-options': 'nosniff', 'cache-control': 'no-store' })
    const waitSeconds = rate.take(networkOf(request.ip))
    if (waitSeconds > 0) throw new Problem('too-many-requests', { 'retry-after': String(waitSeconds) })
  })
  app.setNotFoundHandler(() => {
    throw new Problem('not-found')
  })
  app.setErrorHandler(async (error, request, reply) => {
    const { code, headers } = error instanceof Problem ? error : new Problem('unavailable')
    if (!(error instanceof Problem)) log.error('files.failed', { name: error instanceof Error ? error.name : 'none' })
    const body = JSON.stringify(problemBody(code, request.id))
    return reply.code(problems[code].status).headers(headers).type(problemType).serializer(String).send(body)
  })
  app.addHook('onResponse', async (_, reply) => {
    metrics.count('authority_file_requests_total', { status: String(reply.statusCode) })
  })
  authorityFileRoutes(app, { files })
  const url = await app.listen({ host, port })
  return { url, close: () => app.close() }
}
