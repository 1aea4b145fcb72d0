import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { z } from 'zod'
import type { RecordAccess } from '../../direct/access.js'
import type { RecordItemType } from '../../direct/clinical.js'
import { together } from '../../ports/store.js'
import type {
  AuthoredItem,
  ItemChange,
  ItemQuery,
  PutOutcome,
  PutProblem,
  RecordEntry,
  Stamp,
} from '../../record/item.js'
import { accessTo, mustBeCustodian, mustBeKnown } from '../access.js'
import {
  authoredSchema,
  changesBody,
  feedSchema,
  historySchema,
  itemSchema,
  itemsSchema,
  putOneSchema,
  putSchema,
} from '../item-schema.js'
import type { ApiPorts, apiLimits } from '../ports.js'
import { Problem, type ProblemCode } from '../problem.js'
import type { Asked } from '../route.js'
import { route } from '../route.js'
import { changesQuery, itemParams, itemsQuery, recordParams } from '../schemas.js'

const tag = 'records'
const base = '/api/v1/records/:recordId'

/** An entry as clients read it: the statement it shows, under the entry's own id beside the statement's. */
export function entryView({ id, item, addedAt, appearances, created, updated, ...entry }: RecordEntry) {
  return {
    ...item,
    ...entry,
    entryId: id,
    addedAt: new Date(addedAt).toISOString(),
    created: stampView(created),
    updated: stampView(updated),
    appearances: appearances.map((one) => ({ ...one, addedAt: new Date(one.addedAt).toISOString() })),
  }
}

function stampView({ at, ...by }: Stamp) {
  return { at: new Date(at).toISOString(), ...by }
}

/** What a record says: read, written, looked back on and followed, each as far as the caller may. */
export function itemRoutes(app: FastifyInstance, ports: ApiPorts, limits: typeof apiLimits): void {
  readingRoutes(app, ports)
  followingRoutes(app, ports)
  writingRoutes(app, ports, limits)
}

function readingRoutes(app: FastifyInstance, ports: ApiPorts): void {
  route(app, ports, {
    method: 'GET',
    path: `${base}/items`,
    access: 'record:read',
    action: 'items.list',
    summary: 'Items of a record, newest clinical date first',
    description:
      'Each is one entry: one whole statement, and every document that says the same in `appearances`. Without `state`, every state but `held`, `rejected` and `deleted`; who is no custodian sees what is current, and the documents.',
    tag,
    params: recordParams,
    query: itemsQuery,
    answers: itemsSchema,
    async handle({ caller, params: { recordId: named }, query, subject, deed }) {
      const access = await accessTo(ports, caller, named)
      subject['record'] = access.record
      mustReadSome(access, query.type)
      const page = await ports.record.list(access, queryOf(access, query))
      if (page.kind === 'bad-cursor') throw new Problem('invalid-cursor')
      if (page.items.length === 0) await mustBeKnown(ports, caller, access.record)
      subject['count'] = String(page.items.length)
      deed.types = typesOf(page.items)
      const items = page.items.map(entryView)
      return { items, unreadable: page.unreadable, ...(page.next === undefined ? {} : { next: page.next }) }
    },
  })

  route(app, ports, {
    method: 'GET',
    path: `${base}/items/:id`,
    access: 'record:read',
    action: 'item.read',
    summary: 'One item',
    description: 'By the id of the entry or of any statement in it: a merge leaves no id behind.',
    tag,
    params: itemParams,
    answers: itemSchema,
    async handle({ caller, params: { recordId: named, id }, subject, deed, reply }) {
      const access = await accessTo(ports, caller, named)
      Object.assign(subject, { record: access.record, item: id })
      const entry = await ports.record.get(access, id)
      if (!entry) throw new Problem('not-found')
      Object.assign(deed, { count: 1, types: typesOf([entry]) })
      reply.header('etag', `"${entry.version}"`)
      return entryView(entry)
    },
  })

  route(app, ports, {
    method: 'GET',
    path: `${base}/items/:id/history`,
    access: 'record:read',
    action: 'item.history',
    summary: 'Every version of an item, newest first',
    description: 'For custodians: what was told and written, and each time that it was deleted and restored.',
    tag,
    params: itemParams,
    answers: historySchema,
    async handle({ caller, params: { recordId: named, id }, subject }) {
      const access = await accessTo(ports, caller, named)
      Object.assign(subject, { record: access.record, item: id })
      mustBeCustodian(access)
      const versions = await ports.record.history(access.record, id)
      if (versions.length === 0) throw new Problem('not-found')
      return { versions: versions.map(({ by, ...version }) => ({ ...version, by: stampView(by) })) }
    },
  })
}

function followingRoutes(app: FastifyInstance, ports: ApiPorts): void {
  route(app, ports, {
    method: 'GET',
    path: `${base}/changes`,
    access: 'record:read',
    action: 'items.changes',
    summary: 'What was done to a record, oldest first',
    description:
      'All that one commit did has one sequence number; numbers without a change are of items that the caller may not see. Ask again with `next`.',
    tag,
    params: recordParams,
    query: changesQuery,
    answers: feedSchema,
    async handle({ caller, params: { recordId: named }, query, subject }) {
      const access = await accessTo(ports, caller, named)
      subject['record'] = access.record
      const feed = await ports.record.changes(access, given(query))
      if (feed.kind === 'bad-cursor') throw new Problem('invalid-cursor')
      if (feed.latest === 0) await mustBeKnown(ports, caller, access.record)
      const changes = feed.changes.map(({ entry, at, ...change }) => ({
        ...{ ...change, id: entry },
        at: new Date(at).toISOString(),
      }))
      return { changes, latest: feed.latest, next: feed.next, more: feed.more }
    },
  })
}

type Putting = Pick<Asked<unknown, unknown, unknown>, 'caller' | 'subject' | 'deed' | 'entries'>

function writingRoutes(app: FastifyInstance, ports: ApiPorts, limits: typeof apiLimits): void {
  const queue = inTurn()

  /** Puts with the audit entry and the line of the history in one commit; again where somebody else wrote first. */
  async function put(
    { caller, subject, deed, entries }: Putting,
    access: RecordAccess,
    changes: readonly ItemChange[],
  ): Promise<Extract<PutOutcome, { readonly kind: 'put' }>> {
    await mustBeKnown(ports, caller, access.record)
    const kinds = new Set(changes.map(({ kind }) => kind))
    Object.assign(deed, { action: kinds.size === 1 ? changes[0]?.kind : 'update', count: changes.length })
    subject['kinds'] = [...kinds].join(' ')
    return queue(access.record, async () => {
      for (let round = 0; round < limits.changeRounds; round++) {
        const outcome = await ports.record.put(access.record, changes, { access })
        if (outcome.kind === 'refused') throw refusalOf(outcome)
        subject['items'] = outcome.items
          .map(({ id }) => id)
          .slice(0, 10)
          .join(' ')
        subject['sequence'] = String(outcome.sequence)
        const { kind } = await ports.store.commit(together(outcome.parts, await entries()))
        if (kind === 'committed') return outcome
      }
      throw new Problem('conflict')
    })
  }

  async function putOne(asked: Putting & { readonly request: FastifyRequest }, named: string, change: ItemChange) {
    const access = await accessTo(ports, asked.caller, named)
    asked.subject['record'] = access.record
    const { items, sequence } = await put(asked, access, [change])
    const [item] = items
    if (!item) throw new Error('A put without an item')
    return { ...item, sequence }
  }

  route(app, ports, {
    method: 'POST',
    path: `${base}/items`,
    access: 'record:write',
    action: 'items.put',
    summary: 'Create, update, delete and restore items, all of them or none',
    description:
      'An update is the whole item anew. `version` is that of the item as it was read; a stale one refuses everything (HealthVault 61). Creating the same again under one `clientId` answers what was created first.',
    tag,
    params: recordParams,
    body: changesBody,
    bodyBytes: limits.itemsBytes,
    completes: true,
    answers: putSchema,
    async handle(asked) {
      const access = await accessTo(ports, asked.caller, asked.params.recordId)
      asked.subject['record'] = access.record
      const changes = asked.body.changes as unknown as readonly ItemChange[]
      const { items, sequence } = await put(asked, access, changes)
      return { items: [...items], sequence }
    },
  })

  const one = { access: 'record:write', tag, params: itemParams, answers: putOneSchema } as const

  route(app, ports, {
    ...one,
    method: 'PUT',
    path: `${base}/items/:id`,
    action: 'item.update',
    summary: 'Update an item: all of it anew',
    description: 'With `If-Match`, the version that was read.',
    body: authoredSchema,
    bodyBytes: limits.itemsBytes,
    async handle(asked) {
      const { recordId, id } = asked.params
      const item = asked.body as unknown as AuthoredItem
      return putOne(asked, recordId, { kind: 'update', entry: id, ...versionOf(asked.request), item })
    },
  })

  route(app, ports, {
    ...one,
    method: 'DELETE',
    path: `${base}/items/:id`,
    action: 'item.delete',
    summary: 'Delete an item',
    description: 'With `If-Match`, the version that was read. Custodians still find it, and can restore it.',
    async handle(asked) {
      const { recordId, id } = asked.params
      return putOne(asked, recordId, { kind: 'delete', entry: id, ...versionOf(asked.request) })
    },
  })

  route(app, ports, {
    ...one,
    method: 'POST',
    path: `${base}/items/:id/restore`,
    action: 'item.restore',
    summary: 'Restore a deleted item',
    description: 'For custodians. With `If-Match`, the version of the deletion.',
    completes: true,
    async handle(asked) {
      const { recordId, id } = asked.params
      return putOne(asked, recordId, { kind: 'restore', entry: id, ...versionOf(asked.request) })
    },
  })
}

/** The version of an If-Match header; `*` and lists say nothing of what was read (RFC 9110 §13.1.1). */
function versionOf({ headers }: FastifyRequest): { readonly version?: string } {
  const [, version] = /^\s*"([\w.-]{1,100})"\s*$/.exec(headers['if-match'] ?? '') ?? []
  return version === undefined ? {} : { version }
}

/** Each refusal of a put with its problem and the number that HealthVault had for it. */
const refusals: Readonly<Record<PutProblem, readonly [ProblemCode, number?]>> = {
  missing: ['not-found'],
  stale: ['version-mismatch', 61],
  'version-missing': ['version-missing', 60],
  denied: ['access-denied', 11],
  'read-only': ['read-only', 154],
  singleton: ['singleton', 60],
  immutable: ['not-possible', 20],
  quota: ['quota-exceeded', 68],
  'client-id-used': ['client-id-used'],
  'blob-missing': ['blob-missing', 102],
  'not-possible': ['not-possible'],
  'bad-item': ['invalid-request'],
}

function refusalOf({ index, problem, detail }: Extract<PutOutcome, { readonly kind: 'refused' }>): Problem {
  const [code, number] = refusals[problem]
  // What is not there is told without a word more: another's item, and none, are answered alike.
  if (code === 'not-found') return new Problem(code)
  return new Problem(code, {}, [{ where: `body.changes.${index}`, detail }], number)
}

/** One after the other for each record, so that those who write the same one here do not keep each other waiting twice. */
function inTurn() {
  const last = new Map<string, Promise<unknown>>()
  return async function next<Done>(record: string, work: () => Promise<Done>): Promise<Done> {
    const before = last.get(record) ?? Promise.resolve()
    const mine = before.then(work, work)
    const settled = mine.catch(() => undefined)
    last.set(record, settled)
    try {
      return await mine
    } finally {
      if (last.get(record) === settled) last.delete(record)
    }
  }
}

/** Refuses who asks for kinds of item of which no rule lets them read any; what they may see of others is another question. */
export function mustReadSome({ rules }: RecordAccess, types: readonly RecordItemType[] | undefined): void {
  if (rules === 'all' || types === undefined) return
  const reads = rules.filter(({ permissions: may }) => may.includes('read'))
  if (!types.some((type) => reads.some((rule) => rule.types?.includes(type) !== false)))
    throw new Problem('access-denied', {}, undefined, 11)
}

/** What a client asks, as the record takes it. Applications know no ids of others: they name themselves. */
function queryOf({ actor }: RecordAccess, query: z.output<typeof itemsQuery>): ItemQuery {
  const { type, id, clientId, review, conflicts, createdByApp, updatedByApp, ...rest } = query
  const { createdFrom, createdTo, updatedFrom, updatedTo, ...plain } = rest
  const app = (name: string | undefined) => (name === 'self' ? (actor.app ?? actor.by) : name)
  return given({
    ...plain,
    types: type,
    ids: id,
    clientIds: clientId,
    created: spanOf(createdFrom, createdTo),
    updated: spanOf(updatedFrom, updatedTo),
    createdByApp: app(createdByApp),
    updatedByApp: app(updatedByApp),
    review: review === 'true' || undefined,
    conflicts: conflicts === 'true' || undefined,
  })
}

function spanOf(from: string | undefined, to: string | undefined) {
  if (from === undefined && to === undefined) return undefined
  return given({
    from: from === undefined ? undefined : Date.parse(from),
    to: to === undefined ? undefined : Date.parse(to),
  })
}

type Given<Fields> = { [Name in keyof Fields]?: Exclude<Fields[Name], undefined> }

/** Without the fields that nothing was said of. */
function given<Fields extends object>(fields: Fields): Given<Fields> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Given<Fields>
}

function typesOf(entries: readonly RecordEntry[]): readonly string[] {
  return [...new Set(entries.map(({ item }) => item.content.type))]
}
