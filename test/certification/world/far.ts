import { buffer } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { SMTPServer } from 'smtp-server'
import { openMail } from '../../../src/demo/mail.js'
import type { Caught } from './sink.js'

/** What the far gateway sends when a message has come: made beforehand, so that no busy machine makes it late. */
export interface Answer {
  /** After the message came. */
  readonly afterMs: number
  /** MAIL FROM; empty for the null sender. */
  readonly from: string
  readonly to: string
  readonly wire: Buffer
}

/** One sent answer with the reply it got. */
export interface Sent extends Answer {
  readonly at: number
  readonly reply: string
}

/** A gateway of others: takes mail for all domains that are theirs, and answers each message as it was told to. */
export interface FarGateway {
  readonly port: number
  readonly caught: readonly Caught[]
  readonly sent: readonly Sent[]
  /** What comes of a message to one of its recipients: see `reactionKey`. */
  readonly reactions: Map<string, readonly Answer[]>
  /** Whether answers are still to be sent. */
  busy(): boolean
  close(): Promise<void>
}

export const reactionKey = (messageId: string, recipient: string) => `${messageId} ${recipient.toLowerCase()}`

/** How often an answer is tried while the other side is down or asks to come again. */
const tries = 40

/**
 * Starts one. Mail for a local part that begins with `badaddress` is refused by `550`; the port of the other side is asked
 * for at every answer, since that may be started anew.
 */
export async function startFar(otherPort: () => number): Promise<FarGateway> {
  const caught: Caught[] = []
  const sent: Sent[] = []
  const reactions = new Map<string, readonly Answer[]>()
  const begun = new Set<string>()
  const timers = new Set<NodeJS.Timeout>()
  let underWay = 0
  let over = false

  async function say(answer: Answer): Promise<void> {
    for (let turn = 0; turn < tries && !over; turn++) {
      const session = await openMail(otherPort())
      const reply = await session.send(answer.from, [answer.to], answer.wire)
      session.close()
      if (/^[25]/.test(reply) || turn === tries - 1) return void sent.push({ ...answer, at: Date.now(), reply })
      await sleep(500)
    }
  }

  function later(answer: Answer): void {
    underWay++
    const timer = setTimeout(() => {
      timers.delete(timer)
      void say(answer).finally(() => {
        underWay--
      })
    }, answer.afterMs)
    timers.add(timer)
  }

  function react({ wire, to }: Caught): void {
    const messageId = /^message-id:\s*(\S+)/im.exec(wire.toString('latin1'))?.[1] ?? ''
    for (const key of to.map((recipient) => reactionKey(messageId, recipient))) {
      // A message that comes again after a crash is answered once, as by every gateway that knows duplicates.
      if (begun.has(key)) continue
      begun.add(key)
      for (const answer of reactions.get(key) ?? []) later(answer)
    }
  }

  const server = new SMTPServer({
    disabledCommands: ['AUTH', 'STARTTLS'],
    authOptional: true,
    disableReverseLookup: true,
    onRcptTo({ address }, _session, done) {
      const refused = /^badaddress/i.test(address)
      done(refused ? Object.assign(new Error('5.1.1 No such address'), { responseCode: 550 }) : null)
    },
    onData(stream, session, done) {
      buffer(stream).then((wire) => {
        const from = session.envelope.mailFrom ? session.envelope.mailFrom.address : ''
        const one = { from, to: session.envelope.rcptTo.map(({ address }) => address), wire, at: Date.now() }
        caught.push(one)
        done()
        react(one)
      }, done)
    },
  })
  // A gateway that ends in the middle of a message is none of the far side's business.
  server.on('error', () => undefined)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.server.address()
  return {
    port: address && typeof address === 'object' ? address.port : 0,
    caught,
    sent,
    reactions,
    busy: () => underWay > 0,
    close() {
      over = true
      for (const timer of timers) clearTimeout(timer)
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}
