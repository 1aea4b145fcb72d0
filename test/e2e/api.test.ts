import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { sampleCcda } from '../../src/demo/documents.js'
import { listenForMail, openMail } from '../../src/demo/mail.js'
import {
  ask,
  attached,
  type Estate,
  furnished,
  keptBytes,
  letter,
  letterHead,
  mustRun,
  neighbour,
  patient,
  type Serving,
  sender,
  serve,
  until,
} from '../fixtures/process.js'

/** Words that stand nowhere but in the letter: in its subject, body, attachment and file name. */
const canaries = ['Kanarienvogel', 'Wellensittich', 'Nymphensittich', 'Zebrafink'] as const
const [inSubject, inBody, inDocument, inName] = canaries

interface Listed {
  readonly id: string
  readonly subject: string
  readonly version: string
  readonly sizeBytes: number
  readonly flags: Readonly<Record<string, boolean>>
  readonly attachments: readonly { readonly index: number; readonly name?: string; readonly sha256?: string }[]
}

let mail: Awaited<ReturnType<typeof listenForMail>>
let estate: Estate
let gateway: Serving
const tokens = { patient: '', neighbour: '', operator: '' }
const base = `/api/v1/mailboxes/${patient}/messages`
const document = Buffer.from(
  Buffer.from(sampleCcda())
    .toString('utf8')
    .replace('Penicillin G', inDocument)
    .replace(/Penicillin G/g, inDocument),
)
let signedPart = ''

beforeAll(async () => {
  mail = await listenForMail()
  estate = await furnished(mail.port)
  const on = ['--config', 'gateway.yaml']
  const create = async (address: string, ...scopes: string[]) =>
    (await mustRun(estate.folder, 'token', 'create', '--address', address, '--scope', ...scopes, ...on)).trim()
  tokens.patient = await create(patient, 'messages:read', 'messages:write', 'record:read')
  tokens.neighbour = await create(neighbour, 'messages:read', 'messages:write', 'record:read')
  tokens.operator = await create('*', 'operator')
  gateway = await serve(estate.folder)

  const content = attached(`${inName}.xml`, 'text/xml', document).replace('Attached.', `${inBody} sings.`)
  signedPart = `${letterHead('canary', `About a ${inSubject}`)}${content}`
  const session = await openMail(gateway.smtpPort)
  const wires = [
    await letter(estate, 'canary', { content, subject: `About a ${inSubject}` }),
    ...(await Promise.all(['two', 'three', 'four', 'five'].map((id) => letter(estate, id, { subject: `No. ${id}` })))),
    // Refused, but kept in quarantine: nothing of it may be readable either.
    await letter(estate, 'refused', { content, subject: `About a ${inSubject}`, signer: estate.stranger }),
  ]
  for (const wire of wires) expect(await session.send(sender, [patient], wire)).toMatch(/^250 /)
  session.close()
  await until(async () => {
    const listed = (await ask(gateway.url, tokens.patient, base)).json<{ messages: Listed[] }>()
    return listed.messages.length === 5 || undefined
  })
  await until(() => mail.received.length === 5 || undefined)
})
afterAll(async () => {
  await gateway.stop()
  mail.close()
  estate.remove()
})

async function canary(): Promise<Listed> {
  const { messages } = (await ask(gateway.url, tokens.patient, base)).json<{ messages: Listed[] }>()
  const found = messages.find(({ subject }) => subject.includes(inSubject))
  if (!found) throw new Error('the letter is not there')
  return found
}

describe('the API from outside', () => {
  it('answers nobody without a token, and says so as a problem', async () => {
    for (const [path, token] of [
      [base, undefined],
      [base, 'dgt_wrong'],
      ['/api/v1/records', undefined],
      ['/api/v1/quarantine', `dgt_${'A'.repeat(43)}`],
    ] as const) {
      const { status, headers, json } = await ask(gateway.url, token, path)
      expect(status).toBe(401)
      expect(headers.get('content-type')).toMatch(/^application\/problem\+json/)
      expect(headers.get('www-authenticate')).toMatch(/^Bearer/)
      expect(json<{ code: string }>().code).toBe('unauthenticated')
    }
    for (const path of ['/livez', '/readyz', '/api/v1/openapi.json'])
      expect((await ask(gateway.url, undefined, path)).status).toBe(200)
  })

  it('pages through a mailbox, each message once', async () => {
    const seen: string[] = []
    for (let cursor = ''; ; ) {
      const page = (await ask(gateway.url, tokens.patient, `${base}?limit=2${cursor}`)).json<{
        messages: Listed[]
        next?: string
      }>()
      expect(page.messages.length).toBeLessThanOrEqual(2)
      seen.push(...page.messages.map(({ id }) => id))
      if (page.next === undefined) break
      cursor = `&cursor=${encodeURIComponent(page.next)}`
    }
    expect(new Set(seen).size).toBe(5)
    expect(seen).toHaveLength(5)
    expect((await ask(gateway.url, tokens.patient, `${base}?cursor=nonsense`)).json()).toMatchObject({
      status: 400,
      code: 'invalid-cursor',
    })
    expect((await ask(gateway.url, tokens.patient, `${base}?limit=0`)).status).toBe(400)
  })

  it('sets flags for those who may write and who saw the latest version', async () => {
    const { id, version } = await canary()
    const patch = (body: object, headers: Record<string, string> = {}, token = tokens.patient) =>
      ask(gateway.url, token, `${base}/${id}`, {
        method: 'PATCH',
        body: JSON.stringify(body),
        headers: { 'content-type': 'application/json', ...headers },
      })
    expect((await patch({ seen: true }, { 'if-match': version })).json<Listed>().flags).toMatchObject({ seen: true })
    expect(await patch({ seen: false }, { 'if-match': version })).toMatchObject({ status: 412 })
    expect((await canary()).flags).toMatchObject({ seen: true, flagged: false })
    expect((await patch({ seen: 'yes' })).status).toBe(400)
    expect((await patch({ stolen: true })).status).toBe(400)
    expect((await patch({ seen: false }, {}, tokens.neighbour)).status).toBe(404)
    expect((await patch({ seen: false }, {}, tokens.operator)).status).toBe(403)
  })

  it('gives the attachment and the message byte for byte, never to be shown by a browser', async () => {
    const { id, attachments, sizeBytes } = await canary()
    const attachment = await ask(gateway.url, tokens.patient, `${base}/${id}/attachments/${attachments[0]?.index}`)
    expect(attachment.status).toBe(200)
    expect(attachment.bytes.equals(document)).toBe(true)
    expect(attachments[0]?.sha256).toBe(createHash('sha256').update(document).digest('hex'))
    expect(attachment.headers.get('content-disposition')).toContain(`${inName}.xml`)
    const original = await ask(gateway.url, tokens.patient, `${base}/${id}/original`)
    expect(original.bytes.toString()).toBe(signedPart)
    expect(original.bytes).toHaveLength(sizeBytes)
    for (const { headers } of [attachment, original]) {
      expect(headers.get('content-disposition')).toMatch(/^attachment/)
      expect(headers.get('x-content-type-options')).toBe('nosniff')
      expect(headers.get('cache-control')).toBe('no-store')
    }
    expect((await ask(gateway.url, tokens.patient, `${base}/${id}/attachments/7`)).status).toBe(404)
  })

  it("answers 404 for other people's mail and records, existing or not", async () => {
    const { id } = await canary()
    const { records } = (await ask(gateway.url, tokens.patient, '/api/v1/records')).json<{
      records: { recordId: string }[]
    }>()
    const paths = [
      base,
      `${base}/${id}`,
      `${base}/${id}/original`,
      `${base}/${id}/attachments/0`,
      `${base}/${id}/trail`,
    ]
    const bodies = new Set<string>()
    for (const path of [
      ...paths,
      `/api/v1/records/${records[0]?.recordId}/items`,
      '/api/v1/mailboxes/nobody@patients.example/messages',
      '/api/v1/mailboxes/..%2f..%2fetc/messages',
    ]) {
      const answer = await ask(gateway.url, tokens.neighbour, path)
      expect(`${path} ${answer.status}`).toBe(`${path} 404`)
      bodies.add(JSON.stringify({ ...answer.json<object>(), instance: '' }))
    }
    expect(bodies.size).toBe(1)
    expect((await ask(gateway.url, tokens.patient, '/api/v1/quarantine')).status).toBe(403)
    expect((await ask(gateway.url, tokens.operator, base)).status).toBe(403)
  })
})

describe('nothing of a letter is readable', () => {
  it('on the disk, in the log, in the metrics, in trail, quarantine, queue or audit', async () => {
    const on = ['--config', 'gateway.yaml']
    const metrics = await ask(gateway.url, undefined, '/metrics')
    expect(metrics.status).toBe(200)
    const quarantined = await ask(gateway.url, tokens.operator, '/api/v1/quarantine')
    expect(quarantined.json<{ messages: object[] }>().messages).toHaveLength(1)
    const [kept] = quarantined.json<{ messages: { spoolId: string }[] }>().messages
    const told = [
      metrics.bytes.toString(),
      quarantined.bytes.toString(),
      await mustRun(estate.folder, 'trace', kept?.spoolId ?? '', ...on),
      await mustRun(estate.folder, 'quarantine', 'show', kept?.spoolId ?? '', '--json', ...on),
      await mustRun(estate.folder, 'queue', 'list', '--json', ...on),
    ]
    const { code, out, err } = await gateway.stop()
    expect(code).toBe(0)
    told.push(out, err)
    expect(err).toContain('gateway.stopped')
    const secrets = [...canaries, ...Object.values(tokens)]
    for (const text of told) expect(secrets.filter((word) => text.includes(word))).toEqual([])

    const all = await keptBytes(estate)
    expect(all.length).toBeGreaterThan(3)
    // The store holds the letter in the form it was sent, encrypted; neither that nor what we made of it may be readable.
    const shapes = (word: string) => [
      Buffer.from(word),
      Buffer.from(word.toLowerCase()),
      Buffer.from(word, 'utf16le'),
      ...[0, 1, 2].map((skip) => Buffer.from(Buffer.from(word.slice(skip)).toString('base64').slice(0, 10))),
    ]
    const found = all.flatMap(([place, bytes]) =>
      secrets.filter((word) => shapes(word).some((shape) => bytes.includes(shape))).map((word) => `${place}: ${word}`),
    )
    expect(found).toEqual([])
    // The search itself finds what is there: the patient's address is no secret to the directory.
    expect(all.some(([, bytes]) => bytes.includes(Buffer.from('pat.sample')))).toBe(true)
  })
})
