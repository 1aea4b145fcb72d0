import type { DirectAddress } from '../direct/address.js'
import { refused } from '../direct/refusal.js'
import type { Directory, EdgeAccount } from '../directory/directory.js'
import { mailboxesOf } from '../mime/addresses.js'
import { type Header, readHeader } from '../mime/header.js'
import { senderOf } from '../trust/sender.js'
import { type SubmitOutcome, type SubmitPorts, submit } from './submit.js'

/** A message that a system of ours handed in over SMTP. */
export interface HandedIn {
  readonly account: EdgeAccount
  /** Null for the null reverse-path. */
  readonly mailFrom: DirectAddress | null
  /** RCPT TO, each once. */
  readonly recipients: readonly DirectAddress[]
  /** The whole message (RFC 5322). */
  readonly message: Uint8Array
}

/**
 * Takes a message that a system of ours handed in (RFC 6409): From must be an address that its account may send as, and
 * MAIL FROM that address, or Sender, or nobody. The rest is as for every submission.
 */
export async function submitHandedIn(
  { account, mailFrom, recipients, message }: HandedIn,
  ports: SubmitPorts & { readonly directory: Pick<Directory, 'addresses' | 'accounts'> },
): Promise<SubmitOutcome> {
  const header = readHeader(Buffer.from(message.buffer, message.byteOffset, message.length))
  if (header.kind === 'unreadable') return refused('malformed-message', header.detail)
  const from = senderOf(header)
  if (from.kind === 'refused') return from
  if (!(await ports.directory.accounts.maySendAs(account, from.address)))
    return refused('not-the-sender', `${account.name} may not send as ${from.address}`)
  if (mailFrom !== null && mailFrom !== from.address && mailFrom !== soleSender(header))
    return refused('not-the-sender', `MAIL FROM is ${mailFrom}, From is ${from.address}`)
  // A name with a colon is none of an account: nobody is taken for `operator` in the audit log.
  return submit({ from: from.address, to: recipients, message, by: `account:${account.name}` }, ports)
}

function soleSender(header: Header): DirectAddress | undefined {
  const read = mailboxesOf(header, 'sender')
  const [sole, ...others] = read.kind === 'mailboxes' ? read.mailboxes : []
  return others.length === 0 ? sole?.address : undefined
}
