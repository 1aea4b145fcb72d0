import type { FastifyInstance, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { parseAddress } from '../../direct/address.js'
import type { Caller } from '../caller.js'
import type { ApiPorts } from '../ports.js'
import { Problem } from '../problem.js'
import { route } from '../route.js'

const ticket = z.string().min(1).max(100).describe('From the right answer, in this session')

const acceptBody = z.strictObject({
  ticket,
  record: z.string().min(1).max(100),
  address: z.string().min(3).max(320).optional().describe('Of the record; its first live one where absent'),
  confirmed: z.boolean().optional().describe('It is for this record, whatever it seems'),
})
const acceptedSchema = z.object({ address: z.string(), message: z.string(), documents: z.int() })
const rejectedSchema = z.object({ state: z.literal('refused') })

/** Direct mail that waits for somebody without an address: into a record of theirs, or back with word to its sender. */
export function heldMailRoutes(app: FastifyInstance, ports: ApiPorts): void {
  const shared = { method: 'POST', access: 'pickup', tag: 'pickup', activity: 'none', completes: true } as const
  const base = '/api/v1/pickup/message'

  route(app, ports, {
    ...{ ...shared, path: `${base}/accept`, action: 'pickup.accept-message' },
    summary: 'Take the message into a record and its mailbox',
    description: 'Its documents come into the record as by any mail. Where the record has no address, take one first.',
    body: acceptBody,
    answers: acceptedSchema,
    async handle({ caller, request, subject, body }) {
      const { newcomers, person, holder, acting } = personOf(ports, caller, request)
      subject['record'] = body.record
      const address = body.address === undefined ? undefined : parseAddress(body.address)
      if (body.address !== undefined && !address)
        throw new Problem('invalid-request', {}, [{ where: 'body.address', detail: 'Not a plain address' }])
      const outcome = await newcomers.claim({
        ...{ ticket: body.ticket, holder, person, record: body.record, from: acting },
        ...(address && { address }),
        ...(body.confirmed !== undefined && { confirmed: body.confirmed }),
      })
      switch (outcome.kind) {
        case 'claimed': {
          const { address: to, message, documents } = outcome
          Object.assign(subject, { mailbox: to, message })
          return { address: to, message, documents }
        }
        case 'nothing':
        case 'no-such-record':
          throw new Problem('not-found')
        case 'address-needed':
          throw new Problem('not-possible', {}, [
            { where: 'body.address', detail: 'The record has no such live address; take one first' },
          ])
        case 'other-patient':
          throw new Problem(
            'patient-mismatch',
            {},
            outcome.reasons.map((detail) => ({ where: 'body.record', detail })),
          )
      }
    },
  })

  route(app, ports, {
    ...{ ...shared, path: `${base}/reject`, action: 'pickup.reject-message' },
    summary: 'Do not take the message: its sender is told that it failed',
    body: z.strictObject({ ticket }),
    answers: rejectedSchema,
    async handle({ caller, request, body }) {
      const { newcomers, holder } = personOf(ports, caller, request)
      if (!(await newcomers.decline(body.ticket, holder, caller.by))) throw new Problem('not-found')
      return { state: 'refused' as const }
    },
  })
}

/** The person who asks, under whose session the question was answered. */
function personOf({ newcomers }: ApiPorts, { by, reach }: Caller, request: FastifyRequest) {
  if (!newcomers) throw new Problem('unavailable')
  if (reach.kind !== 'person') throw new Problem('access-denied')
  const { person, session } = reach
  return {
    ...{ newcomers, person, holder: `session:${session}` },
    acting: { by, avenue: 'page' as const, person, address: request.ip },
  }
}
