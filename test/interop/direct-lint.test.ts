import { describe, expect, it } from 'vitest'
import type { DirectAddress } from '../../src/direct/address.js'
import { composeMdn } from '../../src/notices/mdn.js'
import { broken, lintDirect } from '../fixtures/direct-lint.js'
import { makeAuthority, makeLeaf } from '../fixtures/pki.js'
import { ready, sealed } from '../smime/identities.js'

/** The rules of accreditation validators on what the gateway seals, and the seeded faults that they must see. */

const authority = makeAuthority()
const from = 'ann@clinic.example' as DirectAddress
const to = 'ben@lab.example' as DirectAddress
const ann = makeLeaf(authority, { keyType: 'rsa2048', san: { email: [from] } })
const ben = makeLeaf(authority, { keyType: 'rsa2048', san: { email: [to] } })

const outerHeaders = (messageId: string) => [
  { name: 'From', value: `<${from}>` },
  { name: 'To', value: `<${to}>` },
  { name: 'Date', value: 'Mon, 02 Mar 2026 10:00:00 +0000' },
  { name: 'Message-ID', value: messageId },
]
const letter = (more = '', body = 'All is well.\r\n') =>
  Buffer.from(
    `From: <${from}>\r\nTo: <${to}>\r\nDate: Mon, 02 Mar 2026 10:00:00 +0000\r\nMessage-ID: <1@clinic.example>\r\n${more}MIME-Version: 1.0\r\n\r\n${body}`,
  )
const wireOf = (message: Uint8Array, headers = outerHeaders('<1@clinic.example>')) =>
  sealed(message, { signers: [ready(ann)], recipients: [ben.certificate], outerHeaders: headers })
const lint = (wire: Uint8Array) =>
  lintDirect({ wire, recipientKeyPem: ben.privateKeyPem, recipientCertPem: ben.certificatePem })
const rulesOf = async (wire: Uint8Array) => (await lint(wire)).filter(({ ok }) => !ok).map(({ rule }) => rule)

describe('the rules of validators', () => {
  it('find nothing in a sealed letter', async () => {
    const findings = await lint(wireOf(letter()))
    expect(broken(findings)).toEqual([])
    expect(findings.length).toBeGreaterThan(40)
  })

  it('find nothing in a sealed notice, and judge its fields', async () => {
    const message = composeMdn({
      disposition: 'processed',
      finalRecipient: from,
      to,
      originalMessageId: '<7@lab.example>',
      messageId: '<1@clinic.example>',
      at: Date.UTC(2026, 2, 2, 10),
    })
    const findings = await lint(wireOf(message))
    expect(broken(findings)).toEqual([])
    expect(findings.map(({ rule }) => rule)).toEqual(expect.arrayContaining(['452', '457', '459', '461', '462']))
  })

  it.each([
    ['a Bcc', letter('Bcc: <eve@lab.example>\r\n'), '120-inner'],
    ['a Sender who is From again', letter(`Sender: <${from}>\r\n`), '116-inner'],
    ['another Message-ID inside', Buffer.from(letter().toString().replace('<1@', '<2@')), 'same-message-id'],
    [
      'an XDM archive without its word in Subject',
      letter(
        'Subject: papers\r\nContent-Type: application/zip\r\nContent-Transfer-Encoding: base64\r\n',
        `${Buffer.from('PK\x03\x04 IHE_XDM/SUBSET01/METADATA.XML').toString('base64')}\r\n`,
      ),
      '124',
    ],
  ])('see %s', async (_, message, rule) => {
    expect(await rulesOf(wireOf(message))).toEqual([rule])
  })

  it('see a Subject outside, and fields that are missing there', async () => {
    const [, ...others] = outerHeaders('<1@clinic.example>')
    const wire = wireOf(letter(), [...others, { name: 'Subject', value: 'about a patient' }])
    expect(await rulesOf(wire)).toEqual(['115-outer', 'outer-subject', 'same-from'])
  })

  it('see a changed byte of the ciphertext', async () => {
    const wire = wireOf(letter())
    const at = wire.length - 200
    wire[at] = wire[at] === 65 ? 66 : 65
    expect(await rulesOf(wire)).not.toEqual([])
  })
})
