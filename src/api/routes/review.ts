import type { FastifyInstance } from 'fastify'
import { parseAddress } from '../../direct/address.js'
import { together } from '../../ports/store.js'
import type { DeedRequest, DocumentSummary } from '../../record/item.js'
import { accessTo, mustBeCustodian, mustBeKnown } from '../access.js'
import type { Caller } from '../caller.js'
import { defined } from '../defined.js'
import type { ApiPorts, apiLimits } from '../ports.js'
import { Problem } from '../problem.js'
import {
  decidedSchema,
  decisionsBody,
  decisionsQuery,
  decisionsSchema,
  documentsSchema,
  modeBody,
  modesSchema,
  readingParams,
  readingSchema,
  reviewSchema,
  senderParams,
} from '../review-schema.js'
import type { Asked } from '../route.js'
import { route } from '../route.js'
import { recordParams } from '../schemas.js'

/** A record that exists and of which the caller is a custodian; for anybody else it is not found, or denied. */
async function mustHave(ports: ApiPorts, caller: Caller, recordId: string): Promise<void> {
  mustBeCustodian(await accessTo(ports, caller, recordId))
  await mustBeKnown(ports, caller, recordId)
}

function documentView<Told extends DocumentSummary>({ addedAt, ...document }: Told) {
  return { ...document, addedAt: new Date(addedAt).toISOString() }
}

/** What a patient decides on: what waits, who sent it, what became of it, and the decisions themselves. */
export function reviewRoutes(app: FastifyInstance, ports: ApiPorts, limits: typeof apiLimits): void {
  readingRoutes(app, ports)
  const base = '/api/v1/records/:recordId'
  const tag = 'review'

  /** Decides and writes decision and audit entry in one commit; again where somebody else wrote first. */
  async function decided(
    { caller, subject, entries }: Pick<Asked<unknown, unknown, unknown>, 'caller' | 'subject' | 'entries'>,
    recordId: string,
    requests: readonly DeedRequest[],
  ): Promise<readonly string[]> {
    for (let round = 0; round < limits.changeRounds; round++) {
      const outcome = await ports.record.decide(recordId, requests, caller.by)
      if (outcome.kind !== 'decided') {
        const errors = [{ where: `body.decisions.${outcome.index}`, detail: outcome.detail }]
        const codes = { missing: 'not-found', stale: 'version-mismatch', 'not-possible': 'not-possible' } as const
        throw new Problem(codes[outcome.kind], {}, errors)
      }
      subject['decisions'] = `${outcome.decisions.length} from ${outcome.decisions[0] ?? 'none'}`
      if (outcome.decisions.length === 0) return []
      const commit = await ports.store.commit(together(outcome.parts, await entries()))
      if (commit.kind === 'committed') return outcome.decisions
    }
    throw new Problem('conflict')
  }

  route(app, ports, {
    method: 'POST',
    path: `${base}/decisions`,
    access: 'record:write',
    action: 'record.decide',
    summary: 'Decide on what documents say',
    description:
      'Adds, replaces, ignores, merges, splits, chooses, releases, rejects, or takes a decision back: all of the list or nothing. Decisions and audit entry are one commit.',
    tag,
    params: recordParams,
    body: decisionsBody,
    completes: true,
    answers: decidedSchema,
    async handle(asked) {
      const { recordId } = asked.params
      asked.subject['record'] = recordId
      asked.subject['kinds'] = [...new Set(asked.body.decisions.map(({ kind }) => kind))].join(' ')
      await mustHave(ports, asked.caller, recordId)
      return {
        decisions: await decided(
          asked,
          recordId,
          asked.body.decisions.map((one) => defined(one) as DeedRequest),
        ),
      }
    },
  })

  route(app, ports, {
    method: 'GET',
    path: `${base}/decisions`,
    access: 'record:read',
    action: 'record.decisions',
    summary: 'Every decision on a record, newest first',
    tag,
    params: recordParams,
    query: decisionsQuery,
    answers: decisionsSchema,
    async handle({ caller, params: { recordId }, query, subject }) {
      subject['record'] = recordId
      await mustHave(ports, caller, recordId)
      const all = await ports.record.decisions(recordId, query.entry)
      const start = query.cursor === undefined ? 0 : all.findIndex(({ id }) => id === query.cursor)
      if (start < 0) throw new Problem('invalid-cursor')
      const page = all.slice(start, start + query.limit)
      const next = all[start + query.limit]
      const decisions = page.map(({ id, at, by, undone, deed }) => ({
        id,
        at: new Date(at).toISOString(),
        by,
        undone,
        deed,
      }))
      return { decisions, ...(next && { next: next.id }) }
    },
  })

  route(app, ports, {
    method: 'PATCH',
    path: `${base}/senders/:sender`,
    access: 'record:write',
    action: 'record.mode',
    summary: 'How the documents of a sender come into a record',
    description: 'Holds for documents that come from now on.',
    tag,
    params: senderParams,
    body: modeBody,
    answers: modesSchema,
    async handle(asked) {
      const { recordId, sender: text } = asked.params
      Object.assign(asked.subject, { record: recordId, sender: text, mode: asked.body.mode })
      await mustHave(ports, asked.caller, recordId)
      const sender = parseAddress(text)
      if (!sender) throw new Problem('invalid-request', {}, [{ where: 'path.sender', detail: 'Not a plain address' }])
      await decided(asked, recordId, [{ kind: 'mode', sender, mode: asked.body.mode }])
      return modesOf(ports, recordId)
    },
  })
}

async function modesOf({ record }: ApiPorts, recordId: string) {
  const { otherwise, senders } = await record.modes(recordId)
  return { otherwise, senders: Object.entries(senders).map(([sender, mode]) => ({ sender, mode })) }
}

function readingRoutes(app: FastifyInstance, ports: ApiPorts): void {
  const base = '/api/v1/records/:recordId'
  const tag = 'review'
  const shared = { method: 'GET', access: 'record:read', tag } as const

  route(app, ports, {
    ...shared,
    path: `${base}/review`,
    action: 'record.review',
    summary: 'What waits for a decision, by document',
    description:
      'Each entry stands under the newest document that speaks of it; `/items?document=…&review=true` has its words.',
    params: recordParams,
    answers: reviewSchema,
    async handle({ caller, params: { recordId }, subject }) {
      subject['record'] = recordId
      await mustHave(ports, caller, recordId)
      const waiting = await ports.record.review(recordId)
      return { documents: waiting.map(({ document, entries }) => ({ document: documentView(document), entries })) }
    },
  })

  route(app, ports, {
    ...shared,
    path: `${base}/documents`,
    action: 'documents.list',
    summary: 'Documents of a record, newest first',
    params: recordParams,
    answers: documentsSchema,
    async handle({ caller, params: { recordId }, subject }) {
      subject['record'] = recordId
      await mustHave(ports, caller, recordId)
      return { documents: (await ports.record.documents(recordId)).map(documentView) }
    },
  })

  route(app, ports, {
    ...shared,
    path: `${base}/documents/:sha256/reading`,
    action: 'document.reading',
    summary: 'What became of every statement of a document',
    params: readingParams,
    answers: readingSchema,
    async handle({ caller, params: { recordId, sha256 }, subject }) {
      Object.assign(subject, { record: recordId, document: sha256 })
      mustBeCustodian(await accessTo(ports, caller, recordId))
      const document = await ports.record.document(recordId, sha256)
      if (!document) throw new Problem('not-found')
      return documentView(document)
    },
  })

  route(app, ports, {
    ...shared,
    path: `${base}/senders`,
    action: 'record.modes',
    summary: 'How documents come into a record, by sender',
    params: recordParams,
    answers: modesSchema,
    async handle({ caller, params: { recordId }, subject }) {
      subject['record'] = recordId
      await mustHave(ports, caller, recordId)
      return modesOf(ports, recordId)
    },
  })
}
