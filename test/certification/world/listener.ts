import { encrypted, signed } from './cms.js'
import { type Answer, type FarGateway, reactionKey } from './far.js'
import type { OpenSsl } from './openssl.js'
import type { Party } from './pki.js'
import { authorOf, type OffShape, offShapes, type Said, writeReport } from './reports.js'

/** The ETT listener: what a local part on the far side makes of a message. Its minutes are seconds here. */
export interface Act {
  readonly said: Said | 'dsn'
  readonly afterMs: number
  readonly shape?: OffShape
  /** Signed and encrypted by the recipient's gateway; by one that nobody trusts; or neither. */
  readonly as?: 'sealed' | 'stranger' | 'clear'
}

const processed: Act = { said: 'processed', afterMs: 100 }
const dispatched = (afterMs = 400): Act => ({ said: 'dispatched', afterMs })

/** What is sent later than the sender's gateway waits. */
const lateMs = 3_000

/**
 * What the address answers to a message of which it is asked to confirm final delivery or not, where the sender's gateway
 * waits `waitMs` for that. Local parts as the listener has them, and a few of our own.
 */
export function actsOf(localPart: string, asked: boolean, waitMs: number): readonly Act[] {
  const late = waitMs + lateMs
  const shape = offShapes.find((one) => one === localPart)
  if (shape) return [{ ...processed, shape }, ...(asked ? [{ ...dispatched(), shape }] : [])]
  const delay = /^delaydispatched(\d+)$/.exec(localPart)?.[1]
  if (delay !== undefined) return [processed, dispatched(Number(delay) * 1000)]
  const acts: Readonly<Record<string, readonly Act[]>> = {
    processedonly5: [processed],
    processeddispatched6: [processed, dispatched()],
    processdelayeddispatch7: [processed, dispatched(late)],
    nomdn8: [],
    noaddressfailure9: [{ said: 'failed', afterMs: 100 }],
    processedfailure: [processed, { said: 'failed', afterMs: 600 }],
    processedtimeoutfailure: [processed, { said: 'failed', afterMs: late }],
    'goodaddress-plain': [{ ...processed, as: 'clear' }],
    'dispatchedonly-plain': asked ? [{ ...dispatched(), as: 'clear' }] : [],
    // Ours:
    noaddressdsn: [{ said: 'dsn', afterMs: 100 }],
    'goodaddress-stranger': [
      { ...processed, as: 'stranger' },
      { ...dispatched(), as: 'stranger' },
    ],
    dispatchedfirst: [dispatched(100), { ...processed, afterMs: 1_500 }],
    dispatchedtwice: [processed, dispatched(), dispatched(1_500)],
    processedlate: [{ ...processed, afterMs: late }],
  }
  return acts[localPart] ?? []
}

/** Who the far side is, and to whom it encrypts. */
export interface Seals {
  readonly openssl: OpenSsl
  readonly far: Party
  readonly stranger: Party
  readonly gateway: Party
}

/** What comes of one message, written, signed and encrypted by OpenSSL before the message is sent. */
export async function prepare(
  { reactions }: FarGateway,
  seals: Seals,
  message: { readonly messageId: string; readonly from: string },
  recipient: string,
  acts: readonly Act[],
): Promise<void> {
  const answers = acts.map((act, turn) => answerOf(seals, message, recipient, act, turn))
  reactions.set(reactionKey(message.messageId, recipient), await Promise.all(answers))
}

async function answerOf(
  { openssl, far, stranger, gateway }: Seals,
  { messageId: about, from: to }: { readonly messageId: string; readonly from: string },
  by: string,
  { said, afterMs, shape, as = 'sealed' }: Act,
  turn: number,
): Promise<Answer> {
  const messageId = `<${said}-${turn}-${by.replace('@', '-at-')}.${about.slice(1)}`
  const report = { said, shape, by, to, about, messageId }
  const text = writeReport(report)
  const author = authorOf(report)
  const from = shape === 'null_sender' || said === 'dsn' ? '' : author
  if (as === 'clear') return { afterMs, from, to, wire: Buffer.from(text) }
  const entity = `Content-Type: message/rfc822\r\n\r\n${text}`
  const inner = await signed(openssl, entity, [as === 'stranger' ? stranger : far])
  const sealed = await encrypted(openssl, inner, [gateway], { transport: 'oaep-sha256' })
  const outer = [
    `From: <${author}>`,
    `To: <${to}>`,
    `Message-ID: ${messageId}`,
    `Date: ${new Date().toUTCString().replace('GMT', '+0000')}`,
    '',
  ].join('\r\n')
  return { afterMs, from, to, wire: Buffer.concat([Buffer.from(outer), sealed]) }
}
