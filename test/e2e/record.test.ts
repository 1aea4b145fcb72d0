import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readDocument } from '../../src/clinical/read.js'
import { samplePatient } from '../../src/demo/documents/patient.js'
import { sampleCcda, sampleCcr } from '../../src/demo/documents.js'
import { listenForMail, openMail } from '../../src/demo/mail.js'
import type { RecordItem } from '../../src/direct/clinical.js'
import {
  ask,
  attached,
  type Estate,
  furnished,
  letter,
  mustRun,
  patient,
  type Serving,
  sender,
  serve,
  until,
} from '../fixtures/process.js'

/** What a patient does with the record over real sockets: review, take in, read as FHIR, view, give back. */

interface Waiting {
  readonly document: { readonly sha256: string; readonly standing: string; readonly match: { readonly kind: string } }
  readonly entries: readonly { readonly id: string; readonly state: string }[]
}

interface Bundle {
  readonly total?: number
  readonly entry?: readonly { readonly resource: Readonly<Record<string, unknown>> }[]
}

let mail: Awaited<ReturnType<typeof listenForMail>>
let estate: Estate
let gateway: Serving
let token = ''
let base = ''
let record = ''

const api = (path: string, init?: RequestInit) => ask(gateway.url, token, path, init)
const decide = (...decisions: readonly object[]) =>
  api(`${base}/decisions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ decisions }),
  })
const waiting = async () => (await api(`${base}/review`)).json<{ documents: readonly Waiting[] }>().documents
const count = async (query = '') =>
  (await api(`${base}/items?limit=200${query}`)).json<{ items: readonly RecordItem[] }>().items.length

/** Sends a document, and answers what waits once the message is there. */
async function receive(id: string, document: Uint8Array): Promise<readonly Waiting[]> {
  const session = await openMail(gateway.smtpPort)
  const wire = await letter(estate, id, { subject: id, content: attached('summary.xml', 'text/xml', document) })
  expect(await session.send(sender, [patient], wire)).toMatch(/^250 /)
  session.close()
  await until(async () => {
    const listed = (await api(`/api/v1/mailboxes/${patient}/messages`)).json<{ messages: { subject: string }[] }>()
    return listed.messages.some(({ subject }) => subject === id) ? true : undefined
  })
  return waiting()
}

beforeAll(async () => {
  mail = await listenForMail()
  estate = await furnished(mail.port)
  const scopes = ['messages:read', 'record:read', 'record:write']
  const create = ['token', 'create', '--address', patient, '--scope', ...scopes, '--config', 'gateway.yaml']
  token = (await mustRun(estate.folder, ...create)).trim()
  gateway = await serve(estate.folder)
  const listed = (await api('/api/v1/records')).json<{ records: { recordId: string }[] }>()
  record = listed.records[0]?.recordId ?? ''
  base = `/api/v1/records/${record}`
})

afterAll(async () => {
  await gateway.stop()
  mail.close()
  estate.remove()
})

describe('a record', () => {
  it('shows nothing of a document until its patient took it in', async () => {
    const [first, ...others] = await receive('summary', sampleCcda())
    expect(others).toEqual([])
    expect(first?.document.standing).toBe('live')
    expect(first?.entries.length).toBeGreaterThan(15)
    expect((await api(`${base}/export?format=ccd`)).status).toBe(404)
    expect((await api('/fhir/AllergyIntolerance')).json<Bundle>().entry ?? []).toEqual([])

    expect((await decide({ kind: 'add-document', document: first?.document.sha256 })).status).toBe(200)
    expect(await waiting()).toEqual([])
    expect(await count('&state=current')).toBe(first?.entries.length)
  })

  it('takes the same bytes once, and the same facts from another document as more appearances', async () => {
    const before = await count()
    expect(await receive('once more', sampleCcda())).toEqual([])
    expect(await count()).toBe(before)
    const waits = await receive('as a CCR', sampleCcr())
    const allergies = await count('&type=allergy')
    expect(allergies).toBe(samplePatient.allergies.length)
    for (const { document } of waits) expect(document.match.kind).toBe('match')
  })

  it('leaves as FHIR, and the original with it', async () => {
    const bundle = (await api('/fhir/AllergyIntolerance')).json<Bundle>()
    expect(bundle.entry?.map(({ resource }) => resource['resourceType'])).toContain('AllergyIntolerance')
    const person = (await api(`/fhir/Patient/${record}`)).json<{ birthDate: string }>()
    expect(person.birthDate).toBe(samplePatient.birthDate)
    const documents = (await api('/fhir/DocumentReference')).json<{
      entry: readonly { resource: { content: readonly { attachment: { url: string } }[] } }[]
    }>()
    const urls = documents.entry.flatMap(({ resource }) => resource.content.map(({ attachment }) => attachment.url))
    const bytes = await Promise.all(urls.map(async (url) => (await api(new URL(url, gateway.url).pathname)).bytes))
    expect(bytes.some((one) => one.equals(Buffer.from(sampleCcda())))).toBe(true)
  })

  it('leaves as a C-CDA, a CCR and a package that can be read again', async () => {
    for (const format of ['ccd', 'ccr', 'xdm']) {
      const { status, bytes, headers } = await api(`${base}/export?format=${format}`)
      expect([format, status]).toEqual([format, 200])
      expect(headers.get('content-disposition')).toContain('attachment')
      const read = await readDocument(bytes)
      const substances = read.documents
        .flatMap(({ items }) => items)
        .flatMap(({ content }) => (content.type === 'allergy' ? [content.substance.codings[0]?.code] : []))
      expect(substances).toEqual(expect.arrayContaining(samplePatient.allergies.map(({ substance }) => substance.code)))
    }
  })

  it('shows each document as a page on which nothing runs', async () => {
    const listed = (await api(`${base}/documents`)).json<{ documents: readonly { sha256: string }[] }>()
    for (const { sha256 } of listed.documents) {
      const page = await api(`${base}/documents/${sha256}/view`)
      expect(page.status).toBe(200)
      expect(page.headers.get('content-security-policy')).toContain("default-src 'none'")
      expect(page.bytes.toString()).toContain(samplePatient.family)
      expect(page.bytes.toString()).not.toMatch(/<script|javascript:/i)
    }
  })

  it('holds what is about somebody else, until a person says whose it is', async () => {
    const before = await count()
    const stranger = {
      ...samplePatient,
      given: 'Igor',
      family: 'Elsewhere',
      birthDate: '1931-02-03',
      gender: 'M',
    } as const
    const held = (await receive('of another', sampleCcda({ ...stranger, medicalRecordNumber: 'elsewhere-7' }))).filter(
      ({ document }) => document.standing === 'held',
    )
    expect(held.map(({ document }) => document.match.kind)).toEqual(['mismatch'])
    expect(await count()).toBe(before)
    expect((await decide({ kind: 'reject', document: held[0]?.document.sha256 })).status).toBe(200)
    expect((await waiting()).filter(({ document }) => document.standing === 'held')).toEqual([])
    expect(await count()).toBe(before)
  })

  it('stays as it was when the gateway is started again', async () => {
    const before = await count()
    await gateway.stop()
    gateway = await serve(estate.folder)
    expect(await count()).toBe(before)
  })
})
