import { describe, expect, it } from 'vitest'
import { openapiDocument } from '../../src/api/openapi.js'
import { readContext } from '../../src/mime/context.js'
import { readMime } from '../../src/mime/part.js'
import { gather } from '../../src/ports/body.js'
import { submissionQueue } from '../../src/spool/submission.js'
import { alice, openGateway } from './gateway.js'

const doctor = 'dr@far.example'

async function sendingGateway() {
  const gateway = await openGateway()
  const { submissions } = gateway
  const { headers } = await gateway.token(alice, ['messages:send', 'messages:read'])
  const post = async (
    payload: unknown,
    more: Record<string, string> = {},
    url = `/api/v1/mailboxes/${alice}/messages`,
  ) => {
    const response = await gateway.app.inject({
      ...{ method: 'POST', url, headers: { 'content-type': 'application/json', ...headers, ...more } },
      payload: typeof payload === 'string' ? payload : JSON.stringify(payload),
    })
    return { status: response.statusCode, headers: response.headers, json: () => JSON.parse(response.body) }
  }
  const get = async (url: string) => JSON.parse((await gateway.app.inject({ url, headers })).body)
  const original = async (id: string) => {
    const mailbox = (await gateway.directory.addresses.get(alice))?.mailbox ?? ''
    return gather((await submissions.message(mailbox, id)) ?? [])
  }
  return { ...gateway, post, get, original, headers }
}

const letter = { to: [doctor], subject: 'Grüße', text: 'Hello', attachments: [] }

describe('sending a message', () => {
  it('says its context, asks for confirmation, and names an XDM package in its subject', async () => {
    const { post, original } = await sendingGateway()
    const context = {
      patientIds: [{ domain: '2.16.840.1.113883.19.5', id: '9:9' }],
      type: { category: 'laboratory', action: 'result' },
      purpose: 'treatment',
      patient: { surname: 'Testperson', dateOfBirth: '1961-12-31' },
    }
    const sent = await post({ ...letter, context, confirmDelivery: 'dispatched' })
    expect(sent.status).toBe(202)
    const tree = readMime(await original(sent.json().id))
    if (tree.kind !== 'part') throw new Error(tree.detail)
    expect(readContext(tree)).toMatchObject({ context: { version: '1.1', ...context }, faults: [] })
    expect(tree.header.get('disposition-notification-to')).toBe(`<${alice}>`)
    expect(tree.header.get('disposition-notification-options')).toBe(
      'X-DIRECT-FINAL-DESTINATION-DELIVERY=optional,true',
    )
  })

  it.each([
    ['another word of the type', { type: { category: 'dental', action: 'result' } }],
    ['a list of numbers that is no OID', { patientIds: [{ domain: 'MRN', id: '9' }] }],
    ['a line break', { patient: { surname: 'a\nid: b' } }],
    ['a word about the patient that nobody knows', { patient: { shoeSize: '40' } }],
    ['a version', { version: '9' }],
  ])('refuses a context with %s', async (_, context) => {
    const { post } = await sendingGateway()
    expect(await post({ ...letter, context })).toMatchObject({ status: 400 })
  })

  it('composes it, keeps it, queues it and tells what becomes of it', async () => {
    const { post, get, original, store } = await sendingGateway()
    const content = Buffer.from('%PDF').toString('base64')
    const attachments = [{ name: 'résumé.pdf', mediaType: 'application/pdf', content }]
    const sent = await post({ ...letter, cc: ['desk@far.example'], attachments, inReplyTo: '<1@far.example>' })
    expect(sent.status).toBe(202)
    const { id, messageId, duplicate } = sent.json()
    expect(duplicate).toBe(false)
    expect(sent.headers['location']).toBe(`/api/v1/mailboxes/${encodeURIComponent(alice)}/submissions/${id}`)
    expect((await store.jobs(submissionQueue, 10)).map((job) => job.id)).toContain(id)

    const tree = readMime(await original(id))
    if (tree.kind !== 'part') throw new Error(tree.detail)
    expect(tree.header.get('from')).toBe(`<${alice}>`)
    expect(tree.header.get('cc')).toBe('<desk@far.example>')
    expect(tree.header.get('message-id')).toBe(messageId)
    expect(tree.header.get('in-reply-to')).toBe('<1@far.example>')
    expect(tree.children).toHaveLength(2)

    const told = await get(sent.headers['location'] as string)
    expect(told).toMatchObject({ id, mailbox: alice, messageId, subject: 'Grüße' })
    expect(told.recipients).toMatchObject([
      { recipient: doctor, state: 'waiting' },
      { recipient: 'desk@far.example', state: 'waiting' },
    ])
    expect(await get(`/api/v1/mailboxes/${alice}/submissions`)).toMatchObject({
      submissions: expect.arrayContaining([expect.objectContaining({ id })]),
    })
  })

  it('takes a whole message byte for byte, and sends it to everybody it names', async () => {
    const { post, original, get } = await sendingGateway()
    const raw = `From: ${alice}\r\nTo: ${doctor}\r\nCc: x@far.example\r\nBcc: y@far.example\r\nDate: Thu, 01 Jan 2026 00:00:00 +0000\r\nMessage-ID: <raw@x>\r\nMIME-Version: 1.0\r\n\r\n\xe9\r\n`
    const response = await post(raw, { 'content-type': 'message/rfc822' })
    expect(response.status).toBe(202)
    const { id, messageId } = response.json()
    expect(messageId).toBe('<raw@x>')
    expect(Buffer.from(await original(id)).toString('utf8')).toBe(raw.replace('Bcc: y@far.example\r\n', ''))
    const { recipients } = await get(`/api/v1/mailboxes/${alice}/submissions/${id}`)
    expect(recipients.map((one: { recipient: string }) => one.recipient)).toEqual([
      doctor,
      'x@far.example',
      'y@far.example',
    ])
  })

  it('sends nothing twice under one Idempotency-Key, and refuses another message under it', async () => {
    const { post, store } = await sendingGateway()
    const key = { 'idempotency-key': 'k1' }
    const [first, second] = [await post(letter, key), await post(letter, key)]
    expect(second.json()).toEqual({ ...first.json(), duplicate: true })
    expect(await post({ ...letter, text: 'Other' }, key)).toMatchObject({ status: 409 })
    expect(await store.jobs(submissionQueue, 10)).toHaveLength(3) // one each of the two patients
    expect((await post(letter)).json().id).not.toBe(first.json().id)
  })

  it.each([
    ['no recipients', { ...letter, to: [] }, 400, 'invalid-request'],
    ['a recipient that is no address', { ...letter, to: ['nobody'] }, 400, 'invalid-request'],
    [
      'an attachment that is no base64',
      { ...letter, attachments: [{ name: 'a', mediaType: 'a/b', content: '?' }] },
      400,
      'invalid-request',
    ],
    ['a field nobody knows', { ...letter, bcc: [doctor] }, 400, 'invalid-request'],
    [
      'a message from another address',
      { original: `From: bob@gw.example\r\nTo: ${doctor}\r\n\r\nx` },
      422,
      'not-sendable',
    ],
    [
      'too many recipients',
      { original: `From: ${alice}\r\nTo: ${Array.from({ length: 101 }, (_, n) => `x${n}@a.example`)}\r\n\r\nx` },
      422,
      'not-sendable',
    ],
  ])('refuses %s', async (_, payload, status, code) => {
    const { post } = await sendingGateway()
    const refused = await post(payload)
    expect(refused.json()).toMatchObject({ status, code })
    expect(refused.status).toBe(status)
    expect(refused.json().errors.length).toBeGreaterThan(0)
  })

  it('is for the holder of the mailbox with the scope to send, and no one else', async () => {
    const { post, token } = await sendingGateway()
    const reader = await token(alice, ['messages:read', 'messages:write'])
    expect(await post(letter, reader.headers)).toMatchObject({ status: 403 })
    expect(await post(letter, {}, '/api/v1/mailboxes/bob@gw.example/messages')).toMatchObject({ status: 404 })
    expect(await post('x', { 'content-type': 'text/plain' })).toMatchObject({ status: 415 })
  })

  it('answers that it is not available where nothing is sent, and is described', async () => {
    const gateway = await openGateway({}, { sending: undefined as never })
    const { headers } = await gateway.token('*', ['messages:send'])
    const url = `/api/v1/mailboxes/${alice}/messages`
    const response = await gateway.app.inject({ method: 'POST', url, headers, payload: letter })
    expect(response.statusCode).toBe(503)
    const { paths } = (await openapiDocument()) as { paths: Record<string, Record<string, { responses: object }>> }
    expect(Object.keys(paths['/api/v1/mailboxes/{address}/messages']?.['post']?.responses ?? {})).toEqual(
      expect.arrayContaining(['202', '409', '413', '415', '422']),
    )
  })
})
