import { SlowHashBusy } from '../ports/slow-hash.js'
import { type Batch, together } from '../ports/store.js'
import { openAllowance } from './allowance.js'
import { foldAnswer } from './answer.js'
import { type CodeLetters, readCode } from './code.js'
import type { RequestLedger } from './ledger.js'
import type { Answered, Changed, NotOpened, Opened, PickupFrom, Redeemed, RequestEnd, Requests } from './request.js'
import {
  connectQueue,
  isOpen,
  type RequestRow,
  type Stored,
  sha256,
  type TicketRow,
  ticketJob,
  ticketKey,
} from './rows.js'
import { newTicket, openUnder, readTicket, sealUnder } from './ticket.js'

const nothing = { kind: 'nothing' } as const

/** What holders of codes do. Nothing they are answered tells what is wrong with a code that opens nothing. */
export function pickups(ledger: RequestLedger): Pick<Requests, 'open' | 'answer' | 'redeem' | 'finish' | 'reject'> {
  const allowance = openAllowance(ledger.clock, ledger.limits)

  /** The request that a code opens now, and its letters. What opens nothing counts as a miss, whatever the cause. */
  async function lookUp(
    code: string,
    { network }: PickupFrom,
  ): Promise<{ readonly kind: 'found'; readonly stored: Stored; readonly letters: CodeLetters } | NotOpened> {
    const waitMs = allowance.take(network)
    if (waitMs > 0) return { kind: 'wait', waitMs }
    const letters = readCode(code)
    const stored = letters && (await ledger.byCode(letters))
    if (!letters || !stored || !isOpen(stored.row, ledger.clock.now())) return nothing
    if ((await ledger.rules[stored.row.of]?.opens?.(ledger.view(stored))) === false) return nothing
    allowance.found(network)
    return { kind: 'found', stored, letters }
  }

  return {
    async open(code, from): Promise<Opened | NotOpened> {
      const found = await lookUp(code, from)
      if (found.kind !== 'found') return found
      const { row, words } = found.stored
      const { id, of, owner } = row
      const question = words.question === undefined ? {} : { question: words.question }
      return { kind: 'question', id, of, owner, ...question, payload: words.payload }
    },
    async answer(code, answer, from) {
      const found = await lookUp(code, from)
      if (found.kind === 'wait') return found
      if (found.kind === 'nothing') {
        // As long as for a code that is there; unless strangers would have us do nothing else.
        if (allowance.calm()) await ledger.slowHash.verify(undefined, answer.slice(0, ledger.limits.answerMost))
        return nothing
      }
      return answered(ledger, found.stored.row.id, found.letters, answer, from)
    },
    redeem: (ticket, holder) => redeem(ledger, ticket, holder),
    finish: (redeemed, pickup) => finish(ledger, redeemed, pickup),
    reject: (redeemed, never) => reject(ledger, redeemed, never),
  }
}

/** Changes an open request until no one else was first; undefined where it is open no more, or has another code. */
async function changing<T>(
  ledger: RequestLedger,
  id: string,
  code: string,
  change: (stored: Stored) => Promise<{ readonly parts: Batch; readonly value: T } | undefined>,
): Promise<T | undefined> {
  for (let round = 0; round < ledger.limits.rounds; round++) {
    const stored = await ledger.byId(id)
    if (stored?.row.code !== code) return undefined
    const made = await change(stored)
    if (!made) return undefined
    if ((await ledger.store.commit(made.parts)).kind === 'committed') return made.value
  }
  throw new Error(`A request changed ${ledger.limits.rounds} times meanwhile`)
}

/** Takes an attempt out, verifies, and writes down what came of it: no crash between these gives an attempt back. */
async function answered(
  ledger: RequestLedger,
  id: string,
  letters: CodeLetters,
  answer: string,
  from: PickupFrom,
): Promise<Answered> {
  const code = ledger.digestOf(letters)
  const taken = await changing(ledger, id, code, async (stored) => {
    const { row } = stored
    if (!isOpen(row, ledger.clock.now())) return undefined
    const used = row.used + 1
    return { parts: await ledger.put(stored, { used }), value: { stored, left: row.attempts - used } }
  })
  if (!taken) return nothing
  const { stored, left } = taken
  const verdict = await verdictOn(ledger, stored, letters, answer).catch(async (error: unknown) => {
    // Nothing was looked at yet. Any other fault stays counted.
    if (error instanceof SlowHashBusy) await givenBack(ledger, id, code)
    throw error
  })
  switch (verdict.kind) {
    case 'right':
      return rightAnswer(ledger, id, code, from, verdict.secret)
    case 'damaged':
      await givenBack(ledger, id, code)
      return nothing
    case 'wrong':
      return (await wrongAnswer(ledger, id, code, from)) ? { kind: 'wrong', left } : nothing
  }
}

async function verdictOn(
  { rules, slowHash, limits, view }: RequestLedger,
  stored: Stored,
  letters: CodeLetters,
  answer: string,
): Promise<{ readonly kind: 'right'; readonly secret?: Uint8Array } | { readonly kind: 'wrong' | 'damaged' }> {
  const { row, words } = stored
  if (answer.length > limits.answerMost) return { kind: 'wrong' }
  const folded = foldAnswer(answer, row.mode)
  const own = rules[row.of]?.verify
  if (words.verifier === undefined && own) return own(view(stored), folded, letters)
  return { kind: (await slowHash.verify(words.verifier, folded)) ? 'right' : 'wrong' }
}

const returned = ({ used, wrong }: RequestRow) => ({ used: Math.max(wrong, used - 1) })

async function givenBack(ledger: RequestLedger, id: string, code: string): Promise<void> {
  await changing(ledger, id, code, async (stored) => ({
    parts: await ledger.put(stored, returned(stored.row)),
    value: true,
  }))
}

async function rightAnswer(
  ledger: RequestLedger,
  id: string,
  code: string,
  from: PickupFrom,
  secret: Uint8Array | undefined,
): Promise<Answered> {
  const { clock, limits, random } = ledger
  const ticket = newTicket(random)
  const answer = await changing(ledger, id, code, async (stored) => {
    const { row, words } = stored
    const now = clock.now()
    // Its own attempt is among those used: it is open if it is once that one is back.
    const back = { ...row, ...returned(row) }
    if (!isOpen(back, now)) return undefined
    const endsAt = now + limits.ticketMs
    const living = [...row.tickets.filter((one) => one.endsAt > now), { digest: ticket.digest, endsAt }]
    const tickets = living.slice(-limits.tickets)
    const gone = row.tickets.filter(({ digest }) => tickets.every((one) => one.digest !== digest))
    const held: TicketRow = {
      ...{ request: id, holder: sha256(from.holder), endsAt },
      ...(secret && { secret: sealUnder(ticket, secret, random) }),
    }
    const parts = together(
      await ledger.put(stored, { ...returned(row), tickets }),
      {
        put: [{ key: ticketKey(ticket.digest), value: Buffer.from(JSON.stringify(held)) }],
        del: gone.map(({ digest }) => ticketKey(digest)),
        enqueue: [{ queue: connectQueue, id: ticketJob(ticket.digest), payload: new Uint8Array(), dueAt: endsAt }],
      },
      ledger.audited('answer', from.by, row),
    )
    const value = { of: row.of, owner: row.owner, friendlyName: words.friendlyName }
    return { parts, value }
  })
  return answer ? { kind: 'right', ticket: ticket.text, ...answer } : nothing
}

/** Counts a wrong answer; the last one locks the request for good. False where the code is dead by now. */
async function wrongAnswer(ledger: RequestLedger, id: string, code: string, from: PickupFrom): Promise<boolean> {
  const counted = await changing(ledger, id, code, async (stored) => {
    const { row } = stored
    const wrong = row.wrong + 1
    const last = wrong >= row.attempts
    const locks = last && row.state === 'pending'
    const changed = {
      wrong,
      ...(last && { tickets: [] }),
      ...(locks && { state: 'locked' as const, endedAt: ledger.clock.now() }),
    }
    const parts = together(
      await ledger.put(stored, changed),
      last
        ? together(
            { del: row.tickets.map(({ digest }) => ticketKey(digest)) },
            await ledger.ended(stored, changed, 'locked'),
          )
        : {},
      ledger.audited('answer', from.by, row, 'refused', last ? 'last-wrong-answer' : 'wrong-answer'),
    )
    return { parts, value: true }
  })
  return counted === true
}

async function redeem(ledger: RequestLedger, text: string, holder: string): Promise<Redeemed | undefined> {
  const digest = readTicket(text)
  if (digest === undefined) return undefined
  const key = ticketKey(digest)
  const entry = await ledger.store.get(key)
  if (!entry) return undefined
  const ticket = JSON.parse(Buffer.from(entry.value).toString('utf8')) as TicketRow
  const now = ledger.clock.now()
  if (ticket.holder !== sha256(holder) || now >= ticket.endsAt) return undefined
  const stored = await ledger.byId(ticket.request)
  if (!stored || !isOpen(stored.row, now) || !stored.row.tickets.some((one) => one.digest === digest)) return undefined
  return {
    request: ledger.view(stored),
    ...(ticket.secret !== undefined && { secret: openUnder(text, ticket.secret) }),
    endsAt: ticket.endsAt,
    ticket: { key, version: entry.version },
    version: stored.version,
  }
}

/** The request as it was when the ticket was redeemed; undefined where it changed since. */
async function unchanged(ledger: RequestLedger, { request, version }: Redeemed): Promise<Stored | undefined> {
  const stored = await ledger.byId(request.id)
  return stored?.version === version ? stored : undefined
}

/** Parts that nobody can commit: the request changed since its ticket was redeemed. */
function conflict({ ticket, request }: Redeemed): Changed {
  return { kind: 'changed', request, parts: { require: [{ key: ticket.key, version: -1 }] } }
}

async function finish(
  ledger: RequestLedger,
  redeemed: Redeemed,
  { person, record }: Parameters<Requests['finish']>[1],
): ReturnType<Requests['finish']> {
  const stored = await unchanged(ledger, redeemed)
  if (!stored) return conflict(redeemed)
  const { row, words } = stored
  const at = ledger.clock.now()
  const others = words.pickups.filter((one) => one.person !== person || one.record !== record)
  if (others.length >= ledger.limits.pickups) return { kind: 'too-many' }
  const more = { pickups: [...others, { person, record, at }] }
  const works = row.of === 'connect'
  const { rejectedAt: _, ...kept } = row
  const changed = {
    ...{ state: works ? ('authorized' as const) : ('claimed' as const), endedAt: at },
    ...(works && { expiresAt: at + ledger.limits.keptMs }),
  }
  const end: RequestEnd = works ? 'authorized' : 'claimed'
  return used(ledger, redeemed, { ...stored, row: kept }, changed, end, more)
}

async function reject(ledger: RequestLedger, redeemed: Redeemed, never: boolean): Promise<Changed> {
  const stored = await unchanged(ledger, redeemed)
  if (!stored) return conflict(redeemed)
  const at = ledger.clock.now()
  // Whoever granted it before takes that back elsewhere; the request stays what it is.
  const ends = never && stored.row.state === 'pending'
  const changed = { rejectedAt: at, ...(ends && { state: 'refused' as const, endedAt: at }) }
  return used(ledger, redeemed, stored, changed, ends ? 'refused' : 'rejected')
}

/** Parts of what is done with a ticket, which it uses up: all tickets where the request is over, else this one. */
async function used(
  ledger: RequestLedger,
  { ticket }: Redeemed,
  stored: Stored,
  changed: Partial<RequestRow>,
  end: RequestEnd,
  more: Partial<Stored['words']> = {},
): Promise<Changed> {
  const over = end === 'claimed' || end === 'refused'
  const tickets = over ? [] : stored.row.tickets.filter(({ digest }) => ticketKey(digest) !== ticket.key)
  const gone = stored.row.tickets.filter(({ digest }) => tickets.every((one) => one.digest !== digest))
  const next = { ...changed, tickets }
  const parts = together(
    { require: [ticket] },
    await ledger.put(stored, next, more),
    { del: gone.map(({ digest }) => ticketKey(digest)) },
    await ledger.ended(stored, next, end, more),
  )
  return { kind: 'changed', request: ledger.view(stored, next, more), parts }
}
