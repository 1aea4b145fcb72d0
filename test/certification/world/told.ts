/** What a notice in somebody's mailbox tells, as the testing tools read it (ETT): with regular expressions. */
export interface Told {
  readonly kind: 'failed' | 'dispatched' | 'processed' | 'other'
  /** Of the message it is about, without angle brackets; empty where it does not say. */
  readonly about: string
  /** Whom it is about, in lower case. */
  readonly recipients: readonly string[]
}

const unfolded = (text: string) => text.replace(/\r?\n[ \t]+/g, ' ').replace(/\r\n/g, '\n')

/** Reads one message, latin1. One that is no notice is `other`, about nothing. */
export function toldBy(wire: string): Told {
  const text = unfolded(wire)
  const value = (name: string) => new RegExp(`^${name}:[ \\t]*(.*?)[ \\t]*$`, 'im').exec(text)?.[1] ?? ''
  const recipients = [...text.matchAll(/^Final-Recipient:\s*rfc822\s*;\s*(\S+)/gim)].map(([, one = '']) =>
    one.toLowerCase(),
  )
  const bare = (id: string) => id.replace(/[<>]/g, '')
  if (/report-type="?delivery-status/i.test(text)) {
    const actions = [...text.matchAll(/^Action:\s*(\S+)/gim)].map(([, one = '']) => one.toLowerCase())
    const failed = actions.length > 0 && actions.every((one) => one === 'failed')
    // Whoever reads by the rules of ETT finds the message by this field alone.
    return { kind: failed ? 'failed' : 'other', about: bare(value('X-Original-Message-ID')), recipients }
  }
  if (!/report-type="?disposition-notification/i.test(text)) return { kind: 'other', about: '', recipients: [] }
  const disposition = value('Disposition').replace(/\s+/g, '').toLowerCase()
  const said = /^automatic-action\/mdn-sent-automatically;(\w+)/.exec(disposition)?.[1] ?? ''
  const kinds = { processed: 'processed', dispatched: 'dispatched', failed: 'failed', failure: 'failed' } as const
  const kind = said in kinds ? kinds[said as keyof typeof kinds] : 'other'
  return { kind, about: bare(value('Original-Message-ID')), recipients }
}

/** Message-ID of a message, without angle brackets. */
export function messageIdIn(wire: string): string {
  return /^message-id:\s*<([^<>\s]+)>/im.exec(unfolded(wire.slice(0, wire.indexOf('\r\n\r\n'))))?.[1] ?? ''
}
