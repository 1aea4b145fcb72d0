import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import type { StandingLink } from '../../connect/shl/links.js'
import type { ActivityFrom } from '../../consent/consent.js'
import type { RecordAccess } from '../../direct/access.js'
import type { NewShare, Shared, Taken } from '../../pipeline/share.js'
import { accessTo, mustBeCustodian } from '../access.js'
import type { Caller } from '../caller.js'
import { defined } from '../defined.js'
import type { ApiPorts } from '../ports.js'
import { Problem } from '../problem.js'
import { route } from '../route.js'
import { answer, recordParams, refusal } from '../schemas.js'
import {
  attemptsSchema,
  createdLinkSchema,
  linkFileParams,
  linkOfRecordParams,
  linkParams,
  linksSchema,
  manifestBody,
  manifestSchema,
  newLinkBody,
  recipientQuery,
  revokedSchema,
  takeBody,
  takenSchema,
} from '../shl-schema.js'

/** SMART Health Links: for whoever has one, and for the custodians of the record that it shares. */
export function linkRoutes(app: FastifyInstance, ports: ApiPorts): void {
  publicRoutes(app, ports)
  recordRoutes(app, ports)
}

/** A viewer is a page of any origin, and brings no cookie (SMART Health Links, "CORS"). */
const anyOrigin = {
  'access-control-allow-origin': '*',
  'access-control-expose-headers': 'retry-after',
  'cross-origin-resource-policy': 'cross-origin',
}
const preflight = {
  'access-control-allow-methods': 'GET, POST',
  'access-control-allow-headers': 'content-type',
  'access-control-max-age': '86400',
}

/** What anybody may ask who has the link; what is not there, ended or locked is not found, all alike. */
function publicRoutes(app: FastifyInstance, ports: ApiPorts): void {
  const tag = 'links'
  const open = {
    config: { access: 'public' as const },
    async onRequest(_: FastifyRequest, reply: FastifyReply) {
      reply.headers(anyOrigin)
    },
  }
  const about = { tags: [tag], security: [] }
  const refusals = { 404: refusal('No such link, or it ended'), 429: refusal('Wait'), 503: refusal('Not now') }
  const jose = (description: string) => ({ description, content: { 'application/jose': { schema: z.string() } } })
  const sharesOf = () => {
    if (!ports.shares) throw new Problem('unavailable')
    return ports.shares
  }

  for (const url of ['/shl/:id', '/shl-file/:location'])
    app.route({
      ...{ ...open, method: 'OPTIONS', url, schema: { hide: true } },
      handler: (_, reply) => reply.code(204).headers(preflight).send(),
    })

  app.route<{ Params: { id: string }; Body: z.output<typeof manifestBody> }>({
    ...{ ...open, method: 'POST', url: '/shl/:id' },
    schema: {
      ...about,
      operationId: 'linkManifest',
      summary: 'The manifest of a SMART Health Link',
      params: linkParams,
      body: manifestBody,
      response: {
        200: answer('The files, each a JWE under the key of the link', manifestSchema),
        401: answer('The passcode is not right', attemptsSchema),
        400: refusal('A value is not valid'),
        ...refusals,
      },
    },
    async handler({ params, body, ip }, reply) {
      const found = await sharesOf().manifest(params.id, { ...defined(body), address: ip })
      switch (found.kind) {
        case 'manifest':
          return { files: [...found.files] }
        case 'wrong-passcode':
          return reply.code(401).send({ remainingAttempts: found.remainingAttempts })
        case 'busy':
          throw new Problem('too-many-requests', { 'retry-after': '2' })
        case 'inactive':
          throw new Problem('not-found')
      }
    },
  })

  app.route<{ Params: { id: string }; Querystring: z.output<typeof recipientQuery> }>({
    ...{ ...open, method: 'GET', url: '/shl/:id' },
    schema: {
      ...about,
      operationId: 'linkDirectFile',
      summary: 'The file of a SMART Health Link with flag U',
      params: linkParams,
      querystring: recipientQuery,
      response: { 200: jose('A JWE under the key of the link'), 400: refusal('No recipient'), ...refusals },
    },
    async handler({ params, query: { recipient }, ip }, reply) {
      const found = await sharesOf().direct(params.id, { recipient, address: ip })
      if (!found) throw new Problem('not-found')
      return sendJose(reply, found.jwe)
    },
  })

  app.route<{ Params: { location: string } }>({
    ...{ ...open, method: 'GET', url: '/shl-file/:location' },
    schema: {
      ...about,
      operationId: 'linkFile',
      summary: 'A file at the address that a manifest gave, for an hour at most',
      params: linkFileParams,
      response: { 200: jose('A JWE under the key of the link'), ...refusals },
    },
    async handler({ params }, reply) {
      const jwe = await sharesOf().file(params.location)
      if (jwe === undefined) throw new Problem('not-found')
      return sendJose(reply, jwe)
    },
  })
}

function sendJose(reply: FastifyReply, jwe: string): FastifyReply {
  return reply.type('application/jose').serializer(String).send(jwe)
}

const iso = (at: number) => new Date(at).toISOString()

function recordRoutes(app: FastifyInstance, ports: ApiPorts): void {
  const shared = { access: 'sharing', tag: 'links', activity: 'none' } as const
  const base = '/api/v1/records/:recordId/links'

  route(app, ports, {
    ...{ ...shared, method: 'POST', path: base, action: 'links.create', creates: true },
    summary: 'Share a record, or a part of it, by a SMART Health Link',
    description: 'What is in it is as the record is now. The link is shown now and never again.',
    params: recordParams,
    body: newLinkBody,
    answers: createdLinkSchema,
    async handle({ caller, params: { recordId }, body, request, subject, entry }) {
      const { shares, access, from } = await custodianOf(ports, caller, recordId, request)
      subject['record'] = access.record
      const made = await shares.share(access, asked(body, ports.clock.now()), from, () => ({ append: [entry()] }))
      if (made.kind !== 'shared') throw notShared(made)
      const { uri, items, notCarried } = made
      return { link: view(made.link), uri, items, notCarried }
    },
  })

  route(app, ports, {
    ...{ ...shared, method: 'GET', path: base, action: 'links.list' },
    summary: 'Links by which a record is or was shared, newest first; never more than a page',
    params: recordParams,
    answers: linksSchema,
    async handle({ caller, params: { recordId }, request, subject }) {
      const { shares, access } = await custodianOf(ports, caller, recordId, request)
      subject['record'] = access.record
      return { links: (await shares.list(access.record)).map(view) }
    },
  })

  route(app, ports, {
    ...{ ...shared, method: 'DELETE', path: `${base}/:link`, action: 'links.revoke' },
    summary: 'End a link at once, with its files',
    params: linkOfRecordParams,
    answers: revokedSchema,
    async handle({ caller, params: { recordId, link }, request, subject, entry }) {
      const { shares, access, from } = await custodianOf(ports, caller, recordId, request)
      Object.assign(subject, { record: access.record, link })
      if (!(await shares.revoke(access.record, link, from, () => ({ append: [entry()] }))))
        throw new Problem('not-found')
      return { revoked: true as const }
    },
  })

  route(app, ports, {
    ...{ ...shared, method: 'POST', path: `${base}/accept`, action: 'links.accept', completes: true },
    summary: 'Take into a record what a SMART Health Link of somebody else holds',
    description: 'It is looked through like documents of any sender: what seems to be of somebody else waits.',
    params: recordParams,
    body: takeBody,
    answers: takenSchema,
    async handle({ caller, params: { recordId }, body, request, subject, entry }) {
      const { shares, from } = sharerOf(ports, caller, request)
      const access = await accessTo(ports, caller, recordId)
      subject['record'] = access.record
      const taken = await shares.take(access, defined(body), from, () => ({ append: [entry()] }))
      if (taken.kind !== 'taken') throw notTaken(taken)
      const { kind: _, documents, issuers, notes, ...more } = taken
      return { ...more, documents: [...documents], issuers: [...issuers], notes: [...notes] }
    },
  })
}

function sharerOf({ shares }: ApiPorts, { by, reach }: Caller, { ip }: FastifyRequest) {
  if (!shares) throw new Problem('unavailable')
  if (reach.kind !== 'person') throw new Problem('access-denied')
  const from: ActivityFrom = { by, avenue: 'page', person: reach.person, address: ip }
  return { shares, from }
}

/** A custodian of the record. Sharing changes nothing that the record says, so that one may also end it in one that is read-only. */
async function custodianOf(ports: ApiPorts, caller: Caller, recordId: string, request: FastifyRequest) {
  const sharer = sharerOf(ports, caller, request)
  const access: RecordAccess = await accessTo(ports, { ...caller, changes: false }, recordId)
  mustBeCustodian(access)
  return { ...sharer, access }
}

function asked({ expiresAt, ...given }: z.output<typeof newLinkBody>, now: number): NewShare {
  return { ...defined(given), ...(expiresAt !== undefined && { termMs: Date.parse(expiresAt) - now }) }
}

function view({ createdAt, endsAt, ...link }: StandingLink) {
  return { ...link, createdAt: iso(createdAt), expiresAt: iso(endsAt) }
}

function notShared(made: Exclude<Shared, { readonly kind: 'shared' }>): Problem {
  const invalid = (where: string, detail: string) => new Problem('invalid-request', {}, [{ where, detail }])
  switch (made.kind) {
    case 'unknown-item':
      return invalid('body.ids', 'The record has no such entry')
    case 'nothing':
      return new Problem('not-possible', {}, [{ where: 'body', detail: 'Nothing in the record meets this' }])
    case 'too-large':
      return new Problem('not-possible', {}, [{ where: 'body', detail: 'This is more than one link holds' }])
    case 'refused':
      switch (made.problem) {
        case 'bad-label':
          return invalid('body.label', 'One line')
        case 'bad-passcode':
          return invalid('body.passcode', 'Six characters or more, and none with `direct`')
        case 'bad-term':
          return invalid('body.expiresAt', 'Later than now, and within 366 days')
        case 'bad-files':
          return new Problem('not-possible', {}, [{ where: 'body', detail: 'This is more than one link holds' }])
        case 'too-many':
          return new Problem('not-possible', {}, [{ where: 'path.recordId', detail: 'It has as many links as it may' }])
      }
  }
}

function notTaken(taken: Exclude<Taken, { readonly kind: 'taken' }>): Problem {
  switch (taken.kind) {
    case 'refused':
      return new Problem('link-unreadable', {}, [{ where: 'body.link', detail: taken.detail }])
    case 'passcode': {
      const left = taken.remainingAttempts
      const detail = left === undefined ? 'It needs its passcode' : `Not right; tries that are left: ${left}`
      return new Problem('link-passcode', {}, [{ where: 'body.passcode', detail }])
    }
    case 'inactive':
      return new Problem('link-ended')
    case 'unreachable':
      return new Problem('link-unreachable', {}, [{ where: 'body.link', detail: taken.detail.slice(0, 300) }])
    case 'nothing':
      return new Problem(
        'link-empty',
        {},
        taken.notes.map((detail) => ({ where: 'body.link', detail })),
      )
    case 'denied':
      return new Problem('access-denied', {}, undefined, 11)
  }
}
