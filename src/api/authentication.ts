import { timingSafeEqual } from 'node:crypto'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { networkOf } from '../direct/network.js'
import { isSameOrigin, readCookie } from '../people/cookies.js'
import type { Session } from '../people/people.js'
import { type Caller, callerOfSession } from './caller.js'
import type { ApiPorts, apiLimits, Presented } from './ports.js'
import { Problem } from './problem.js'
import { rateLimiter } from './rate.js'
import type { Access } from './route.js'
import { entryOf, record } from './route.js'

/**
 * Decides before anything else is read whether a request may go on: rate by address, token, rate by token, scope. Every
 * route says who may call it; one that does not is a bug that stops the start.
 */
export function guard(
  app: FastifyInstance,
  ports: ApiPorts,
  limits: typeof apiLimits,
  metricsFor: 'loopback' | 'operator',
  origin?: string,
): void {
  const byAddress = rateLimiter(ports.clock, limits.perAddress)
  const byToken = rateLimiter(ports.clock, limits.perToken)
  const failures = rateLimiter(ports.clock, limits.failures)

  app.decorateRequest('caller', undefined)
  app.addHook('onRoute', ({ url, config }) => {
    if (!config?.access) throw new Error(`${url} does not say who may call it`)
  })
  app.addHook('onRequest', async (request) => {
    const { access, action } = request.routeOptions.config
    if (access === 'public' && isProbe(request)) return // a probe must not fail because clients are busy
    mustPass(byAddress.take(networkOf(request.ip)))
    if (access === undefined || access === 'public') return // no such route: it is told 404 and nothing else
    if (access === 'metrics' && metricsFor === 'loopback') {
      if (isLoopback(request.socket.remoteAddress) && isLoopback(request.ip)) return
      throw new Problem('not-found')
    }
    await authenticate(request, access === 'metrics' ? 'operator' : access, action ?? 'metrics')
  })

  /** Whoever signed in at our pages, by the cookie that says so. */
  async function signedIn(request: FastifyRequest): Promise<Caller | undefined> {
    if (origin === undefined || !ports.people) return undefined
    const secret = readCookie(request.headers.cookie, 'session', origin)
    const session = secret === undefined ? undefined : await ports.people.sessions.current(secret)
    if (!session) return undefined
    mustBeMeant(request, session, origin)
    return callerOfSession(session)
  }

  async function authenticate(request: FastifyRequest, scope: Exclude<Access, 'public' | 'metrics'>, action: string) {
    const header = request.headers.authorization
    const token = tokenIn(header, limits.tokenChars)
    request.caller =
      header === undefined
        ? await signedIn(request)
        : token && (await ports.authenticate(token.secret, presentedIn(request, token.scheme)))
    if (!request.caller) {
      ports.metrics.count('api_authentication_failures_total')
      const waitSeconds = failures.take(networkOf(request.ip))
      if (waitSeconds === 0) await record(ports, entryOf(ports, request, action, {}, 'refused', 'unauthenticated'))
      // RFC 6750 §3: an error code only where a token was presented.
      const told = header === undefined ? '' : ', error="invalid_token"'
      throw new Problem('unauthenticated', { 'www-authenticate': `Bearer realm="direct-gateway"${told}` })
    }
    mustPass(byToken.take(request.caller.by))
    if (request.caller.scopes.includes(scope)) return
    await record(ports, entryOf(ports, request, action, {}, 'refused', 'missing-scope'))
    throw new Problem('missing-scope', {
      'www-authenticate': `Bearer realm="direct-gateway", error="insufficient_scope", scope="${scope}"`,
    })
  }
}

/** Refuses a change that did not come from a page of ours: a cookie comes along with whatever any page makes a browser send. */
function mustBeMeant({ method, headers }: FastifyRequest, { csrf }: Session, origin: string): void {
  if (method === 'GET' || method === 'HEAD') return
  const [brought, wanted] = [Buffer.from(String(headers['x-csrf-token'] ?? '')), Buffer.from(csrf)]
  const same = brought.length === wanted.length && timingSafeEqual(brought, wanted)
  if (!same || !isSameOrigin(headers, origin)) throw new Problem('csrf')
}

function mustPass(waitSeconds: number): void {
  if (waitSeconds > 0) throw new Problem('too-many-requests', { 'retry-after': String(waitSeconds) })
}

function isProbe({ routeOptions }: FastifyRequest): boolean {
  return routeOptions.url === '/livez' || routeOptions.url === '/readyz'
}

/** The secret of an Authorization header (RFC 6750 §2.1, RFC 9449 §7.1); tokens are taken from nowhere else. */
function tokenIn(header: string | undefined, mostChars: number) {
  if (header === undefined || header.length > mostChars) return undefined
  const [, scheme = '', secret] = /^(Bearer|DPoP) +([A-Za-z0-9\-._~+/]+=*) *$/i.exec(header) ?? []
  return secret === undefined
    ? undefined
    : { secret, scheme: /^dpop$/i.test(scheme) ? ('DPoP' as const) : ('Bearer' as const) }
}

/** What the request says beside its token. */
function presentedIn({ headers, method, url, ip }: FastifyRequest, scheme: Presented['scheme']): Presented {
  const { dpop } = headers
  return { scheme, method, path: url, address: ip, ...(typeof dpop === 'string' && { proof: dpop }) }
}

/** 127.0.0.0/8 and ::1, also as an IPv4-mapped address. */
export function isLoopback(address: string | undefined): boolean {
  return address !== undefined && (/^(::ffff:)?127(\.\d{1,3}){3}$/i.test(address) || address === '::1')
}
