import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import formbody from '@fastify/formbody'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { isSameOrigin, readCookie, writeCookie } from '../people/cookies.js'
import type { Session, Sessions } from '../people/people.js'
import type { Audit } from '../ports/audit.js'
import type { Store } from '../ports/store.js'
import type { Clock } from '../ports/world.js'
import { type Form, formOf } from './form.js'
import { message, type PageParts, sendPage } from './layout.js'

/** All words of this file. */
const words = {
  skip: 'Skip to content',
  links: {
    person: [
      { href: '/records', words: 'Records' },
      { href: '/account', words: 'Account' },
      { href: '/sign-out', words: 'Sign out' },
    ],
    nobody: [
      { href: '/sign-in', words: 'Sign in' },
      { href: '/sign-up', words: 'Create an account' },
    ],
  },
  csrf: {
    title: 'Please try once more',
    text: 'This form was too old, or it did not come from our page. Nothing was changed. Go back, load the page again and repeat.',
  },
  busy: { title: 'Busy at the moment', text: 'Nothing was changed. Please try again in a minute.' },
  tooMany: { title: 'Too many requests', text: 'Please wait a minute, then try again.' },
  notFound: { title: 'Page not found', text: 'There is no such page, or it is not for you.' },
  notValid: { title: 'This could not be read', text: 'Nothing was changed. Go back and try again.' },
  failed: {
    title: 'Something went wrong',
    text: 'It is our fault, and we have been told. The number of this request:',
  },
}

export const pageLimits = {
  /** A form is a few fields, or a choice of rules; a passkey's answer has some 2 KiB. */
  formBytes: 64 * 1024,
  /** A path to come back to. */
  nextCharacters: 2000,
  /** How long after proving who one is dangerous things may be done without proving it again. */
  stepUpMs: 10 * 60_000,
}

export interface PageOptions {
  /** Where browsers see us, `https://gw.example`: decides how cookies are set. Plain HTTP for loopback only. */
  readonly origin: string
  /** What the house is called at the top of its pages. */
  readonly house: string
  readonly stepUpMs?: number
}

export interface PagePorts {
  readonly sessions: Pick<Sessions, 'current'>
  readonly clock: Clock
  /** Where looking at a record's pages is told of, as the API tells of the same. */
  readonly trace?: { readonly store: Pick<Store, 'commit'>; readonly audit: Audit }
  readonly log: { error(event: string, fields: Readonly<Record<string, string>>): void }
}

/** Who is at the page. */
export interface Visit {
  readonly session?: Session
  /** For every form. */
  readonly csrf: string
  /** Address of the client, and what its browser says of itself. */
  readonly address: string
  readonly agent: string
  /** The cookie of a browser in which somebody signed in before. */
  readonly device?: string
}

export type SignedIn = Visit & { readonly session: Session }

export interface PageRequest<V extends Visit = Visit> {
  readonly visit: V
  readonly params: Readonly<Record<string, string>>
  readonly query: Form
  /** Of a POST; empty for a GET. */
  readonly form: Form
  /** The Cookie header, for what another room bound to this browser. */
  readonly cookie: string
}

/** A page, or where to go instead (303); `cookies` are whole Set-Cookie headers. */
export type PageAnswer = (PageParts | { readonly redirect: string }) & { readonly cookies?: readonly string[] }

/**
 * Who may see a page. `person`: signed in, with all factors that the house demands. `account`: signed in with one factor at
 * least. `recent`: as `account`, and proved within the last minutes.
 */
export type Needs = 'nobody' | 'account' | 'person' | 'recent'
type VisitFor<N extends Needs> = N extends 'nobody' ? Visit : SignedIn
type Handler<N extends Needs> = (request: PageRequest<VisitFor<N>>) => Promise<PageAnswer> | PageAnswer

/** What a page needs to be there. A POST comes to its handler only with the token of its visit, and from our own origin. */
export interface PageKit {
  readonly origin: string
  readonly house: string
  get<N extends Needs>(path: string, needs: N, handler: Handler<N>): void
  post<N extends Needs>(path: string, needs: N, handler: Handler<N>): void
}

/** One file of pages: adds its paths. */
export type PageRoutes = (kit: PageKit) => void

/** Thrown to end a request with a page that says so: what is not there, and what is not for the caller, alike. */
export class PageNotFound extends Error {
  override readonly name = 'PageNotFound'
}

/** All pages as one plugin for the server of the API (`also`), with their own form parser and error pages. */
export function mountPages(
  ports: PagePorts,
  options: PageOptions,
  pages: readonly PageRoutes[],
): (app: FastifyInstance) => Promise<void> {
  return async (app) => {
    await app.register(formbody, { bodyLimit: pageLimits.formBytes })
    app.removeContentTypeParser(['application/json', 'message/rfc822'])
    app.setErrorHandler((error, request, reply) => failed(ports, options, error, request, reply))
    const kit = kitOf(app, ports, options)
    for (const add of pages) add(kit)
  }
}

function kitOf(app: FastifyInstance, ports: PagePorts, options: PageOptions): PageKit {
  const config = { access: 'public' as const }
  const schema = { hide: true }
  const { origin, house } = options

  function add<N extends Needs>(method: 'GET' | 'POST', url: string, needs: N, handler: Handler<N>): void {
    app.route({
      ...{ method, url, config, schema },
      async handler(request, reply) {
        const visit = await visitOf(ports, options, request, reply)
        const form = formOf(request.body)
        if (method === 'POST' && !isOurs(request, visit, form, origin)) {
          return sendPage(
            reply,
            { ...message(words.csrf.title, words.csrf.text), status: 403 },
            frameOf(options, visit),
          )
        }
        const elsewhere = missing(needs, visit, ports.clock.now(), options.stepUpMs ?? pageLimits.stepUpMs)
        if (elsewhere !== undefined)
          return reply.redirect(withNext(elsewhere, method === 'GET' ? request.url : ''), 303)
        const params = request.params as Readonly<Record<string, string>>
        const { cookie = '' } = request.headers
        const asked = { visit: visit as VisitFor<N>, params, query: formOf(request.query), form, cookie }
        const answer = await handler(asked)
        if (method === 'GET' && needs === 'person') await traced(ports, visit, url, params['record'], request.id)
        if (answer.cookies) reply.header('set-cookie', [...answer.cookies])
        if ('redirect' in answer) return reply.redirect(answer.redirect, 303)
        return sendPage(reply, answer, frameOf(options, visit))
      },
    })
  }
  return {
    ...{ origin, house },
    get: (path, needs, handler) => add('GET', path, needs, handler),
    post: (path, needs, handler) => add('POST', path, needs, handler),
  }
}

/** What somebody looked at, durable before it leaves: what cannot be told of is not shown (45 CFR 170.315(d)(2)). */
async function traced(
  { trace, clock }: PagePorts,
  { session, address }: Visit,
  page: string,
  record: string | undefined,
  request: string,
): Promise<void> {
  if (!trace || !session) return
  const subject = { page, ...(record !== undefined && { record }), client: address, request }
  const actor = `person:${session.person}`
  const entry = { at: clock.now(), action: 'page.view', actor, subject, outcome: 'success' } as const
  await trace.store.commit({ append: [trace.audit.entry(entry)] })
}

/** Who is there. A visitor without a session gets a cookie that forms are bound to, so that nobody can sign him in unseen. */
export async function visitOf(
  { sessions }: Pick<PagePorts, 'sessions'>,
  { origin }: Pick<PageOptions, 'origin'>,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<Visit> {
  const { cookie } = request.headers
  const secret = readCookie(cookie, 'session', origin)
  const session = secret === undefined ? undefined : await sessions.current(secret)
  const device = readCookie(cookie, 'device', origin)
  const client = {
    address: request.ip,
    agent: (request.headers['user-agent'] ?? '').slice(0, 200),
    ...(device !== undefined && { device }),
  }
  if (session) return { ...client, session, csrf: session.csrf }
  let visitor = readCookie(cookie, 'visitor', origin)
  if (visitor === undefined || !/^[\w-]{43}$/.test(visitor)) {
    visitor = randomBytes(32).toString('base64url')
    reply.header('set-cookie', writeCookie('visitor', visitor, origin))
  }
  return { ...client, csrf: createHash('sha256').update(`csrf ${visitor}`).digest('base64url') }
}

/** A path of ours to come back to; anything that could lead elsewhere is `otherwise`. */
export function localPath(text: string, otherwise = '/account'): string {
  const fits =
    text.length <= pageLimits.nextCharacters && /^\/(?![/\\])[\x21-\x7e]*$/.test(text) && !text.includes('\\')
  return fits ? text : otherwise
}

/** A path with the page to come back to after it. */
export function withNext(path: string, next: string): string {
  return next === '' || localPath(next, '') === '' ? path : `${path}?next=${encodeURIComponent(next)}`
}

function isOurs(request: FastifyRequest, { csrf }: Visit, form: Form, origin: string): boolean {
  const brought = Buffer.from(form.get('csrf'))
  const wanted = Buffer.from(csrf)
  return isSameOrigin(request.headers, origin) && brought.length === wanted.length && timingSafeEqual(brought, wanted)
}

/** Where somebody goes first who is not yet who the page needs. */
function missing(needs: Needs, { session }: Visit, now: number, stepUpMs: number): string | undefined {
  if (needs === 'nobody') return undefined
  if (!session) return '/sign-in'
  if (needs === 'person' && session.limited) return '/account/factors'
  if (needs === 'recent' && now - session.authenticatedAt > stepUpMs) return '/sign-in/again'
  return undefined
}

function frameOf({ house }: PageOptions, { session }: Pick<Visit, 'session'>) {
  return { house, skip: words.skip, links: words.links[session ? 'person' : 'nobody'] }
}

function failed(
  { log }: PagePorts,
  options: PageOptions,
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  const { name, code, statusCode } = error as { name?: string; code?: string; statusCode?: number }
  const frame = frameOf(options, {})
  const tell = (status: number, { title, text }: { title: string; text: string }) =>
    sendPage(reply, message(title, text, { status }), frame)
  if (name === 'PageNotFound') return tell(404, words.notFound)
  if (name === 'SlowHashBusy' || name === 'StoreFailed') return tell(503, words.busy)
  if (code === 'too-many-requests') {
    for (const [header, value] of Object.entries((error as { headers?: object }).headers ?? {}))
      reply.header(header, value)
    return tell(429, words.tooMany)
  }
  if (statusCode !== undefined && statusCode < 500) return tell(statusCode, words.notValid)
  log.error('page.failed', { request: request.id, route: request.routeOptions.url ?? 'none', name: name ?? 'none' })
  return tell(500, { ...words.failed, text: `${words.failed.text} ${request.id}` })
}
