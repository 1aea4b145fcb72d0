import { createHash } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import type { z } from 'zod'
import { type DirectAddress, domainOf, parseAddress } from '../../direct/address.js'
import type { MessageContext } from '../../direct/context.js'
import { type RefusalReason, type Refused, refusals } from '../../direct/refusal.js'
import { composeLetter } from '../../pipeline/compose.js'
import type { SubmitRequest } from '../../pipeline/submit.js'
import { contentId } from '../../spool/payload.js'
import type { Submission } from '../../spool/submission.js'
import type { ApiPorts, apiLimits, Sending } from '../ports.js'
import { type FieldError, Problem } from '../problem.js'
import { route } from '../route.js'
import {
  idempotencyKey,
  mailboxParams,
  pageQuery,
  sendBody,
  submissionParams,
  submissionSchema,
  submissionsSchema,
  submittedSchema,
} from '../schemas.js'
import { mailboxOf } from './messages.js'
import { notKnownYet, notSendable } from './transmit.js'

export function sendingRoutes(app: FastifyInstance, ports: ApiPorts, limits: typeof apiLimits): void {
  const base = '/api/v1/mailboxes/:address'
  const tag = 'messages'

  route(app, ports, {
    method: 'POST',
    path: `${base}/messages`,
    access: 'messages:send',
    action: 'message.submit',
    summary: 'Send a message from this mailbox',
    description:
      'Answers once the message is durable. Whom it does not reach is told by one delivery status notification in this mailbox, and by the submission; confirmDelivery asks for a notice of success too.',
    tag,
    params: mailboxParams,
    headers: idempotencyKey,
    body: sendBody,
    bodyBytes: limits.sendBytes,
    answers: submittedSchema,
    async handle({ caller, params, body, request, reply, subject }) {
      subject['mailbox'] = params.address
      const { address } = await mailboxOf(ports, caller, params.address)
      const sending = sendingOf(ports)
      const key = request.headers['idempotency-key']
      const raw = request.headers['content-type']?.trim().toLowerCase().startsWith('message/rfc822') === true
      const message = asked(body, address, raw, ports.clock.now())
      // A patient's reply that nobody could take is refused to their face, and not by a notice an hour later.
      const to = message.to ?? []
      const obstacle =
        caller.reach.kind === 'person' && to.length > 0 ? await ports.transmissions?.check(address, to) : undefined
      if (obstacle) throw obstacle.kind === 'refused' ? notSendable(obstacle, 'body.to') : notKnownYet(obstacle)
      const outcome = await sending.submit({
        ...message,
        by: caller.by,
        ...(typeof key === 'string' && { messageId: `<${contentId(address, key)}@${domainOf(address)}>` }),
      })
      if (outcome.kind === 'refused') throw problemOf(outcome)
      subject['submission'] = outcome.id
      reply.code(202).header('location', `/api/v1/mailboxes/${encodeURIComponent(address)}/submissions/${outcome.id}`)
      const { id, messageId, duplicate } = outcome
      return { id, messageId, duplicate }
    },
  })

  route(app, ports, {
    method: 'GET',
    path: `${base}/submissions`,
    access: 'messages:read',
    action: 'submissions.list',
    summary: 'Messages sent from this mailbox, newest first',
    tag,
    params: mailboxParams,
    query: pageQuery,
    answers: submissionsSchema,
    async handle({ caller, params, query, subject }) {
      subject['mailbox'] = params.address
      const { address, mailbox } = await mailboxOf(ports, caller, params.address)
      const page = await sendingOf(ports).submissions.list(mailbox, query)
      if (page.kind === 'bad-cursor') throw new Problem('invalid-cursor')
      subject['count'] = String(page.submissions.length)
      const submissions = page.submissions.map((one) => view(one, address))
      return { submissions, ...(page.next === undefined ? {} : { next: page.next }) }
    },
  })

  route(app, ports, {
    method: 'GET',
    path: `${base}/submissions/:id`,
    access: 'messages:read',
    action: 'submission.read',
    summary: 'What became of a message, for each recipient',
    description:
      'A recipient who does not say `processed` in time, or `dispatched` where the message asks for that, fails: his copy is cancelled where it still waits, and one notice says so. What comes after an end changes nothing.',
    tag,
    params: submissionParams,
    answers: submissionSchema,
    async handle({ caller, params, subject }) {
      Object.assign(subject, { mailbox: params.address, submission: params.id })
      const { address, mailbox } = await mailboxOf(ports, caller, params.address)
      const stored = await sendingOf(ports).submissions.get(mailbox, params.id)
      if (!stored) throw new Problem('not-found')
      return view(stored.submission, address)
    },
  })
}

function sendingOf({ sending }: ApiPorts): Sending {
  if (!sending) throw new Problem('unavailable')
  return sending
}

/** The request to submit, from a whole message or from its pieces. */
function asked(
  body: z.output<typeof sendBody>,
  from: DirectAddress,
  raw: boolean,
  at: number,
): Omit<SubmitRequest, 'by'> {
  if ('original' in body) return { from, message: Buffer.from(body.original, raw ? 'latin1' : 'utf8') }
  const errors: FieldError[] = []
  const addresses = (field: 'to' | 'cc') =>
    body[field].flatMap((text, i) => {
      const address = parseAddress(text)
      if (!address) errors.push({ where: `body.${field}.${i}`, detail: 'Not a plain address' })
      return address ?? []
    })
  const [to, cc] = [addresses('to'), addresses('cc')]
  const attachments = body.attachments.map(({ name, mediaType, content }, i) => {
    if (!/^[A-Za-z0-9+/]*={0,2}$/.test(content) || content.length % 4 !== 0)
      errors.push({ where: `body.attachments.${i}.content`, detail: 'Not base64' })
    return { name, mediaType, bytes: Buffer.from(content, 'base64') }
  })
  if (errors.length > 0) throw new Problem('invalid-request', {}, errors.slice(0, 20))
  const { subject, text, inReplyTo, confirmDelivery, context } = body
  const composed = composeLetter({
    from,
    to,
    cc,
    subject,
    text,
    attachments,
    at,
    ...(inReplyTo !== undefined && { inReplyTo }),
    ...(confirmDelivery && { confirmDelivery }),
    // What is absent in JSON is no property here either.
    ...(context && { context: context as Partial<MessageContext> }),
  })
  if (composed.kind === 'refused') throw problemOf(composed)
  const fingerprint = createHash('sha256').update(JSON.stringify(body)).digest('hex')
  return { from, to: [...new Set([...to, ...cc])], message: composed.message, fingerprint }
}

function problemOf({ reason, detail }: Refused): Problem {
  const errors = [{ where: reason, detail: [refusals[reason].help, detail].filter(Boolean).join(' ').slice(0, 300) }]
  switch (reason) {
    case 'message-id-reused':
      return new Problem('message-id-reused', {}, errors)
    case 'message-too-large':
      return new Problem('too-large', {}, errors)
    default:
      return new Problem('not-sendable', {}, errors)
  }
}

function view(
  { id, messageId, subject, submittedAt, sizeBytes, asks, recipients }: Submission,
  address: DirectAddress,
) {
  const time = (at: number) => new Date(at).toISOString()
  return {
    ...{ id, mailbox: address, messageId, subject, sizeBytes },
    submittedAt: time(submittedAt),
    ...(asks && { asks }),
    recipients: recipients.map(({ recipient, state, since, moments = {}, reason, detail, status }) => ({
      ...{ recipient, state, since: time(since) },
      moments: Object.fromEntries(Object.entries(moments).map(([name, at]) => [name, time(at)])),
      ...(reason !== undefined && { reason }),
      ...(reason !== undefined && isRefusal(reason) && { help: refusals[reason].help }),
      ...(detail !== undefined && { detail }),
      ...(status !== undefined && { status }),
    })),
  }
}

function isRefusal(reason: string): reason is RefusalReason {
  return Object.hasOwn(refusals, reason)
}
