import { describe, expect, it } from 'vitest'
import type { DirectAddress } from '../../src/direct/address.js'
import { gather } from '../../src/ports/body.js'
import { accept, alice, done, type Gateway, itemsOf, messagesOf, newGateway, seal, work } from '../fixtures/gateway.js'

/** Bytes that no transfer may change: all octets, line ends of every kind, and a first line of their own. */
const octets = Buffer.concat([
  Buffer.from(Array.from({ length: 256 }, (_, i) => i)),
  Buffer.from('\r\n.\r\n\n\r--b--\r\n'),
])
const withHead = (...head: readonly (number | string)[]) =>
  Buffer.concat([...head.map((one) => (typeof one === 'string' ? Buffer.from(one) : Buffer.of(one))), octets])

const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64').replace(/.{76}/g, '$&\r\n')
const attach = (type: string, name: string, bytes: Uint8Array) =>
  `Content-Type: ${type}\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename="${name}"\r\n\r\n${base64(bytes)}`
const mixed = (...parts: readonly string[]) =>
  `Content-Type: multipart/mixed; boundary=b\r\n\r\n${['Content-Type: text/plain\r\n\r\nSee below.', ...parts].map((part) => `--b\r\n${part}\r\n`).join('')}--b--\r\n`

const ccda =
  '<?xml version="1.0"?><ClinicalDocument xmlns="urn:hl7-org:v3"><templateId root="2.16.840.1.113883.10.20.22.1.1"/><code code="34133-9" codeSystem="2.16.840.1.113883.6.1"/><title>Summary</title></ClinicalDocument>'

async function received(content: string): Promise<Gateway> {
  const { gateway } = await newGateway()
  await accept(gateway, seal({ content }))
  await work(gateway)
  expect(await messagesOf(gateway, alice)).toHaveLength(1)
  return gateway
}

/** Every attachment as the mailbox hands it out. */
async function attachmentsOf(gateway: Gateway) {
  const { mailbox = '' } = (await gateway.directory.addresses.get(alice)) ?? {}
  const [message] = await messagesOf(gateway, alice)
  return Promise.all(
    (message?.attachments ?? []).map(async ({ index }) =>
      gateway.mailbox.attachment(mailbox, message?.id ?? '', index),
    ),
  )
}

describe('an attachment', () => {
  it.each([
    ['application/pdf', 'scan.pdf', withHead('%PDF-1.4\n'), 'pdf', 'application/pdf'],
    ['image/png', 'x-ray.png', withHead(0x89, 'PNG\r\n', 0x1a, '\n'), 'image', 'image/png'],
    ['image/tiff', 'fax.tif', withHead('II', 0x2a, 0), 'image', 'image/tiff'],
    ['image/jpeg', 'photo.jpg', withHead(0xff, 0xd8, 0xff, 0xe0), 'image', 'image/jpeg'],
    ['text/plain; charset=us-ascii', 'notes.txt', Buffer.from('Take two.\r\nRest.\n'), 'text', 'text/plain'],
    ['application/x-unheard-of', 'blob.bin', octets, 'other', 'application/x-unheard-of'],
    ['application/octet-stream', 'summary.xml', Buffer.from(ccda), 'c-cda', undefined],
    [
      'text/xml',
      'broken.xml',
      Buffer.from('<?xml version="1.0"?><ClinicalDocument xmlns="urn:hl7-org:v3"><title>'),
      'xml',
      undefined,
    ],
    ['application/pdf', 'empty.pdf', Buffer.alloc(0), 'other', 'application/pdf'],
  ])(
    'of type %s (%s) is a document with its name, its type and every byte',
    async (type, name, bytes, format, mediaType) => {
      const gateway = await received(mixed(attach(type, name, bytes)))
      const found = (await itemsOf(gateway, alice)).filter(({ item }) => item.content.type === 'document')
      expect(found).toHaveLength(1)
      const [document] = found
      expect(document?.item.content).toMatchObject({
        name,
        format,
        sizeBytes: bytes.length,
        ...(mediaType && { mediaType }),
      })
      const kept = await gateway.record.documentBytes(
        document?.recordId ?? '',
        document?.item.provenance.document ?? '',
      )
      expect(Buffer.from(await gather(kept ?? [])).equals(bytes)).toBe(true)
      const [attachment] = await attachmentsOf(gateway)
      expect(attachment?.attachment).toMatchObject({
        name,
        sizeBytes: bytes.length,
        documentItemIds: [document?.item.id],
      })
      expect(Buffer.from(attachment?.bytes ?? []).equals(bytes)).toBe(true)
    },
  )

  it('that is broken XML says so and does not harm its neighbours', async () => {
    const gateway = await received(
      mixed(
        attach('text/xml', 'broken.xml', Buffer.from('<?xml version="1.0"?><a><b></a>')),
        attach('text/xml', 'good.xml', Buffer.from(ccda)),
      ),
    )
    const items = await itemsOf(gateway, alice)
    expect(items.map(({ item }) => item.content.type === 'document' && item.content.format).sort()).toEqual([
      'c-cda',
      'xml',
    ])
    const broken = items.find(({ item }) => item.content.type === 'document' && item.content.name === 'broken.xml')
    const document = await gateway.record.document(broken?.recordId ?? '', broken?.item.provenance.document ?? '')
    expect(document?.diagnostics.map(({ code }) => code)).toContain('not-well-formed')
  })

  it('that cannot be decoded is kept as it was transferred, and the message says so', async () => {
    const gateway = await received(
      mixed(
        'Content-Type: application/pdf; name=a.pdf\r\nContent-Transfer-Encoding: x-unheard-of\r\nContent-Disposition: attachment\r\n\r\n???',
      ),
    )
    const [message] = await messagesOf(gateway, alice)
    expect(message?.attachments).toMatchObject([{ name: 'a.pdf', sizeBytes: 3 }])
    expect(message?.diagnostics).toMatchObject([{ code: 'not-parsed' }])
    expect(await itemsOf(gateway, alice)).toHaveLength(1)
  })

  it('of which there are many comes with all of them, in order', async () => {
    const parts = Array.from({ length: 30 }, (_, i) =>
      attach('application/pdf', `${i}.pdf`, Buffer.from(`%PDF-1.4 ${i}`)),
    )
    const gateway = await received(mixed(...parts))
    const [message] = await messagesOf(gateway, alice)
    expect(message?.attachments.map(({ name }) => name)).toEqual(parts.map((_, i) => `${i}.pdf`))
    expect(await itemsOf(gateway, alice)).toHaveLength(30)
  })

  it('proposes nothing for an address that has no record, and names no items there', async () => {
    const { gateway } = await newGateway()
    const nurse = 'nurse@patients.example' as DirectAddress
    await done(gateway.directory.addresses.add(nurse, 'provider', 'test'))
    await accept(gateway, seal({ to: [nurse], content: mixed(attach('application/pdf', 'a.pdf', octets)) }), [nurse])
    await work(gateway)
    expect(await messagesOf(gateway, nurse)).toMatchObject([{ attachments: [{ name: 'a.pdf', documentItemIds: [] }] }])
  })
})

describe('a message that is one leaf', () => {
  it.each([
    ['a PDF', 'application/pdf; name=scan.pdf', withHead('%PDF-1.4\n'), 'pdf'],
    ['a C-CDA', 'text/xml; name=summary.xml', Buffer.from(ccda), 'c-cda'],
    ['a C-CDA as application/xml', 'application/xml', Buffer.from(ccda), 'c-cda'],
    ['an image', 'image/tiff; name=fax.tif', withHead('II', 0x2a, 0), 'image'],
  ])('%s is an attachment and a document', async (_, type, bytes, format) => {
    const gateway = await received(
      `Content-Type: ${type}\r\nContent-Transfer-Encoding: base64\r\n\r\n${base64(bytes)}\r\n`,
    )
    const [document] = await itemsOf(gateway, alice)
    expect(document?.item.content).toMatchObject({ type: 'document', format, sizeBytes: bytes.length })
    const [attachment] = await attachmentsOf(gateway)
    expect(attachment?.attachment).toMatchObject({ path: '1', documentItemIds: [document?.item.id] })
    expect(Buffer.from(attachment?.bytes ?? []).equals(bytes)).toBe(true)
  })

  it('of text has no attachment and no document', async () => {
    const gateway = await received('Content-Type: text/plain\r\n\r\nHello.\r\n')
    expect(await messagesOf(gateway, alice)).toMatchObject([{ attachments: [], preview: 'Hello.\n' }])
    expect(await itemsOf(gateway, alice)).toEqual([])
  })

  it('without any MIME field is text', async () => {
    const { gateway } = await newGateway()
    await accept(gateway, seal({ message: `From: <doctor@clinic.example>\r\nTo: <${alice}>\r\n\r\nOld mail.\r\n` }))
    await work(gateway)
    expect(await messagesOf(gateway, alice)).toMatchObject([{ preview: 'Old mail.\n' }])
  })
})
