import { Buffer } from 'node:buffer'
import { describe, expect, it } from 'vitest'
import { readDocument } from '../../src/clinical/read.js'
import type { RecordItem } from '../../src/direct/clinical.js'
import { openExport, type Writer } from '../../src/pipeline/export.js'
import { StepFailed, StepNotBegun } from '../../src/pipeline/steps.js'
import type { RecordEntry } from '../../src/record/item.js'
import { openGateway } from './gateway.js'

const aspirin = {
  codings: [{ system: 'http://www.nlm.nih.gov/research/umls/rxnorm', code: '1191', display: 'Aspirin' }],
  text: 'Aspirin',
}

function entry(id: string, content: RecordItem['content'], withheld = false): RecordEntry {
  const item: RecordItem = {
    id: id.repeat(32),
    content,
    when: { low: { text: '2015', precision: 'year', offsetMinutes: null, source: '2015' } },
    negated: false,
    identifiers: [],
    provenance: { document: 'd'.repeat(64), entry: `made/up[${id}]`, authors: [] },
  }
  return { id: `entry-${id}`, item, withheld } as RecordEntry
}

const shown = [
  entry('a', { type: 'allergy', substance: aspirin, reactions: [] }),
  entry('b', { type: 'problem', problem: { codings: [], text: 'Headache' } }),
  entry('c', { type: 'problem', problem: { codings: [], text: 'Secret' } }, true),
]

function exportsOf(entries: readonly RecordEntry[], limits?: { items: number; bytes: number }, writer?: Writer) {
  return openExport({
    record: {
      async *current() {
        yield* entries
      },
    },
    clock: { now: () => Date.UTC(2026, 0, 2, 3, 4, 5) },
    custodian: { kind: 'organization', text: 'Example Gateway', identifiers: [] },
    ...(limits && { limits }),
    ...(writer && { writer }),
  })
}

describe('a record as a document', () => {
  it.each(['ccd', 'ccr', 'xdm'] as const)('has in %s what is shown and not withheld', async (format) => {
    const outcome = await exportsOf(shown).export('r', { format })
    if (outcome.kind !== 'document') throw new Error(outcome.kind)
    const { documents, diagnostics } = await readDocument(outcome.bytes)
    expect(diagnostics).toEqual([])
    const said = JSON.stringify(documents.map(({ items }) => items))
    expect(said).toContain('1191')
    expect(said).toContain('Headache')
    expect(said).not.toContain('Secret')
    expect(outcome.name).toMatch(/^health-summary-2026-01-02[a-z.-]*$/)
  })

  it('has what is withheld when its entry is picked, and then nothing else', async () => {
    const outcome = await exportsOf(shown).export('r', { format: 'ccd', ids: ['entry-c'] })
    if (outcome.kind !== 'document') throw new Error(outcome.kind)
    const xml = Buffer.from(outcome.bytes).toString('utf8')
    expect(xml).toContain('Secret')
    expect(xml).not.toContain('Headache')
  })

  it('is refused by name where there is nothing, or too much', async () => {
    expect(await exportsOf([]).export('r', { format: 'ccd' })).toEqual({ kind: 'nothing' })
    expect(await exportsOf(shown).export('r', { format: 'ccd', ids: ['unknown'] })).toEqual({ kind: 'nothing' })
    expect(await exportsOf(shown).export('r', { format: 'ccd', to: '2014' })).toEqual({ kind: 'nothing' })
    const few = exportsOf(shown, { items: 1, bytes: 1_000_000 })
    expect(await few.export('r', { format: 'ccd' })).toEqual({ kind: 'too-many', most: 1 })
    const small = exportsOf(shown, { items: 10, bytes: 100 })
    expect(await small.export('r', { format: 'ccr' })).toEqual({ kind: 'too-large', mostBytes: 100 })
  })

  it('is chosen from more than a document may hold, where the choice itself fits', async () => {
    const many = [...shown, ...Array.from({ length: 50 }, () => entry('d', { type: 'goal', goal: aspirin }))]
    const outcome = await exportsOf(many, { items: 5, bytes: 1_000_000 }).export('r', {
      format: 'ccd',
      types: ['allergy'],
    })
    expect(outcome).toMatchObject({ kind: 'document', items: 1 })
  })

  it('waits for another time when no thread has one, and says so when a thread ends over it', async () => {
    const failing = (error: Error) =>
      exportsOf(shown, undefined, { write: () => Promise.reject(error) }).export('r', { format: 'ccd' })
    expect(await failing(new StepNotBegun('write'))).toEqual({ kind: 'busy' })
    expect(await failing(new StepFailed('write'))).toEqual({ kind: 'failed' })
    await expect(failing(new Error('a defect'))).rejects.toThrow('a defect')
  })
})

describe('GET …/records/{recordId}/export', () => {
  it('answers a file, to whoever may see the record, and says so in the audit log', async () => {
    const { app, patients, token, store } = await openGateway({}, { exports: exportsOf(shown) })
    const { headers } = await token('alice@gw.example', ['record:read'])
    const url = `/api/v1/records/${patients.alice.recordId}/export`
    const answer = await app.inject({ url: `${url}?format=ccd&type=problem&type=allergy&from=2015`, headers })
    expect(answer.statusCode).toBe(200)
    expect(answer.headers['content-type']).toBe('application/xml')
    expect(answer.headers['content-disposition']).toMatch(/^attachment; filename="health-summary-/)
    expect(answer.body).toContain('Headache')
    const logged: string[] = []
    for (const { value } of await store.log('audit', 0, 1000)) logged.push(Buffer.from(value).toString('utf8'))
    expect(logged.some((one) => one.includes('record.export') && one.includes(patients.alice.recordId))).toBe(true)
    expect(logged.join()).not.toContain('Headache')
    expect(
      (await app.inject({ url: `/api/v1/records/${patients.bob.recordId}/export?format=ccd`, headers })).statusCode,
    ).toBe(404)
    for (const wrong of ['format=pdf', '', 'format=ccd&type=nonsense', 'format=ccd&from=yesterday']) {
      expect((await app.inject({ url: `${url}?${wrong}`, headers })).statusCode, wrong).toBe(400)
    }
  })

  it('is unavailable where nobody makes documents', async () => {
    const { app, patients, token } = await openGateway()
    const { headers } = await token('alice@gw.example', ['record:read'])
    const answer = await app.inject({ url: `/api/v1/records/${patients.alice.recordId}/export?format=ccr`, headers })
    expect(answer.statusCode).toBe(503)
  })
})
