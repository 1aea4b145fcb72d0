import type { DirectAddress } from '../../src/direct/address.js'
import type { NewMessage } from '../../src/mailbox/message.js'

export const box = '7d0a4a2e-6a43-4b6e-9f0e-1f4f7c0f5a11'

/** A message as the pipeline hands it over; synthetic. */
export function newMessage(given: Partial<NewMessage> = {}): NewMessage {
  return {
    mailbox: box,
    spoolId: 'a'.repeat(26),
    receivedAt: 1_700_000_000_000,
    from: 'dr@far.example' as DirectAddress,
    to: ['p@gw.example'],
    cc: [],
    subject: 'Visit summary',
    references: [],
    preview: 'Please find enclosed',
    attachments: [{ index: 0, path: '2', name: 'summary.xml', mediaType: 'text/xml', sizeBytes: 3 }],
    protection: {
      signerFingerprint: 'f'.repeat(64),
      signerSubject: 'CN=dr@far.example',
      anchorFingerprint: 'e'.repeat(64),
      path: ['f'.repeat(64), 'e'.repeat(64)],
      digest: 'sha256',
      wrapped: true,
      warnings: [],
    },
    diagnostics: [],
    original: Buffer.from('Subject: Visit summary\r\n\r\nPlease find enclosed'),
    ...given,
  }
}
