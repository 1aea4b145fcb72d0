/** Notices as other gateways write them, as text: right, and wrong in the nine ways in which the ETT listener is. */
export type Said = 'processed' | 'dispatched' | 'failed'

/** The addresses of the ETT listener that answer with notices that are slightly off, and what is off. */
export const offShapes = [
  'white_space_mdn',
  'extra_line_break_mdn',
  'extra_space_disposition',
  'missing_disposition',
  'null_sender',
  'different_sender',
  'different_msgid',
  'white_space_822',
  'different_cases_822',
] as const
export type OffShape = (typeof offShapes)[number]

export interface FarReport {
  /** A disposition notice (RFC 8098), or a delivery status notice of a failure (RFC 3464). */
  readonly said: Said | 'dsn'
  readonly shape?: OffShape | undefined
  /** The recipient that it speaks for. */
  readonly by: string
  readonly to: string
  /** Message-ID of the message it is about. */
  readonly about: string
  readonly messageId: string
}

/** Who says in the header that he wrote it. */
export function authorOf({ said, shape, by }: FarReport): string {
  const domain = by.slice(by.indexOf('@') + 1)
  if (said === 'dsn') return `postmaster@${domain}`
  return shape === 'different_sender' ? `somebody.else@${domain}` : by
}

/** The whole notice, unsigned, CRLF throughout. */
export function writeReport(report: FarReport): string {
  const { said, to, messageId } = report
  const dsn = said === 'dsn'
  const type = dsn ? 'delivery-status' : 'disposition-notification'
  const boundary = 'the-parts-of-it'
  return [
    `From: <${authorOf(report)}>`,
    `To: <${to}>`,
    `Subject: ${said}`,
    `Message-ID: ${messageId}`,
    `Date: ${new Date().toUTCString().replace('GMT', '+0000')}`,
    'MIME-Version: 1.0',
    `Content-Type: multipart/report; report-type=${type}; boundary="${boundary}"`,
    '',
    `--${boundary}`,
    'Content-Type: text/plain; charset=us-ascii',
    '',
    `Your message: ${said}.`,
    `--${boundary}`,
    `Content-Type: message/${type}`,
    '',
    ...(dsn ? statusLines(report) : dispositionLines(report)),
    '',
    `--${boundary}--`,
    '',
  ].join('\r\n')
}

function statusLines({ by, about }: FarReport): readonly string[] {
  return [
    'Reporting-MTA: dns;mail.far.test',
    `X-Original-Message-ID: ${about}`,
    '',
    `Final-Recipient: rfc822;${by}`,
    'Action: failed',
    'Status: 5.1.1',
    'Diagnostic-Code: smtp;550 5.1.1 No such address',
  ]
}

function dispositionLines({ said, shape, by, about }: FarReport): readonly string[] {
  const original = shape === 'different_msgid' ? `<of-another-message.${about.slice(1)}` : about
  const recipient =
    shape === 'white_space_822'
      ? `rfc822; ${by}`
      : shape === 'different_cases_822'
        ? `RFC822;${by.toUpperCase()}`
        : `rfc822;${by}`
  const mode = 'automatic-action/MDN-sent-automatically'
  const disposition =
    shape === 'extra_space_disposition' ? `automatic-action / MDN-sent-automatically ;  ${said}` : `${mode};${said}`
  const fields: readonly (readonly [string, string])[] = [
    ['Reporting-UA', 'mail.far.test; another gateway'],
    ['Original-Recipient', recipient],
    ['Final-Recipient', recipient],
    ['Original-Message-ID', original],
    ...(shape === 'missing_disposition' ? [] : ([['Disposition', disposition]] as const)),
    ...(said === 'dispatched' ? ([['X-DIRECT-FINAL-DESTINATION-DELIVERY', '']] as const) : []),
  ]
  const lines = fields.map(([name, value]) =>
    shape === 'white_space_mdn' ? `${name}:   ${value} \t ` : `${name}: ${value}`,
  )
  return shape === 'extra_line_break_mdn' ? lines.flatMap((line) => [line, '']) : lines
}
