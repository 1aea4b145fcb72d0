import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import {
  type Activation,
  type ActivationRefused,
  activationProblems,
  type RecordAddress,
} from '../../pipeline/activation.js'
import { accessTo, mustBeCustodian, mustBeKnown } from '../access.js'
import type { Caller } from '../caller.js'
import type { ApiPorts } from '../ports.js'
import { Problem, type ProblemCode } from '../problem.js'
import { route } from '../route.js'
import { recordParams } from '../schemas.js'

const time = z.string().meta({ format: 'date-time', description: 'RFC 3339, UTC' })
const segment = z.string().min(1).max(400)

const addressSchema = z
  .object({
    address: z.string(),
    standing: z
      .enum(['live', 'disabled', 'awaiting-proofing', 'not-served'])
      .describe('awaiting-proofing: it takes no mail until somebody vouched for who the person is'),
    certificate: z.enum(['issued', 'waiting', 'none']).describe('none: it is asked for again by itself'),
    createdAt: time,
  })
  .meta({ id: 'RecordAddress' })

const addressesSchema = z.object({
  addresses: z.array(addressSchema),
  domains: z.array(z.string()).describe('In which further addresses may be taken'),
})

const suggestionsQuery = z.strictObject({
  name: z.string().max(200).optional().describe('What addresses are made of; words of chance without it'),
  address: z.string().min(1).max(320).optional().describe('Is this one free?'),
})

const suggestionsSchema = z.object({
  suggestions: z.array(z.string()),
  free: z.boolean().optional().describe('Whether the address that was asked about could be taken now'),
})

const addressParams = recordParams.extend({ address: segment.describe('Direct address of the record') })
const activateBody = z.strictObject({ address: z.string().min(3).max(320) })
const changeBody = z.strictObject({ disabled: z.boolean() })

/** How a record comes to Direct addresses. Names are given to nobody twice; what is disabled stays its record's. */
export function directAddressRoutes(app: FastifyInstance, ports: ApiPorts): void {
  const base = '/api/v1/records/:recordId/direct-addresses'
  const tag = 'addresses'
  const reading = { method: 'GET', access: 'record:read', tag } as const

  /** The true id of a record of which the caller is a custodian, and the ways to its addresses. */
  async function custodianOf(caller: Caller, named: string, subject: Record<string, string>) {
    const access = await accessTo(ports, caller, named)
    subject['record'] = access.record
    mustBeCustodian(access)
    await mustBeKnown(ports, caller, named)
    if (!ports.activation) throw new Problem('unavailable')
    return { activation: ports.activation, record: access.record }
  }

  route(app, ports, {
    ...{ ...reading, path: base, action: 'record.addresses' },
    summary: 'Direct addresses of a record',
    params: recordParams,
    answers: addressesSchema,
    async handle({ caller, params: { recordId }, subject }) {
      const { activation, record } = await custodianOf(caller, recordId, subject)
      return { addresses: (await activation.list(record)).map(viewOf), domains: [...(await activation.domains())] }
    },
  })

  route(app, ports, {
    ...{ ...reading, path: `${base}/suggestions`, action: 'record.address-suggestions', activity: 'none' },
    summary: 'Free addresses to choose from',
    description: 'Made of a name that was given, never of anything else that is known. Few may be asked for at a time.',
    params: recordParams,
    query: suggestionsQuery,
    answers: suggestionsSchema,
    async handle({ caller, params: { recordId }, query: { name = '', address }, subject }) {
      const { activation } = await custodianOf(caller, recordId, subject)
      if (address === undefined) return { suggestions: [...(await suggested(activation, name, caller.by))] }
      const checked = await activation.check(address, caller.by)
      if (checked.kind === 'refused' && checked.problem === 'wait') throw problemOf(checked, 'query.address')
      return { suggestions: [], free: checked.kind === 'free' }
    },
  })

  route(app, ports, {
    ...{ method: 'POST', access: 'record:write', path: base, action: 'record.activate-address', creates: true, tag },
    summary: 'Take a Direct address for a record',
    description: 'With a certificate of its own. The same address for the same record again changes nothing.',
    params: recordParams,
    body: activateBody,
    answers: addressSchema,
    async handle({ caller, params: { recordId }, body: { address }, subject, reply }) {
      const { activation, record } = await custodianOf(caller, recordId, subject)
      const outcome = await activation.activate(record, address, caller.by)
      if (outcome.kind === 'refused') throw problemOf(outcome, 'body.address')
      subject['address'] = outcome.address.address
      reply.code(201)
      return viewOf(outcome.address)
    },
  })

  route(app, ports, {
    ...{ method: 'PATCH', access: 'record:write', path: `${base}/:address`, action: 'record.change-address', tag },
    summary: 'Stop or resume taking mail at an address',
    params: addressParams,
    body: changeBody,
    answers: addressSchema,
    async handle({ caller, params: { recordId, address }, body: { disabled }, subject }) {
      const { activation, record } = await custodianOf(caller, recordId, subject)
      Object.assign(subject, { address: address.slice(0, 320), disabled: String(disabled) })
      const outcome = await activation.setDisabled(record, address, disabled, caller.by)
      if (outcome.kind === 'refused') throw problemOf(outcome, 'path.address')
      return viewOf(outcome.address)
    },
  })
}

async function suggested(activation: Activation, name: string, by: string): Promise<readonly string[]> {
  const suggestions = await activation.suggest(name, by)
  if ('kind' in suggestions) throw problemOf(suggestions, 'query.name')
  return suggestions
}

const codes: Readonly<Record<ActivationRefused['problem'], ProblemCode>> = {
  taken: 'not-possible',
  invalid: 'invalid-request',
  'too-many': 'not-possible',
  unknown: 'not-found',
  wait: 'too-many-requests',
  conflict: 'conflict',
}

const words: Readonly<Record<ActivationRefused['problem'], string>> = {
  taken: 'Somebody has it, had it, or it is kept for the house; choose another one',
  invalid:
    'Not a name that can be taken here: letters and digits with single dots or hyphens, in a domain that is open',
  'too-many': 'The record has as many addresses as it may',
  unknown: 'Not an address of this record',
  wait: 'Too many names were asked for',
  conflict: 'Somebody else was faster; repeat',
}

/** Why, with HealthVault's status where it has one. */
function problemOf({ problem, waitMs = 30_000 }: ActivationRefused, where: string): Problem {
  const headers = problem === 'wait' ? { 'retry-after': String(Math.max(1, Math.ceil(waitMs / 1000))) } : {}
  return new Problem(codes[problem], headers, [{ where, detail: words[problem] }], activationProblems[problem])
}

function viewOf({ address, standing, certificate, createdAt }: RecordAddress) {
  return { address, standing: standing ?? 'not-served', certificate, createdAt: new Date(createdAt).toISOString() }
}
