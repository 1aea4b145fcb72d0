import { Readable } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import type { DirectAddress } from '../../direct/address.js'
import { parseAddress } from '../../direct/address.js'
import type { Address } from '../../directory/directory.js'
import type { StoredMessage } from '../../mailbox/message.js'
import { hasWhole } from '../../people/people.js'
import { together } from '../../ports/store.js'
import type { Caller } from '../caller.js'
import { attachmentDisposition, safeMediaType } from '../download.js'
import type { ApiPorts, apiLimits } from '../ports.js'
import { Problem } from '../problem.js'
import { route } from '../route.js'
import {
  attachmentParams,
  flagsBody,
  ifMatch,
  mailboxesSchema,
  mailboxParams,
  messageParams,
  messageSchema,
  messagesQuery,
  messagesSchema,
  pageQuery,
  trailSchema,
} from '../schemas.js'
import { trailView } from './trail.js'

/** A mailbox that the caller may see; anything else is not found, whether it exists or not. */
export async function mailboxOf(ports: ApiPorts, caller: Caller, text: string) {
  const address = parseAddress(text)
  const known = address && (await ports.addresses.get(address))
  if (!address || !known || !(await reaches(ports, caller, known))) throw new Problem('not-found')
  return { address, mailbox: known.mailbox }
}

/** A person reaches the mailboxes of records that they have whole: mail is of all kinds, and no rule divides it. */
async function reaches({ people }: ApiPorts, { reach }: Caller, known: Pick<Address, 'address' | 'record'>) {
  if (reach.kind === 'gateway') return true
  if (reach.kind === 'address') return reach.address === known.address
  if (reach.kind !== 'person' || known.record === undefined) return false
  const membership = await people?.records.membership(reach.person, known.record)
  return membership !== undefined && hasWhole(membership)
}

async function mailboxesOfPerson({ people, addresses }: ApiPorts, person: string): Promise<readonly Address[]> {
  const held = (await people?.records.of(person)) ?? []
  const own = held.filter(hasWhole)
  return (await Promise.all(own.map(({ record }) => addresses.ofRecord(record.id)))).flat()
}

async function messageOf(ports: ApiPorts, mailbox: string, id: string): Promise<StoredMessage> {
  const stored = await ports.mailbox.get(mailbox, id)
  if (!stored) throw new Problem('not-found')
  return stored
}

/** A message as clients read it: times in RFC 3339, the mailbox by its address. */
function messageView({ message, version }: StoredMessage, address: DirectAddress) {
  const { date, receivedAt, ...rest } = message
  return {
    ...rest,
    mailbox: address,
    version: etag(version),
    receivedAt: new Date(receivedAt).toISOString(),
    ...(date !== undefined && Math.abs(date) <= 8.64e15 ? { date: new Date(date).toISOString() } : {}),
  }
}

function etag(version: number): string {
  return `"${version}"`
}

/** The version an If-Match names; undefined for `*` or none (RFC 9110 §13.1.1). Anything else matches nothing. */
function versionOf(header: string | undefined): number | undefined {
  if (header === undefined || header.trim() === '*') return undefined
  const quoted = /^\s*"(\d{1,16})"\s*$/.exec(header)
  return quoted ? Number(quoted[1]) : -1
}

export function messageRoutes(app: FastifyInstance, ports: ApiPorts, limits: typeof apiLimits): void {
  const base = '/api/v1/mailboxes'
  const tag = 'messages'

  route(app, ports, {
    method: 'GET',
    path: base,
    access: 'messages:read',
    action: 'mailboxes.list',
    summary: 'Mailboxes that the token may see',
    tag,
    query: pageQuery,
    answers: mailboxesSchema,
    async handle({ caller, query }) {
      if (caller.reach.kind === 'address') {
        const own = await ports.addresses.get(caller.reach.address)
        return { mailboxes: own ? [own] : [] }
      }
      if (caller.reach.kind === 'person')
        return { mailboxes: [...(await mailboxesOfPerson(ports, caller.reach.person))] }
      if (caller.reach.kind !== 'gateway') return { mailboxes: [] }
      const after = query.cursor === undefined ? {} : { after: query.cursor }
      const { items, next } = await ports.addresses.list({ limit: query.limit, ...after })
      return { mailboxes: items, ...(next === undefined ? {} : { next }) }
    },
  })

  route(app, ports, {
    method: 'GET',
    path: `${base}/:address/messages`,
    access: 'messages:read',
    action: 'messages.list',
    summary: 'Messages, newest first',
    description: 'A filtered page may be short, or empty, and still have a next one.',
    tag,
    params: mailboxParams,
    query: messagesQuery,
    answers: messagesSchema,
    async handle({ caller, params, query, subject }) {
      subject['mailbox'] = params.address
      const { address, mailbox } = await mailboxOf(ports, caller, params.address)
      const page = await ports.mailbox.list(mailbox, filterOf(query))
      if (page.kind === 'bad-cursor') throw new Problem('invalid-cursor')
      subject['count'] = String(page.messages.length)
      const messages = page.messages.map((stored) => messageView(stored, address))
      return { messages, unreadable: page.unreadable, ...(page.next === undefined ? {} : { next: page.next }) }
    },
  })

  route(app, ports, {
    method: 'GET',
    path: `${base}/:address/messages/:id`,
    access: 'messages:read',
    action: 'message.read',
    summary: 'One message',
    tag,
    params: messageParams,
    answers: messageSchema,
    async handle({ caller, params, subject, reply }) {
      Object.assign(subject, { mailbox: params.address, message: params.id })
      const { address, mailbox } = await mailboxOf(ports, caller, params.address)
      const stored = await messageOf(ports, mailbox, params.id)
      reply.header('etag', etag(stored.version))
      return messageView(stored, address)
    },
  })

  route(app, ports, {
    method: 'PATCH',
    path: `${base}/:address/messages/:id`,
    access: 'messages:write',
    action: 'message.flag',
    summary: 'Set flags of a message',
    description: 'Flags that are not named stay as they are. Change and audit entry are one commit.',
    tag,
    params: messageParams,
    headers: ifMatch,
    body: flagsBody,
    answers: messageSchema,
    async handle({ caller, params, body, subject, request, reply, entry }) {
      Object.assign(subject, { mailbox: params.address, message: params.id })
      const { address, mailbox } = await mailboxOf(ports, caller, params.address)
      const version = versionOf(request.headers['if-match'])
      const flags = Object.fromEntries(Object.entries(body).filter(([, value]) => value !== undefined))
      for (let round = 0; round < limits.changeRounds; round++) {
        const change = await ports.mailbox.changeFlags(mailbox, params.id, flags, version)
        if (change.kind === 'missing') throw new Problem('not-found')
        if (change.kind === 'stale') throw new Problem('version-mismatch', { etag: etag(change.version) })
        const outcome = await ports.store.commit(together(change.parts, { append: [entry()] }))
        if (outcome.kind !== 'committed') continue
        const stored = await messageOf(ports, mailbox, params.id)
        reply.header('etag', etag(stored.version))
        return messageView(stored, address)
      }
      throw new Problem('conflict')
    },
  })

  route(app, ports, {
    method: 'GET',
    path: `${base}/:address/messages/:id/original`,
    access: 'messages:read',
    action: 'message.original',
    summary: 'The verified message itself, byte for byte',
    tag,
    params: messageParams,
    answers: { description: 'The message', content: { 'message/rfc822': { schema: z.string() } } },
    async handle({ caller, params, subject, reply }) {
      Object.assign(subject, { mailbox: params.address, message: params.id })
      const { mailbox } = await mailboxOf(ports, caller, params.address)
      const { message } = await messageOf(ports, mailbox, params.id)
      const bytes = await ports.mailbox.original(mailbox, params.id)
      if (!bytes) throw new Problem('unreadable')
      reply.header('content-type', 'message/rfc822')
      reply.header('content-length', message.sizeBytes)
      reply.header('content-disposition', attachmentDisposition(`${message.id}.eml`, 'message.eml'))
      return Readable.from(bytes, { objectMode: false })
    },
  })

  route(app, ports, {
    method: 'GET',
    path: `${base}/:address/messages/:id/attachments/:index`,
    access: 'messages:read',
    action: 'attachment.read',
    summary: 'The bytes of one attachment',
    tag,
    params: attachmentParams,
    answers: { description: 'The attachment', content: { 'application/octet-stream': { schema: z.string() } } },
    async handle({ caller, params, subject, reply }) {
      Object.assign(subject, { mailbox: params.address, message: params.id, attachment: params.index })
      const { mailbox } = await mailboxOf(ports, caller, params.address)
      const { message } = await messageOf(ports, mailbox, params.id)
      const named = /^\d{1,4}$/.test(params.index) ? Number(params.index) : -1
      if (!message.attachments.some(({ index }) => index === named)) throw new Problem('not-found')
      const found = await ports.mailbox.attachment(mailbox, params.id, named)
      if (!found) throw new Problem('unreadable')
      const { attachment, bytes } = found
      reply.header('content-type', safeMediaType(attachment.mediaType))
      reply.header('content-disposition', attachmentDisposition(attachment.name, `attachment-${named}`))
      return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
    },
  })

  route(app, ports, {
    method: 'GET',
    path: `${base}/:address/messages/:id/trail`,
    access: 'messages:read',
    action: 'message.trail',
    summary: 'How the message came here, step by step',
    description: 'Steps of other recipients of the same message are left out.',
    tag,
    params: messageParams,
    answers: trailSchema,
    async handle({ caller, params, subject }) {
      Object.assign(subject, { mailbox: params.address, message: params.id })
      const { address, mailbox } = await mailboxOf(ports, caller, params.address)
      const { message } = await messageOf(ports, mailbox, params.id)
      subject['spool'] = message.spoolId
      const steps = await ports.trail.read(message.spoolId)
      const own = steps.filter(({ recipient }) => recipient === undefined || recipient === address)
      return trailView(message.spoolId, own)
    },
  })
}

function filterOf(query: z.output<typeof messagesQuery>) {
  const from = query.from === undefined ? undefined : parseAddress(query.from)
  if (query.from !== undefined && !from) {
    throw new Problem('invalid-request', {}, [{ where: 'query.from', detail: 'Not a plain address' }])
  }
  return {
    limit: query.limit,
    ...(query.cursor === undefined ? {} : { cursor: query.cursor }),
    ...(query.unread === undefined ? {} : { unread: query.unread === 'true' }),
    ...(query.flagged === undefined ? {} : { flagged: query.flagged === 'true' }),
    ...(query.hasAttachment === undefined ? {} : { hasAttachment: query.hasAttachment === 'true' }),
    ...(from === undefined ? {} : { from }),
    ...(query.since === undefined ? {} : { since: Date.parse(query.since) }),
    ...(query.until === undefined ? {} : { until: Date.parse(query.until) }),
    ...(query.subject === undefined ? {} : { subject: query.subject }),
  }
}
