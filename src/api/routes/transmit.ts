import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { parseAddress } from '../../direct/address.js'
import { type Refused, refusals, type Undecided } from '../../direct/refusal.js'
import type { ExportRequest } from '../../pipeline/export.js'
import { isEmail } from '../../pipeline/newuser-subject.js'
import type { Transmission, Transmit, TransmitOutcome } from '../../pipeline/transmit.js'
import { recipientStates } from '../../spool/submission.js'
import { accessTo, mustBeCustodian, mustBeKnown } from '../access.js'
import type { Caller } from '../caller.js'
import type { ApiPorts } from '../ports.js'
import { Problem } from '../problem.js'
import { route } from '../route.js'
import { itemTypes, pageQuery, recordParams } from '../schemas.js'

const time = z.string().meta({ format: 'date-time', description: 'RFC 3339, UTC' })
const date = z.string().regex(/^\d{4}(-\d{2}(-\d{2})?)?$/)
const address = z.string().min(3).max(320)

const transmitBody = z.strictObject({
  to: address.optional().describe('Direct address of the recipient; or `email`'),
  email: address.optional().describe('Ordinary e-mail, which nothing protects on its way'),
  unprotectedAcknowledged: z.literal(true).optional().describe('The person was told so: needed for `email`'),
  from: address.optional().describe('Direct address of the record; its first where absent'),
  patient: z
    .string()
    .min(1)
    .max(200)
    .optional()
    .describe('What the patient is called; the name of the record where absent'),
  note: z.string().max(4000).optional(),
  format: z.enum(['ccd', 'ccr', 'xdm']),
  types: z.array(itemTypes).max(50).optional(),
  fromDate: date.optional(),
  toDate: date.optional(),
  items: z.array(z.string().min(1).max(128)).max(200).optional().describe('Entries picked by id'),
})

const transmittedSchema = z.object({ id: z.string(), items: z.int() })

const transmissionsSchema = z.object({
  transmissions: z.array(
    z.object({
      id: z.string(),
      at: time,
      to: z.string(),
      from: z.string().optional(),
      way: z.enum(['direct', 'e-mail']),
      format: z.enum(['ccd', 'ccr', 'xdm']),
      items: z.int(),
      state: z.enum(recipientStates).optional().describe('Of Direct mail, while the sent message is kept'),
      reason: z.string().optional(),
    }),
  ),
  next: z.string().optional(),
})

/** Sending a part of a record to a provider, or by ordinary e-mail to whomever the patient names. */
export function transmitRoutes(app: FastifyInstance, ports: ApiPorts): void {
  const path = '/api/v1/records/:recordId/transmissions'
  const tag = 'transmissions'

  async function custodianOf(caller: Caller, named: string, subject: Record<string, string>) {
    const access = await accessTo(ports, caller, named)
    subject['record'] = access.record
    mustBeCustodian(access)
    await mustBeKnown(ports, caller, named)
    if (!ports.transmissions) throw new Problem('unavailable')
    return { transmissions: ports.transmissions, access }
  }

  route(app, ports, {
    ...{ method: 'POST', access: 'messages:send', path, action: 'record.transmit', activity: 'none', tag },
    summary: 'Send a part of the record',
    description:
      'Refused by name, and nothing queued, where the recipient is not trusted or has no certificate. The message and its line in the activity history are one commit.',
    params: recordParams,
    body: transmitBody,
    answers: transmittedSchema,
    async handle({ caller, params: { recordId }, body, subject, request, reply }) {
      const { transmissions, access } = await custodianOf(caller, recordId, subject)
      const name = body.patient ?? (await ports.people?.records.get(access.record))?.name ?? 'the patient'
      const sender = body.from === undefined ? undefined : parseAddress(body.from)
      if (body.from !== undefined && !sender) throw notAddress('body.from')
      const outcome = await transmissions.transmit({
        ...{ record: access.record, to: recipientOf(body), chosen: chosenOf(body), patient: name },
        ...(sender && { from: sender }),
        ...(body.note !== undefined && { note: body.note }),
        acting: { ...access.actor, address: request.ip },
      })
      if (outcome.kind !== 'transmitted') throw problemOf(outcome)
      subject['transmission'] = outcome.id
      reply.code(202)
      return { id: outcome.id, items: outcome.items }
    },
  })

  route(app, ports, {
    ...{ method: 'GET', access: 'record:read', path, action: 'record.transmissions', tag },
    summary: 'What was sent out of a record, newest first, and what became of it',
    params: recordParams,
    query: pageQuery,
    answers: transmissionsSchema,
    async handle({ caller, params: { recordId }, query: { limit, cursor }, subject }) {
      const { transmissions, access } = await custodianOf(caller, recordId, subject)
      const page = await transmissions.list(access.record, { limit, ...(cursor !== undefined && { before: cursor }) })
      if (!page) throw new Problem('invalid-cursor')
      return { ...page, transmissions: page.transmissions.map(viewOf) }
    },
  })
}

type Body = z.output<typeof transmitBody>

function recipientOf({ to, email, unprotectedAcknowledged }: Body): Transmit['to'] {
  if ((to === undefined) === (email === undefined))
    throw new Problem('invalid-request', {}, [{ where: 'body', detail: 'Name either `to` or `email`' }])
  if (to !== undefined) {
    const address = parseAddress(to)
    if (!address) throw notAddress('body.to')
    return { kind: 'direct', address }
  }
  if (!unprotectedAcknowledged)
    throw new Problem('invalid-request', {}, [
      { where: 'body.unprotectedAcknowledged', detail: 'Ordinary e-mail is not protected: the person must say so' },
    ])
  if (email === undefined || !isEmail(email)) throw notAddress('body.email')
  return { kind: 'e-mail', address: email, unprotected: true }
}

function chosenOf({ format, types, fromDate, toDate, items }: Body): ExportRequest {
  return {
    format,
    ...(types && { types }),
    ...(fromDate !== undefined && { from: fromDate }),
    ...(toDate !== undefined && { to: toDate }),
    ...(items && { ids: items }),
  }
}

function notAddress(where: string): Problem {
  return new Problem('invalid-request', {}, [{ where, detail: 'Not a plain address' }])
}

/** Why it cannot be sent to a recipient, by name and with what to do. */
export function notSendable({ reason }: Refused, where: string): Problem {
  return new Problem('not-sendable', {}, [{ where, detail: `${reason}: ${refusals[reason].help}` }])
}

/** Whether it can be sent is not known now. */
export function notKnownYet({ cause }: Undecided): Problem {
  return new Problem('unavailable', { 'retry-after': '60' }, [{ where: 'body.to', detail: cause }])
}

function problemOf(outcome: Exclude<TransmitOutcome, { readonly kind: 'transmitted' }>): Problem {
  const told = (where: string, detail: string) => [{ where, detail }]
  switch (outcome.kind) {
    case 'refused':
      return notSendable(outcome, 'body.to')
    case 'undecided':
      return notKnownYet(outcome)
    case 'no-address':
      return new Problem('not-possible', {}, told('body.from', 'The record has no live address to send from'))
    case 'too-often':
      return new Problem('too-many-requests', { 'retry-after': '3600' })
    case 'no-relay':
      return new Problem('not-possible', {}, told('body.email', 'Nothing leaves here by ordinary e-mail'))
    case 'nothing':
      return new Problem('not-possible', {}, told('body', 'The record shows nothing of what was chosen'))
    case 'too-many':
      return new Problem(
        'invalid-request',
        {},
        told('body', `more than ${outcome.most} entries; choose types or dates`),
      )
    case 'too-large':
      return new Problem('invalid-request', {}, told('body', `more than ${outcome.mostBytes} bytes; choose less`))
    case 'busy':
      return new Problem('unavailable', { 'retry-after': '5' })
    case 'failed':
      return new Problem('internal')
  }
}

function viewOf({ at, ...told }: Transmission) {
  return { ...told, at: new Date(at).toISOString() }
}
