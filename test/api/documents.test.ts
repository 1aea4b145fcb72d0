import { Buffer } from 'node:buffer'
import { describe, expect, it } from 'vitest'
import { viewDocument } from '../../src/clinical/view/document.js'
import { StepFailed, StepNotBegun } from '../../src/pipeline/steps.js'
import { viewOfDocument } from '../../src/pipeline/view.js'
import { parseHtml } from '../clinical/parsed-html.js'
import { ccd21 } from '../fixtures/clinical/documents.js'
import { openGateway } from './gateway.js'

const sha256 = 'a'.repeat(64)
const stored = {
  document: async () => ({ sha256, mediaType: 'text/xml', sizeBytes: 1 }) as never,
  documentBytes: async () =>
    (async function* () {
      yield Buffer.from(ccd21.slice(0, 1000))
      yield Buffer.from(ccd21.slice(1000))
    })(),
}
const asked = { whose: 'r', sha256, documents: '/d/' }
const views = { view: viewDocument }

describe('the view of a stored document', () => {
  it('is its page, with the policy that the page has', async () => {
    const outcome = await viewOfDocument(asked, { record: stored, views })
    if (outcome.kind !== 'page') throw new Error(outcome.kind)
    expect(parseHtml(outcome.html).active).toEqual([])
    expect(outcome.html).toContain(`content="${outcome.policy}"`)
  })

  it('is missing, unreadable or busy where that is so', async () => {
    const record = { ...stored, document: async () => undefined }
    expect(await viewOfDocument(asked, { record, views })).toEqual({ kind: 'missing' })
    const lost = { ...stored, documentBytes: async () => undefined }
    expect(await viewOfDocument(asked, { record: lost, views })).toEqual({ kind: 'unreadable' })
    const failing = (error: Error) => ({ view: () => Promise.reject(error) })
    expect(await viewOfDocument(asked, { record: stored, views: failing(new StepFailed('x')) })).toEqual({
      kind: 'unreadable',
    })
    expect(await viewOfDocument(asked, { record: stored, views: failing(new StepNotBegun('x')) })).toEqual({
      kind: 'busy',
    })
  })
})

describe('GET …/documents/{sha256}/view', () => {
  const path = (patient: { readonly recordId: string; readonly sha256: string }) =>
    `/api/v1/records/${patient.recordId}/documents/${patient.sha256}/view`

  it('answers a page that may do nothing, to whoever may see the record, and says so in the audit log', async () => {
    const { app, patients, token, store } = await openGateway({}, { views })
    const { headers } = await token('alice@gw.example', ['record:read'])
    const answer = await app.inject({ url: path(patients.alice), headers })
    expect(answer.statusCode).toBe(200)
    expect(answer.headers['content-type']).toBe('text/html; charset=utf-8')
    expect(answer.headers['x-content-type-options']).toBe('nosniff')
    const policy = String(answer.headers['content-security-policy'])
    for (const word of [
      "default-src 'none'",
      "style-src 'sha256-",
      'sandbox',
      "frame-ancestors 'none'",
      "form-action 'none'",
    ])
      expect(policy).toContain(word)
    expect(policy).not.toMatch(/unsafe|script/)
    expect(parseHtml(answer.body)).toMatchObject({ errors: [], active: [] })
    const logged: string[] = []
    for (const { value } of await store.log('audit', 0, 1000)) logged.push(Buffer.from(value).toString('utf8'))
    expect(logged.some((entry) => entry.includes('document.view') && entry.includes(patients.alice.sha256))).toBe(true)
    const other = await app.inject({ url: path(patients.bob), headers })
    expect(other.statusCode).toBe(404)
    expect((await app.inject({ url: path({ ...patients.alice, sha256 }), headers })).statusCode).toBe(404)
  })

  it('is unavailable where nobody makes pages', async () => {
    const { app, patients, token } = await openGateway()
    const { headers } = await token('alice@gw.example', ['record:read'])
    expect((await app.inject({ url: path(patients.alice), headers })).statusCode).toBe(503)
  })
})
