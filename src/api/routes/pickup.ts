import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { PatientConnect } from '../../connect/patient-connect.js'
import type { NotOpened, PickupFrom } from '../../connect/request.js'
import type { ActivityFrom, App } from '../../consent/consent.js'
import { networkOf } from '../../direct/network.js'
import type { Caller } from '../caller.js'
import {
  acceptBody,
  acceptedSchema,
  answerBody,
  answeredSchema,
  openBody,
  openedSchema,
  pickupSchema,
  rejectBody,
  rejectedSchema,
  reviewBody,
} from '../connect-schema.js'
import type { ApiPorts } from '../ports.js'
import { Problem } from '../problem.js'
import { type Asked, route } from '../route.js'

/** What a signed-in person does with a pickup code. One answer whatever is wrong with a code: there is no such thing. */
export function pickupRoutes(app: FastifyInstance, ports: ApiPorts): void {
  const shared = { method: 'POST', access: 'pickup', tag: 'pickup', activity: 'none' } as const
  const base = '/api/v1/pickup'

  route(app, ports, {
    ...{ ...shared, path: `${base}/open`, action: 'pickup.open', asks: true },
    summary: 'The question of a pickup code, and who asks it',
    body: openBody,
    answers: openedSchema,
    async handle({ caller, request, subject, body }) {
      const { connect, from } = personOf(ports, caller, request)
      const opened = await connect.open(body.code, from)
      if (opened.kind !== 'question') throw notOpened(opened)
      subject['request'] = opened.id
      const question = opened.question === undefined ? {} : { question: opened.question }
      return { kind: opened.of, ...question, ...(opened.app && { app: appView(opened.app) }) }
    },
  })

  route(app, ports, {
    ...{ ...shared, path: `${base}/answer`, action: 'pickup.answer', completes: true },
    summary: 'Answer the question',
    description: 'Three wrong answers for ever: after them the code opens nothing, with the right one neither.',
    body: answerBody,
    answers: answeredSchema,
    async handle({ caller, request, body }) {
      const { connect, from } = personOf(ports, caller, request)
      const answered = await connect.answer(body.code, body.answer, from)
      if (answered.kind === 'wrong') {
        const left = answered.left === 1 ? '1 try is left' : `${answered.left} tries are left`
        throw new Problem('wrong-answer', {}, [{ where: 'body.answer', detail: left }])
      }
      if (answered.kind !== 'right') throw notOpened(answered)
      const { ticket, of, friendlyName } = answered
      return { ticket, kind: of, friendlyName }
    },
  })

  route(app, ports, {
    ...{ ...shared, path: `${base}/connect/review`, action: 'pickup.review', asks: true },
    summary: 'Whom an application asks for, in which of your records it could be, and what it asks',
    body: reviewBody,
    answers: pickupSchema,
    async handle({ caller, request, body: { ticket, record } }) {
      const { connect, from, person } = personOf(ports, caller, request)
      const review = await connect.review(ticket, from.holder, person)
      if (!review) throw new Problem('not-found')
      const question = record === undefined ? undefined : await connect.question(ticket, from.holder, person, record)
      if (record !== undefined && !question) throw new Problem('not-found')
      const granted = question?.granted?.rules.offline.map(({ name }) => name) ?? []
      return {
        ...{
          app: appView(review.app),
          friendlyName: review.friendlyName,
          endsAt: new Date(review.endsAt).toISOString(),
        },
        records: review.records.map(({ membership: { record: held }, match }) => ({
          ...{ id: held.id, name: held.name, match: match.kind, reasons: [...match.reasons] },
        })),
        ...(question && {
          asked: {
            action: question.action,
            rules: question.rules.offline.map((rule) => ({
              ...rule,
              optional: rule.optional === true,
              granted: granted.includes(rule.name),
            })),
          },
        }),
      }
    },
  })

  route(app, ports, {
    ...{ ...shared, path: `${base}/connect/accept`, action: 'pickup.accept', completes: true },
    summary: 'Let the application into a record',
    description: 'All that it requires, and of what is optional what is named. Grant and request are one commit.',
    body: acceptBody,
    answers: acceptedSchema,
    async handle(asked) {
      const { ticket, record, optional, confirmed } = asked.body
      asked.subject['record'] = record
      const { connect, from, person, acting } = personOf(ports, asked.caller, asked.request)
      const choice = { record, offline: optional, ...(confirmed !== undefined && { confirmed }) }
      const outcome = await connect.accept(ticket, from.holder, person, choice, acting, told(asked))
      switch (outcome.kind) {
        case 'authorized': {
          const { successMessage } = outcome.app
          return { record, grant: outcome.grant, ...(successMessage !== undefined && { successMessage }) }
        }
        case 'mismatch':
          throw new Problem(
            'patient-mismatch',
            {},
            outcome.match.reasons.map((detail) => ({ where: 'body.record', detail })),
          )
        case 'nothing':
        case 'no-such-record':
          throw new Problem('not-found')
        case 'unknown-rule':
          throw new Problem('invalid-request', {}, [
            { where: 'body.optional', detail: 'No optional rule of this name' },
          ])
        default:
          throw new Problem('not-possible', {}, [{ where: 'body.record', detail: reasons[outcome.kind] }])
      }
    },
  })

  route(app, ports, {
    ...{ ...shared, path: `${base}/connect/reject`, action: 'pickup.reject', completes: true },
    summary: 'Say no to the application',
    body: rejectBody,
    answers: rejectedSchema,
    async handle(asked) {
      const { connect, from } = personOf(ports, asked.caller, asked.request)
      const { kind } = await connect.reject(asked.body.ticket, from.holder, asked.body.never, told(asked))
      if (kind === 'nothing') throw new Problem('not-found')
      return { state: kind }
    },
  })
}

const reasons = {
  'not-possible': 'You may not give in this record what the application requires',
  'nothing-granted': 'Nothing would be granted',
  'too-many': 'The code was used for as many records as one may',
} as const

function told(asked: Pick<Asked<unknown, unknown, unknown>, 'entry'>) {
  return () => ({ append: [asked.entry()] })
}

interface AtPickup {
  readonly connect: PatientConnect
  readonly person: string
  readonly from: PickupFrom
  readonly acting: ActivityFrom
}

/** The person who asks. Nobody else picks anything up: an application would bring codes of its own. */
function personOf({ connect }: ApiPorts, { by, reach }: Caller, request: FastifyRequest): AtPickup {
  if (!connect) throw new Problem('unavailable')
  if (reach.kind !== 'person') throw new Problem('access-denied')
  const { person, session } = reach
  return {
    ...{ connect, person },
    from: { network: networkOf(request.ip), holder: `session:${session}`, by },
    acting: { by, avenue: 'page', person, address: request.ip },
  }
}

function notOpened(outcome: NotOpened): Problem {
  if (outcome.kind === 'nothing') return new Problem('not-found')
  return new Problem('too-many-requests', { 'retry-after': String(Math.ceil(outcome.waitMs / 1000)) })
}

function appView({ id, name, url, logoUrl, privacyUrl, termsUrl }: App) {
  return {
    ...{ id, name },
    ...(url !== undefined && { url }),
    ...(logoUrl !== undefined && { logoUrl }),
    ...(privacyUrl !== undefined && { privacyUrl }),
    ...(termsUrl !== undefined && { termsUrl }),
  }
}
