import { randomBytes } from 'node:crypto'
import { HOTP, Secret } from 'otpauth'
import { openSlowHash, slowHashLimits } from '../../src/keyring/slow-hash.js'
import { peopleLimits } from '../../src/people/limits.js'
import { openPeople, type PeopleHouse } from '../../src/people/open.js'
import { type Client, type PeopleOptions, peopleQueue } from '../../src/people/rows.js'
import type { SignedIn } from '../../src/people/sign-in.js'
import type { Letter, Letters } from '../../src/ports/letters.js'
import { openRoom } from '../spool/room.js'

export const origin = 'https://gw.example'
export const home: Client = { address: '192.0.2.1', agent: 'Browser of home' }
export const elsewhere: Client = { address: '198.51.100.7', agent: 'Browser of elsewhere' }
export const goodPassword = 'juniper lantern 92 marmot'

export interface Sent {
  readonly to: string
  readonly letter: Letter
}

/** Letters that are kept for the test; what is committed is a row of their own, so that they are true with their batch. */
export function keptLetters() {
  const byName = new Map<string, Sent>()
  const letters: Letters = {
    letter({ email }, letter, once) {
      byName.set(once, { to: email, letter })
      return { put: [{ key: `test-letter/${once}`, value: Buffer.from('{}') }] }
    },
  }
  return { letters, byName }
}

/** People over a memory store, with a clock that the test moves, letters that it reads, and hashing that costs little. */
export async function openWorld(
  options: Partial<Omit<PeopleOptions, 'limits'>> & { readonly limits?: Partial<typeof peopleLimits> } = {},
  ports: Partial<Parameters<typeof openPeople>[0]> = {},
) {
  const room = await openRoom()
  const slowHash = openSlowHash({ ...slowHashLimits, memoryKiB: 64, passes: 2, lanes: 1 })
  const { letters, byName } = keptLetters()
  const people = openPeople(
    { ...room, slowHash, letters, indexKey: randomBytes(32), ...ports },
    { origin, house: 'Test House', secondFactor: 'required', ...options },
  )

  /** Letters whose batch was committed, oldest first. */
  async function sent(to?: string): Promise<readonly Sent[]> {
    const rows = await room.store.range({ gte: 'test-letter/', lt: 'test-letter0', limit: 10_000 })
    const committed = new Set(rows.map(({ key }) => key.slice('test-letter/'.length)))
    const all = [...byName].filter(([once]) => committed.has(once)).map(([, one]) => one)
    return to === undefined ? all : all.filter((one) => one.to === to)
  }

  /** The secret in the link of the last letter of a kind. */
  async function link(to: string, kind: Letter['kind']): Promise<string> {
    const last = (await sent(to)).findLast(({ letter }) => letter.kind === kind)
    const url = last && 'url' in last.letter ? last.letter.url : ''
    const code = new URL(url).searchParams.get('code')
    if (!code) throw new Error(`No ${kind} to ${to}`)
    return code
  }

  async function signUp(email: string, name = 'Ada Example', password = goodPassword): Promise<SignedIn> {
    await people.signUp({ email, name, language: 'en' }, home)
    const opened = await people.confirmSignUp(await link(email, 'confirm-email'), { kind: 'password', password }, home)
    if (opened.kind !== 'signed-in') throw new Error(opened.problem)
    return opened
  }

  /** An account with password, authenticator app and recovery codes, signed in on both factors. */
  async function withTotp(email: string, name?: string) {
    const { session } = await signUp(email, name)
    const begun = await people.beginTotp(session.person)
    if (!begun) throw new Error('no ticket')
    const code = codeAt(begun.secret, room.clock.at)
    const done = await people.confirmTotp(session, { ticket: begun.ticket, code }, home)
    if (done.kind !== 'set-up') throw new Error(done.problem)
    room.clock.at += 60_000
    return { ...done.signedIn, person: session.person, totp: begun.secret, codes: done.recoveryCodes }
  }

  async function record(person: string, name = 'Anna', relationship = 'parent', birthDate?: string): Promise<string> {
    const told = { name, relationship, ...(birthDate !== undefined && { birthDate }) }
    const made = await people.records.create(person, told, `person:${person}`)
    if (made.kind !== 'created') throw new Error(made.kind)
    await room.store.commit(made.parts)
    return made.record
  }

  /** Does all jobs that are due now. */
  async function work(): Promise<number> {
    const jobs = await room.store.claim(peopleQueue, 1000, 1000)
    for (const job of jobs) await people.handle(job)
    return jobs.length
  }

  return { ...room, people, sent, link, signUp, withTotp, record, work, limits: peopleLimits }
}

export type World = Awaited<ReturnType<typeof openWorld>>

/** The code of an authenticator app at a moment. */
export function codeAt(secret: string, at: number): string {
  return HOTP.generate({
    secret: Secret.fromBase32(secret),
    counter: Math.floor(at / 30_000),
    algorithm: 'SHA1',
    digits: 6,
  })
}

export function kindOf<T extends { readonly kind: string }>(answer: T): string {
  return 'problem' in answer ? String(answer.problem) : answer.kind
}

export type House = PeopleHouse
