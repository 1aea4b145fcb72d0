import type { FastifyInstance } from 'fastify'
import type { InvitationView } from '../../people/sharing.js'
import { doneSchema } from '../account-schema.js'
import { defined } from '../defined.js'
import type { ApiPorts } from '../ports.js'
import { Problem } from '../problem.js'
import { route } from '../route.js'
import { recordParams } from '../schemas.js'
import {
  acceptBody,
  createdSchema,
  heldSchema,
  invitationBody,
  invitationParams,
  invitationsSchema,
  invitedSchema,
  memberParams,
  newRecordBody,
  privacyBody,
  recordBody,
  sharingSchema,
} from '../sharing-schema.js'
import { iso, recently, selfOf, settled, told } from './account.js'

const base = '/api/v1/account/records'
const one = `${base}/:recordId`
const shared = { access: 'sharing', tag: 'sharing', activity: 'none' } as const

/** Records of whoever is signed in, and whom they share them with. What one does not have is not found. */
export function sharingRoutes(app: FastifyInstance, ports: ApiPorts): void {
  heldRoutes(app, ports)
  memberRoutes(app, ports)
  invitationRoutes(app, ports)
}

function heldRoutes(app: FastifyInstance, ports: ApiPorts): void {
  route(app, ports, {
    ...{ ...shared, method: 'GET', path: base, action: 'records.held', answers: heldSchema },
    summary: 'Records that you have, and those that you can bring back; never more than a page',
    async handle({ caller }) {
      const { house, person } = selfOf(ports, caller)
      const [held, deleted] = await Promise.all([house.records.of(person), house.deletedRecords(person)])
      return {
        records: held.map(({ record: { id, createdAt, ...record }, person: _, since, until, ...more }) => ({
          ...{ ...more, ...record, recordId: id, createdAt: iso(createdAt), since: iso(since) },
          ...(until !== undefined && { until: iso(until) }),
        })),
        deleted: deleted.map(({ id, name, until }) => ({ recordId: id, name, until: iso(until) })),
      }
    },
  })
  route(app, ports, {
    ...{ ...shared, method: 'POST', path: base, action: 'records.create', body: newRecordBody },
    ...{ answers: createdSchema, creates: true },
    summary: 'Create a record; you are its custodian',
    async handle({ caller, body, subject, reply }) {
      const { house, person } = selfOf(ports, caller)
      const made = await house.newRecord(person, defined(body))
      const { record } = settled(made)
      subject['record'] = record
      reply.code(201)
      return { recordId: record }
    },
  })
  route(app, ports, {
    ...{ ...shared, method: 'PATCH', path: one, action: 'records.change', params: recordParams, body: recordBody },
    ...{ answers: doneSchema, summary: 'Change the name of a record, or the birth date of whom it is about' },
    handle: ({ caller, params: { recordId }, body, subject }) => {
      const { house, person } = selfOf(ports, caller)
      subject['record'] = recordId
      return told(house.describeRecord(person, recordId, defined(body)))
    },
  })
  route(app, ports, {
    ...{ ...shared, method: 'DELETE', path: one, action: 'records.delete', params: recordParams, answers: doneSchema },
    summary: 'Delete a record for everybody; for 30 days its custodians can bring it back',
    handle: ({ caller, params: { recordId }, subject }) => {
      const { house, person } = recently(ports, caller)
      subject['record'] = recordId
      return told(house.deleteRecord(person, recordId))
    },
  })
  route(app, ports, {
    ...{ ...shared, method: 'POST', path: `${one}/restore`, action: 'records.restore', params: recordParams },
    ...{ answers: doneSchema, completes: true, summary: 'Bring a deleted record back' },
    handle: ({ caller, params: { recordId }, subject }) => {
      const { house, person } = selfOf(ports, caller)
      subject['record'] = recordId
      return told(house.restoreRecord(person, recordId))
    },
  })
}

function memberRoutes(app: FastifyInstance, ports: ApiPorts): void {
  route(app, ports, {
    ...{ ...shared, method: 'GET', path: `${one}/sharing`, action: 'sharing.read' },
    ...{ params: recordParams, answers: sharingSchema, summary: 'Who has a record, and what is kept from whom' },
    async handle({ caller, params: { recordId }, subject }) {
      const { house, person } = selfOf(ports, caller)
      subject['record'] = recordId
      const view = await house.sharingOf(person, recordId)
      if (!view) throw new Problem('not-found')
      const { ofAge, members, privacy, ...more } = view
      return {
        ...{ ...more, privacy: { personal: privacy.personal, types: [...privacy.types] } },
        ...(ofAge && { ofAge: { since: iso(ofAge.since), until: iso(ofAge.until) } }),
        members: members.map(({ record: _, since, until, ...member }) => ({
          ...{ ...member, since: iso(since) },
          ...(until !== undefined && { until: iso(until) }),
        })),
      }
    },
  })
  route(app, ports, {
    ...{ ...shared, method: 'PUT', path: `${one}/privacy`, action: 'sharing.privacy', params: recordParams },
    ...{ body: privacyBody, answers: doneSchema },
    summary: 'What is kept from others while whom the record is about is an adolescent',
    handle: ({ caller, params: { recordId }, body, subject }) => {
      const { house, person } = selfOf(ports, caller)
      subject['record'] = recordId
      return told(house.setPrivacy(person, recordId, body))
    },
  })
  route(app, ports, {
    ...{ ...shared, method: 'POST', path: `${one}/guardian`, action: 'sharing.guardian', params: recordParams },
    ...{ answers: doneSchema, completes: true },
    summary: 'Declare guardianship of an adult without an account',
    handle: ({ caller, params: { recordId }, subject }) => {
      const { house, person } = recently(ports, caller)
      subject['record'] = recordId
      return told(house.declareGuardian(person, recordId))
    },
  })
  route(app, ports, {
    ...{ ...shared, method: 'DELETE', path: `${one}/members/:person`, action: 'sharing.remove', params: memberParams },
    ...{ answers: doneSchema, summary: 'End the access of a member at once, or leave; the last custodian cannot' },
    handle: ({ caller, params: { recordId, person: other }, subject }) => {
      const { house, person } = selfOf(ports, caller)
      subject['record'] = recordId
      return told(house.removeMember(person, recordId, other))
    },
  })
  route(app, ports, {
    ...{ ...shared, method: 'POST', path: `${one}/members/:person/confirm`, action: 'sharing.confirm' },
    ...{ params: memberParams, answers: doneSchema, completes: true },
    summary: 'The adult whom the record is about lets a custodian go on',
    handle: ({ caller, params: { recordId, person: other }, subject }) => {
      const { house, person } = recently(ports, caller)
      subject['record'] = recordId
      return told(house.confirmCustodian(person, recordId, other))
    },
  })
}

function invitationRoutes(app: FastifyInstance, ports: ApiPorts): void {
  route(app, ports, {
    ...{ ...shared, method: 'GET', path: `${one}/invitations`, action: 'sharing.invitations' },
    ...{ params: recordParams, answers: invitationsSchema, summary: 'Invitations of a record, newest first' },
    async handle({ caller, params: { recordId }, subject }) {
      const { house, person } = selfOf(ports, caller)
      subject['record'] = recordId
      const found = await house.listInvitations(person, recordId)
      if ('kind' in found) return settled(found)
      return { invitations: found.map(invitationView) }
    },
  })
  route(app, ports, {
    ...{ ...shared, method: 'POST', path: `${one}/invitations`, action: 'sharing.invite', params: recordParams },
    ...{ body: invitationBody, answers: invitedSchema, creates: true },
    summary: 'Invite somebody by mail; only a custodian does',
    async handle({ caller, params: { recordId }, body, reply, subject }) {
      const { house, person } = recently(ports, caller)
      subject['record'] = recordId
      const { until, rules, ...more } = body
      const wanted = { ...defined(more), rules: rules.map(defined), ...(until && { until: Date.parse(until) }) }
      const { id } = await told(house.invite(person, recordId, wanted))
      reply.code(201)
      return { id }
    },
  })
  route(app, ports, {
    ...{ ...shared, method: 'DELETE', path: `${one}/invitations/:id`, action: 'sharing.withdraw' },
    ...{ params: invitationParams, answers: doneSchema, summary: 'Take an invitation back' },
    handle: ({ caller, params: { recordId, id }, subject }) => {
      const { house, person } = selfOf(ports, caller)
      subject['record'] = recordId
      return told(house.withdrawInvitation(person, recordId, id))
    },
  })
  route(app, ports, {
    ...{ ...shared, method: 'GET', path: '/api/v1/account/invitations' },
    ...{ action: 'sharing.invited', answers: invitationsSchema },
    summary: 'Open invitations to your verified address',
    async handle({ caller }) {
      const { house, person } = selfOf(ports, caller)
      return { invitations: (await house.invitationsTo(person)).map(invitationView) }
    },
  })
  route(app, ports, {
    ...{ ...shared, method: 'POST', path: '/api/v1/account/invitations/accept', action: 'sharing.accept' },
    ...{ body: acceptBody, answers: createdSchema, completes: true },
    summary: 'Accept an invitation, with its PIN where it has one: three tries for ever',
    async handle({ caller, body, subject }) {
      const { house, person } = selfOf(ports, caller)
      const { record } = await told(house.acceptInvitation(person, named(body), body.pin))
      subject['record'] = record
      return { recordId: record }
    },
  })
  route(app, ports, {
    ...{ ...shared, method: 'POST', path: '/api/v1/account/invitations/decline', action: 'sharing.decline' },
    ...{ body: acceptBody, answers: doneSchema, completes: true },
    summary: 'Decline an invitation',
    handle: ({ caller, body }) => {
      const { house, person } = selfOf(ports, caller)
      return told(house.declineInvitation(person, named(body)))
    },
  })
}

function named({ id, code }: { readonly id?: string | undefined; readonly code?: string | undefined }) {
  return id === undefined ? { secret: code ?? '' } : { id }
}

function invitationView({ until, createdAt, expiresAt, record: _, ...more }: InvitationView) {
  return {
    ...{ ...more, createdAt: iso(createdAt), expiresAt: iso(expiresAt) },
    ...(until !== undefined && { until: iso(until) }),
  }
}
