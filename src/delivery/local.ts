import { type DirectAddress, type DirectDomain, domainOf } from '../direct/address.js'
import type { Envelope } from '../direct/envelope.js'
import type { Clock } from '../ports/world.js'
import type { Accepted } from '../spool/spool.js'
import type { Attempt, AttemptOutcome } from './attempt.js'
import type { Apart } from './dialogue.js'

export interface HomePorts {
  /** Whether we serve a domain. */
  readonly isOurs: (domain: DirectDomain) => Promise<boolean>
  /** Whether we take mail for an address. */
  readonly isServed: (address: DirectAddress) => Promise<boolean>
  /** Our own spool: durable when it answers. */
  readonly accept: (envelope: Envelope, data: AsyncIterable<Uint8Array>) => Promise<Accepted>
  readonly clock: Clock
}

/**
 * Attempts that hand mail for domains of ours to our own spool, without a socket, and all other mail to `beyond`. It arrives
 * there as sealed as any, so that the trust of its recipients decides as it does for everybody else's mail. The spool knows
 * the same bytes again: a second attempt delivers nothing twice.
 */
export function homeFirst(beyond: Attempt, { isOurs, isServed, accept, clock }: HomePorts): Attempt {
  return async (mail) => {
    const [first] = mail.to
    if (first === undefined || !(await isOurs(domainOf(first)))) return beyond(mail)
    const apart: Apart[] = []
    const rcptTo: DirectAddress[] = []
    for (const recipient of mail.to) {
      if (await isServed(recipient)) rcptTo.push(recipient)
      else apart.push({ recipient, kind: 'permanent', detail: '550 5.1.1 No such Direct address here' })
    }
    const host = 'this gateway'
    if (rcptTo.length === 0)
      return { kind: 'permanent', host, detail: apart[0]?.detail ?? '', ...(apart.length > 1 && { apart }) }
    const peer = { address: 'local', helo: 'local', tls: true }
    const envelope: Envelope = { mailFrom: mail.from, rcptTo, peer, receivedAt: clock.now() }
    const { wire } = mail
    const { id } = await accept(envelope, wire instanceof Uint8Array ? only(wire) : wire.chunks())
    const outcome: AttemptOutcome = { kind: 'delivered', host, reply: `250 2.0.0 ${id}` }
    return apart.length > 0 ? { ...outcome, apart } : outcome
  }
}

async function* only(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield bytes
}
