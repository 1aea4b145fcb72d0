import { createHmac } from 'node:crypto'
import { type Batch, together, within } from '../ports/store.js'
import type { Session, Sessions } from './people.js'
import type { PersonRow } from './person.js'
import {
  audited,
  type Client,
  digestOf,
  isSame,
  isSecret,
  job,
  newSecret,
  nothing,
  type PeopleRoom,
  peopleKeys,
  readSealed,
  sealed,
} from './rows.js'

/** Sealed for the person under a key that only the secret gives; the person stands in the key's index and before the seal. */
interface SessionRow {
  readonly digest: string
  readonly person: string
  readonly level: Session['level']
  readonly authenticatedAt: number
  readonly startedAt: number
  readonly seenAt: number
  readonly endsAt: number
  readonly limited?: true
  /** Of the account when the session began: another password since, and it is over. */
  readonly epoch: number
  readonly agent?: string
  readonly address: string
}

/** A session as its person sees it in a list. */
export interface SessionView {
  readonly id: string
  readonly level: Session['level']
  readonly startedAt: number
  readonly seenAt: number
  readonly endsAt: number
  /** What the browser said of itself, and the address that it came from. */
  readonly agent: string
  readonly address: string
}

const sessionOwner = 'people/sessions'
const idOf = (digest: string) => digest.slice(0, 32)

/** Begins a session: a new secret every time somebody proves who he is, so that none known before lives on (fixation). */
export async function beginSession(
  room: PeopleRoom,
  person: PersonRow,
  level: Session['level'],
  client: Client,
  replaces?: string,
): Promise<{ readonly secret: string; readonly session: Session; readonly parts: Batch }> {
  const { clock, limits, random } = room
  const now = clock.now()
  const secret = newSecret(random)
  const digest = digestOf(secret)
  const key = peopleKeys.session(idOf(digest))
  const limited = room.secondFactor === 'required' && level === 'one-factor'
  const row: SessionRow = {
    ...{ digest, person: person.id, level, authenticatedAt: now, startedAt: now, seenAt: now },
    ...{ endsAt: now + limits.absoluteMs, epoch: person.epoch, address: client.address },
    ...(limited && { limited }),
    ...(client.agent !== undefined && { agent: client.agent.slice(0, 200) }),
  }
  const others = await idsOf(room, person.id)
  // The quietest go first where somebody has too many; an id tells nothing of age, so the rows are looked at.
  const rows = others.length < limits.sessions ? [] : await rowsOf(room, person.id)
  const surplus = rows.sort((a, b) => a.seenAt - b.seenAt).slice(0, Math.max(0, rows.length - limits.sessions + 1))
  const gone = [...surplus.map((one) => idOf(one.digest)), ...(replaces === undefined ? [] : [replaces])]
  const parts = together(
    {
      require: [{ key, version: 'absent' }],
      put: [
        await sealed(room, sessionOwner, key, row),
        { key: peopleKeys.sessionsOf(person.id) + idOf(digest), value: nothing },
      ],
      enqueue: [job('forget', key, row.endsAt)],
    },
    ...gone.map((id) => ending(person.id, id)),
  )
  return { secret, session: viewed(secret, row), parts }
}

/** The end of one session as a part of a batch. */
export function ending(person: string, id: string): Batch {
  return { del: [peopleKeys.session(id), peopleKeys.sessionsOf(person) + id] }
}

/** The end of all sessions of a person, but one. A session begun meanwhile ends by its epoch. */
export async function endingAll(room: PeopleRoom, person: string, but?: string): Promise<Batch> {
  const ids = (await idsOf(room, person)).filter((id) => id !== but)
  return together(...ids.map((id) => ending(person, id)))
}

/** Sessions of a person that live, the one used last first. */
export async function listSessions(room: PeopleRoom, person: string): Promise<readonly SessionView[]> {
  const now = room.clock.now()
  const rows = (await rowsOf(room, person)).filter((row) => lives(row, now, room.limits.idleMs))
  return rows
    .sort((a, b) => b.seenAt - a.seenAt)
    .map(({ digest, level, startedAt, seenAt, endsAt, agent = '', address }) => ({
      ...{ id: idOf(digest), level, startedAt, seenAt, endsAt, agent, address },
    }))
}

/** Opens what other rooms need of sessions. `personOf` answers the account of an id. */
export function openSessions(
  room: PeopleRoom,
  personOf: (id: string) => Promise<Pick<PersonRow, 'state' | 'epoch'> | undefined>,
): Sessions {
  const { store, clock, limits } = room

  async function live(id: string) {
    if (!/^[0-9a-f]{32}$/.test(id)) return undefined
    const held = await readSealed<SessionRow>(room, sessionOwner, peopleKeys.session(id))
    if (!held || !lives(held.value, clock.now(), limits.idleMs)) return undefined
    const person = await personOf(held.value.person)
    return person?.state === 'active' && person.epoch === held.value.epoch ? held : undefined
  }

  return {
    async current(secret) {
      if (!isSecret(secret)) return undefined
      const digest = digestOf(secret)
      const held = await live(idOf(digest))
      if (!held || !isSame(held.value.digest, digest)) return undefined
      const now = clock.now()
      // Often enough that nobody who goes on working seems to rest, however short the idle time.
      if (now - held.value.seenAt >= Math.min(limits.touchMs, limits.idleMs / 4)) {
        const put = [await sealed(room, sessionOwner, held.is.key, { ...held.value, seenAt: now })]
        // Lost where another request touched it, or it was ended: the first is as good, the second holds.
        const touched = await store.commit({ require: [held.is], put })
        if (touched.kind !== 'committed' && !(await live(idOf(digest)))) return undefined
      }
      return viewed(secret, held.value)
    },
    isLive: async (id) => (await live(id)) !== undefined,
    async end(id, by) {
      const held = await readSealed<SessionRow>(room, sessionOwner, peopleKeys.session(id))
      if (!held) return
      const { person } = held.value
      await store.commit(together(ending(person, id), audited(room, 'signed-out', by, { person, session: id })))
    },
  }
}

function lives({ seenAt, endsAt }: SessionRow, now: number, idleMs: number): boolean {
  return now < endsAt && now - seenAt < idleMs
}

function viewed(secret: string, { digest, person, level, authenticatedAt, endsAt, limited }: SessionRow): Session {
  // Only whoever has the cookie's secret can work the token out; nothing of it is kept.
  const csrf = createHmac('sha256', secret).update('csrf').digest('base64url')
  return { id: idOf(digest), person, level, authenticatedAt, endsAt, csrf, ...(limited && { limited }) }
}

async function idsOf({ store }: PeopleRoom, person: string): Promise<readonly string[]> {
  const prefix = peopleKeys.sessionsOf(person)
  const rows = await store.range({ ...within(prefix), limit: 1000 })
  return rows.map(({ key }) => key.slice(prefix.length))
}

async function rowsOf(room: PeopleRoom, person: string): Promise<SessionRow[]> {
  const ids = await idsOf(room, person)
  const rows = await Promise.all(ids.map((id) => readSealed<SessionRow>(room, sessionOwner, peopleKeys.session(id))))
  return rows.flatMap((held) => (held ? [held.value] : []))
}

/** The end of a session that is over, found by its key. */
export async function forgottenSession(room: PeopleRoom, key: string): Promise<Batch> {
  const held = await readSealed<SessionRow>(room, sessionOwner, key)
  if (!held) return {}
  const { person, digest } = held.value
  return together({ require: [held.is] }, ending(person, idOf(digest)))
}
