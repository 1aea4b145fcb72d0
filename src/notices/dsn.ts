import type { DirectAddress, DirectDomain } from '../direct/address.js'
import type { NewField } from '../mime/fields.js'
import { encodeWords } from '../mime/words.js'
import { repeatable, shown, writeReport } from './report.js'

/** One recipient that the message did not reach, or not yet. */
export interface DsnFinding {
  readonly recipient: DirectAddress
  readonly action: 'failed' | 'delayed'
  /** RFC 3463, such as `5.7.1`; its first digit is 5 for failed and 4 for delayed. */
  readonly status: string
  /** For the sender to read; never clinical content. */
  readonly reason: string
  /** What to make of it and what to do, in words of ours. */
  readonly advice?: string
}

export interface NewDsn {
  /** Whose gateway speaks: the notice comes from its postmaster. */
  readonly domain: DirectDomain
  /** Sender of the message. */
  readonly to: DirectAddress
  readonly findings: readonly DsnFinding[]
  /** Message-ID of the message as it stood there: a stranger's text. Left out where it cannot stand in a header. */
  readonly originalMessageId?: string
  /** A stranger's text, repeated for the sender. */
  readonly originalSubject?: string
  /** Our own, with its angle brackets. Choose it by what the notice says, so that composing twice makes the same notice. */
  readonly messageId: string
  /** Unix milliseconds, for Date. */
  readonly at: number
  /** Host name in Reporting-MTA; the domain where absent. */
  readonly reportingHost?: string
}

/**
 * Composes a delivery status notification for the sender of a message of ours (RFC 3464 §2): one group of fields for each
 * recipient, and X-Original-Message-ID for the message, by which edge systems and message monitors find it. A pure
 * function of its input. Throws for a `messageId` of ours that is none, for a status that is none, and for no findings;
 * no text of a stranger can make it throw.
 */
export function composeDsn(dsn: NewDsn): Buffer {
  if (dsn.findings.length === 0) throw new TypeError('a DSN tells of at least one recipient')
  const original = repeatable(dsn.originalMessageId)
  const subject = shown(dsn.originalSubject)
  const failed = dsn.findings.some((finding) => finding.action === 'failed')
  const word = failed ? 'Not delivered' : 'Delayed'
  const perMessage: NewField[] = [['Reporting-MTA', `dns;${dsn.reportingHost ?? dsn.domain}`]]
  if (original !== undefined) perMessage.push(['X-Original-Message-ID', original])
  return writeReport({
    reportType: 'delivery-status',
    from: `postmaster@${dsn.domain}`,
    to: dsn.to,
    subject: `${word}: ${subject === '' ? 'your message' : subject}`,
    messageId: dsn.messageId,
    originalMessageId: original,
    at: dsn.at,
    text: textFor(dsn.findings, original),
    groups: [perMessage, ...dsn.findings.map(recipientFields)],
  })
}

function recipientFields(finding: DsnFinding): NewField[] {
  const right = finding.action === 'failed' ? /^5\.\d{1,3}\.\d{1,3}$/ : /^4\.\d{1,3}\.\d{1,3}$/
  if (!right.test(finding.status)) throw new TypeError('status does not fit its action')
  const reason = shown(finding.reason)
  return [
    ['Final-Recipient', `rfc822;${finding.recipient}`],
    ['Action', finding.action],
    ['Status', finding.status],
    ...(reason === '' ? [] : ([['Diagnostic-Code', `x-direct;${encodeWords(reason)}`]] satisfies NewField[])),
  ]
}

function textFor(findings: readonly DsnFinding[], original: string | undefined): string {
  const lines = findings.map(({ recipient, action, status, reason, advice }) => {
    const why = shown(reason)
    const what = action === 'failed' ? 'was not delivered' : 'is not delivered yet; the gateway goes on trying'
    return `${recipient}: ${what} (${status})${[why, advice ?? ''].map((one) => (one === '' ? '' : `\n  ${one}`)).join('')}`
  })
  const about = original === undefined ? '' : `\nX-Original-Message-ID: ${original}\n`
  return `About your message:\n\n${lines.join('\n')}\n${about}`
}
