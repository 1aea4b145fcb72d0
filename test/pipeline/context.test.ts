import { describe, expect, it } from 'vitest'
import { gather } from '../../src/ports/body.js'
import {
  accept,
  alice,
  type Gateway,
  itemsOf,
  messagesOf,
  newGateway,
  seal,
  sealByHand,
  storyOf,
  work,
  write,
} from '../fixtures/gateway.js'

const metadata = 'version: 1.1\r\nid: <7@clinic.example>\r\ntype: referral/order\r\npatient: surname=Testpatient\r\n'
const part = `Content-Type: text/plain; name=metadata.txt\r\nContent-ID: <c1@clinic.example>\r\nContent-Disposition: attachment; filename=metadata.txt\r\n\r\n${metadata}`
const content = `Content-Type: multipart/mixed; boundary=inner\r\n\r\n--inner\r\n\r\nSee below.\r\n--inner\r\n${part}\r\n--inner--\r\n`
const context = {
  version: '1.1',
  id: '<7@clinic.example>',
  patientIds: [],
  type: { category: 'referral', action: 'order' },
  patient: { surname: 'Testpatient' },
  others: [],
}
const named = 'X-Direct-Context: <c1@clinic.example>\r\n'

async function received(wire: Uint8Array): Promise<{ readonly gateway: Gateway; readonly spool: string }> {
  const { gateway } = await newGateway()
  const spool = await accept(gateway, wire)
  await work(gateway)
  expect(await messagesOf(gateway, alice)).toHaveLength(1)
  return { gateway, spool }
}

async function originalOf(gateway: Gateway): Promise<string> {
  const { mailbox = '' } = (await gateway.directory.addresses.get(alice)) ?? {}
  const [message] = await messagesOf(gateway, alice)
  const chunks = await gateway.mailbox.original(mailbox, message?.id ?? '')
  return chunks ? (await gather(chunks)).toString() : ''
}

describe('the context of a message', () => {
  it('stands with the message, and is no document of the patient', async () => {
    const { gateway } = await received(seal({ header: named, content }))
    const [message] = await messagesOf(gateway, alice)
    expect(message).toMatchObject({ context, diagnostics: [], attachments: [{ name: 'metadata.txt' }] })
    expect(await itemsOf(gateway, alice)).toEqual([])
  })

  it('is read of an unwrapped message too, whose fields nobody signed', async () => {
    const outer = `From: <doctor@clinic.example>\r\nTo: <${alice}>\r\n${named}`
    const { gateway } = await received(sealByHand(content, { outer }))
    const [message] = await messagesOf(gateway, alice)
    expect(message?.context).toEqual(context)
    expect(message?.outerFields).toBeUndefined()
  })

  it('says nothing of the patient in trail and queue, and lies sealed', async () => {
    const { gateway, spool } = await received(seal({ header: named, content }))
    expect((await storyOf(gateway, spool)).join('\n')).not.toContain('Testpatient')
    for await (const { value } of rowsOf(gateway))
      expect(Buffer.from(value).toString('latin1')).not.toContain('Testpatient')
  })

  it('that cannot be read is told, and the message is there all the same', async () => {
    const { gateway } = await received(seal({ header: 'X-Direct-Context: <gone@x>\r\n', content }))
    const [message] = await messagesOf(gateway, alice)
    expect(message?.context).toBeUndefined()
    expect(message?.diagnostics).toEqual([
      { code: 'not-parsed', where: 'context', detail: expect.stringMatching(/no part/) },
    ])
    expect(await itemsOf(gateway, alice)).not.toEqual([])
  })
})

async function* rowsOf({ store }: Gateway) {
  for (const entry of await store.range({ gte: '', lt: '\uffff', limit: 1_000 })) yield entry
}

describe('X-Direct fields', () => {
  const inside = 'x-Direct-Purpose:   TREATMENT\r\nX-Direct-Anything: a,\r\n\t b  c\r\n'

  it('of the signed message are in the original, byte for byte', async () => {
    const { gateway } = await received(seal({ header: inside }))
    expect(await originalOf(gateway)).toBe(write({ header: inside }))
    expect((await messagesOf(gateway, alice))[0]?.outerFields).toBeUndefined()
  })

  it('of the envelope alone are kept as unsigned, and never as the message', async () => {
    const outer = `From: <doctor@clinic.example>\r\nX-Direct-Purpose: FRAUD\r\nx-direct-useCase: any-all\r\nX-Other: y\r\nX-Direct-formatCode:\r\n a b\r\n`
    const { gateway } = await received(seal({ header: inside, outer }))
    const [message] = await messagesOf(gateway, alice)
    expect(message?.outerFields).toEqual([
      { name: 'x-direct-useCase', value: 'any-all' },
      { name: 'X-Direct-formatCode', value: 'a b' },
    ])
    expect(await originalOf(gateway)).not.toMatch(/FRAUD|any-all/)
  })

  it('of the envelope are bounded in number and size', async () => {
    const many = Array.from({ length: 40 }, (_, i) => `X-Direct-A${i}: ${i}\r\n`).join('')
    const { gateway } = await received(seal({ outer: `From: <doctor@clinic.example>\r\n${many}` }))
    expect((await messagesOf(gateway, alice))[0]?.outerFields).toHaveLength(20)
    const long = `X-Direct-A: ${'a'.repeat(900)}\r\nX-Direct-B: ${'b'.repeat(900)}\r\nX-Direct-C: ${'c'.repeat(900)}\r\n`
    const other = await received(seal({ outer: `From: <doctor@clinic.example>\r\n${long}` }))
    expect((await messagesOf(other.gateway, alice))[0]?.outerFields?.map(({ name }) => name)).toEqual([
      'X-Direct-A',
      'X-Direct-B',
    ])
  })
})
