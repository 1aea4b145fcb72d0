import { Readable } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { activityCsv, activityCsvHeading } from '../../consent/activity.js'
import type { Activity, ActivityEntry, ActivityQuery } from '../../consent/consent.js'
import { accessTo, mustBeCustodian, mustBeKnown } from '../access.js'
import type { Caller } from '../caller.js'
import { activityFileQuery, activityParams, activityQuery, activitySchema } from '../consent-schema.js'
import { attachmentDisposition } from '../download.js'
import type { ApiPorts } from '../ports.js'
import { Problem } from '../problem.js'
import { route } from '../route.js'

type Names = (id: string | undefined) => string | undefined

/** Names of the people and applications in some lines of a history, as far as they are known. */
async function namesIn(ports: ApiPorts, entries: readonly ActivityEntry[]): Promise<Names> {
  const ids = (of: 'app' | 'person') =>
    new Set(entries.flatMap(({ from, about }) => [from[of], about?.[of]].filter((id) => id !== undefined)))
  const names = new Map<string, string>()
  for (const id of ids('app')) {
    const app = await ports.apps?.get(id)
    if (app) names.set(id, app.name)
  }
  const people = ids('person')
  for (const id of people) {
    const person = await ports.people?.person?.(id)
    if (person) names.set(id, person.name)
  }
  return (id) => (id === undefined ? undefined : names.get(id))
}

function entryView({ at, from, about, ...entry }: ActivityEntry, names: Names) {
  const named = (id: string) => ({ id, ...(names(id) !== undefined && { name: names(id) }) })
  const { by, avenue, address, person, app } = from
  return {
    at: new Date(at).toISOString(),
    ...entry,
    ...{ by, avenue },
    ...(address !== undefined && { address }),
    ...(person !== undefined && { person: named(person) }),
    ...(app !== undefined && { app: named(app) }),
    ...(about && {
      about: {
        ...(about.person !== undefined && { person: named(about.person) }),
        ...(about.app !== undefined && { app: named(about.app) }),
      },
    }),
  }
}

/** The history of a record: for its custodians, and for the operator. */
export function activityRoutes(app: FastifyInstance, ports: ApiPorts): void {
  const base = '/api/v1/records/:recordId/activity'
  const shared = { method: 'GET', access: 'record:read', tag: 'activity', params: activityParams } as const

  async function reached(caller: Caller, named: string): Promise<{ activity: Activity; record: string }> {
    const access = await accessTo(ports, caller, named)
    mustBeCustodian(access)
    await mustBeKnown(ports, caller, access.record)
    if (!ports.activity) throw new Problem('unavailable')
    return { activity: ports.activity, record: access.record }
  }

  route(app, ports, {
    ...shared,
    path: base,
    action: 'activity.list',
    summary: 'Who did what to a record, newest first',
    description: 'Never what was read or written. Whoever looks at the history itself is in the audit log.',
    query: activityQuery,
    activity: 'none',
    answers: activitySchema,
    async handle({ caller, params, query, subject }) {
      subject['record'] = params.recordId
      const { activity, record } = await reached(caller, params.recordId)
      const { limit, cursor } = query
      const place = { limit, ...(cursor !== undefined && { before: cursor }) }
      const page = await activity.list(record, { ...filtersOf(query), ...place })
      if (!page) throw new Problem('invalid-cursor')
      const names = await namesIn(ports, page.entries)
      const { entries, unreadable, next } = page
      return {
        entries: entries.map((entry) => entryView(entry, names)),
        unreadable,
        ...(next !== undefined && { next }),
      }
    },
  })

  route(app, ports, {
    ...shared,
    path: `${base}/download`,
    action: 'activity.download',
    summary: 'The whole history as a file',
    query: activityFileQuery,
    activity: 'download',
    answers: {
      description: 'The file',
      content: { 'application/json': { schema: z.string() }, 'text/csv': { schema: z.string() } },
    },
    async handle({ caller, params, query, subject, reply }) {
      subject['record'] = params.recordId
      const { activity, record } = await reached(caller, params.recordId)
      const type = { json: 'application/json; charset=utf-8', csv: 'text/csv; charset=utf-8; header=present' }[
        query.format
      ]
      reply.header('content-type', type)
      reply.header('content-disposition', attachmentDisposition(`activity.${query.format}`, 'activity'))
      const pages = pagesOf(ports, activity, record, filtersOf(query))
      return Readable.from(query.format === 'csv' ? csvOf(pages) : jsonOf(pages), { objectMode: false })
    },
  })
}

type Page = { readonly entries: readonly ActivityEntry[]; readonly names: Names }

async function* pagesOf(
  ports: ApiPorts,
  activity: Activity,
  record: string,
  filters: Omit<ActivityQuery, 'limit'>,
): AsyncGenerator<Page> {
  for (let before: string | undefined; ; ) {
    const page = await activity.list(record, { ...filters, limit: 200, ...(before !== undefined && { before }) })
    if (!page) return
    yield { entries: page.entries, names: await namesIn(ports, page.entries) }
    if (page.next === undefined) return
    before = page.next
  }
}

async function* csvOf(pages: AsyncIterable<Page>): AsyncGenerator<string> {
  yield activityCsvHeading
  for await (const { entries, names } of pages)
    if (entries.length > 0) yield activityCsv(entries, (id) => names(id) ?? id ?? '')
}

async function* jsonOf(pages: AsyncIterable<Page>): AsyncGenerator<string> {
  let begun = false
  yield '{"entries":['
  for await (const { entries, names } of pages) {
    for (const entry of entries) {
      yield `${begun ? ',' : ''}\n${JSON.stringify(entryView(entry, names))}`
      begun = true
    }
  }
  yield '\n]}\n'
}

interface Filters {
  readonly from?: string | undefined
  readonly to?: string | undefined
  readonly action?: ActivityQuery['action'] | undefined
  readonly app?: string | undefined
}

function filtersOf({ from, to, action, app }: Filters): Omit<ActivityQuery, 'limit'> {
  return {
    ...(from !== undefined && { from: Date.parse(from) }),
    ...(to !== undefined && { to: Date.parse(to) }),
    ...(action !== undefined && { action }),
    ...(app !== undefined && { app }),
  }
}
