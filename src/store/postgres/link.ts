import { setTimeout as wait } from 'node:timers/promises'
import { StoreFailed } from '../../ports/store.js'
import type { Address, PostgresOptions, PostgresTimeouts } from './options.js'
import { migrate } from './schema.js'
import { isServerError, openSession, type Session } from './session.js'
import { checkServer, setUp } from './settings.js'
import { storeStatements } from './statements.js'

/** The connections of one stay at one server: over as soon as one that writes is lost. */
export interface Stay {
  readonly writer: Session
  readonly claimer: Session
  /** Opens one more connection to the same server. */
  reader(): Promise<Session>
  /** Aborted when the stay is over. */
  readonly over: AbortSignal
}

/** The way to whichever server takes writes. */
export interface Link {
  /** Where we are now. Throws StoreFailed while away, once lost and once closed. */
  stay(): Stay
  here(): boolean
  /** Ends a stay that failed; the way back is looked for at once. Answers what to tell those who waited. */
  leave(stay: Stay, cause: unknown): StoreFailed
  /** A connection of its own, for a snapshot. */
  open(): Promise<Session>
  readonly lost: Promise<StoreFailed>
  close(): Promise<void>
}

export interface LinkOptions {
  readonly addresses: readonly Address[]
  readonly schema: string
  readonly requireStandby: boolean
  readonly timeouts: PostgresTimeouts
  readonly onChange: NonNullable<PostgresOptions['onChange']>
}

type Found =
  | { readonly kind: 'open'; readonly session: Session }
  /** Not there, starting, or a standby: may be otherwise in a moment. */
  | { readonly kind: 'away'; readonly text: string }
  /** It answered and does not let us, or is not to be trusted with mail. */
  | { readonly kind: 'refused'; readonly text: string }
  /** Only another build can use it. */
  | { readonly kind: 'foreign'; readonly text: string }

/** Opens the way. Throws StoreFailed where a server refuses us, or none takes writes within `openMs`. */
export async function openLink(options: LinkOptions): Promise<Link> {
  const { timeouts, onChange } = options
  let stay: Stay | undefined
  let end: AbortController = new AbortController()
  let closed = false
  let lose: (failure: StoreFailed) => void = () => {}
  const lost = new Promise<StoreFailed>((resolve) => {
    lose = resolve
  })
  let away = 'The store is not connected'
  let gone: StoreFailed | undefined
  let returning: Promise<void> | undefined
  const closing = new AbortController()

  async function settle(session: Session): Promise<Stay> {
    const opened: Session[] = [session]
    const controller = new AbortController()
    end = controller
    const connect = async () => {
      const more = await openPrepared(session.address, options)
      if (controller.signal.aborted) {
        more.drop()
        throw new StoreFailed(away)
      }
      opened.push(more)
      return more
    }
    controller.signal.addEventListener('abort', () => {
      for (const one of opened) one.drop()
    })
    const claimer = await connect().catch((error: unknown) => {
      controller.abort()
      throw error
    })
    const found: Stay = { writer: session, claimer, reader: connect, over: controller.signal }
    for (const one of [session, claimer])
      void one.ended.then(() => void leave(found, new Error('The server closed the connection')))
    return found
  }

  function leave(left: Stay, cause: unknown): StoreFailed {
    if (left === stay) {
      stay = undefined
      end.abort()
      away = `The store lost its database: ${describe(cause)}`
      if (!closed) {
        onChange({ kind: 'away', text: away })
        returning ??= comeBack()
      }
    }
    return new StoreFailed(`The database failed: ${describe(cause)}. What was being written may or may not be there`, {
      cause,
    })
  }

  async function comeBack() {
    let refusedSince: number | undefined
    for (let waitMs = timeouts.reconnectMs; !closed; waitMs = Math.min(waitMs * 2, timeouts.reconnectMaxMs)) {
      const found = await arrive()
      if (found === undefined) break
      away = `The store lost its database: ${found.text}`
      if (found.kind !== 'refused') refusedSince = undefined
      else refusedSince ??= Date.now()
      const given = refusedSince !== undefined && Date.now() - refusedSince > timeouts.refusedMs
      if (found.kind === 'foreign' || given) {
        gone = new StoreFailed(found.text)
        lose(gone)
        break
      }
      await wait(waitMs * (0.5 + Math.random() / 2), undefined, { signal: closing.signal }).catch(() => {})
    }
    returning = undefined
  }

  /** Tries every address once; undefined when we are there. */
  async function arrive(): Promise<Exclude<Found, { kind: 'open' }> | undefined> {
    const found = await findServer(options)
    if (found.kind !== 'open') return found
    try {
      const arrived = await settle(found.session)
      if (closed) {
        end.abort()
        return undefined
      }
      stay = arrived
      onChange({ kind: 'connected', text: `Connected to the database at ${placeOf(found.session.address)}` })
      return undefined
    } catch (error) {
      found.session.drop()
      return { kind: 'away', text: describe(error) }
    }
  }

  async function heartbeat() {
    while (!closed) {
      await wait(timeouts.heartbeatMs, undefined, { signal: closing.signal, ref: false }).catch(() => {})
      const looked = stay
      if (!looked || closed) continue
      try {
        const trouble = await checkServer(looked.claimer, options.requireStandby)
        if (trouble) leave(looked, new Error(trouble.text))
      } catch (error) {
        leave(looked, error)
      }
    }
  }

  const until = Date.now() + timeouts.openMs
  for (let waitMs = timeouts.reconnectMs; ; waitMs = Math.min(waitMs * 2, timeouts.reconnectMaxMs)) {
    const trouble = await arrive()
    if (trouble === undefined) break
    if (trouble.kind !== 'away' || Date.now() + waitMs > until) throw new StoreFailed(trouble.text)
    await wait(waitMs)
  }
  const beating = heartbeat()

  return {
    stay() {
      if (stay) return stay
      throw gone ?? new StoreFailed(closed ? 'The store is closed' : away)
    },
    here: () => stay !== undefined,
    leave,
    async open() {
      if (!stay) throw gone ?? new StoreFailed(closed ? 'The store is closed' : away)
      return openPrepared(stay.writer.address, options)
    },
    lost,
    async close() {
      closed = true
      closing.abort()
      const last = stay
      stay = undefined
      if (last) await Promise.all([last.writer.close(), last.claimer.close()])
      end.abort()
      await Promise.all([returning, beating])
    },
  }
}

/** The first server that takes writes; otherwise what the others said, the gravest reason first. */
async function findServer(options: LinkOptions): Promise<Found> {
  const troubles: Exclude<Found, { kind: 'open' }>[] = []
  for (const address of options.addresses) {
    const found = await tryAddress(address, options)
    if (found.kind === 'open') return found
    troubles.push(found)
  }
  const kind =
    (['foreign', 'refused', 'away'] as const).find((kind) => troubles.some((one) => one.kind === kind)) ?? 'away'
  return { kind, text: troubles.map(({ text }) => text).join('; ') }
}

async function tryAddress(address: Address, options: LinkOptions): Promise<Found> {
  const at = `${placeOf(address)}: `
  let session: Session
  try {
    session = await openSession(address, options.timeouts)
  } catch (error) {
    // 57P03: starting or stopping. 53300: no connection is free.
    const refused = isServerError(error) && !['57P03', '53300', '57P01'].includes(error.code ?? '')
    return { kind: refused ? 'refused' : 'away', text: at + describe(error) }
  }
  try {
    const trouble = await checkServer(session, options.requireStandby)
    if (trouble) return dropped(session, { ...trouble, text: at + trouble.text })
    const state = await migrate(session, options.schema)
    if (state.kind === 'foreign') return dropped(session, { kind: 'foreign', text: at + state.text })
    await prepareSession(session, options)
    return { kind: 'open', session }
  } catch (error) {
    // What the server refuses here (rights, tables that are others) will not be otherwise in a moment; a lost connection may be.
    return dropped(session, { kind: isServerError(error) ? 'refused' : 'away', text: at + describe(error) })
  }
}

function dropped(session: Session, found: Found): Found {
  session.drop()
  return found
}

async function openPrepared(address: Address, options: LinkOptions): Promise<Session> {
  const session = await openSession(address, options.timeouts)
  try {
    await prepareSession(session, options)
    return session
  } catch (error) {
    session.drop()
    throw error
  }
}

async function prepareSession(session: Session, { schema, timeouts }: LinkOptions) {
  await setUp(session, schema, timeouts)
  await session.prepare(storeStatements)
}

const placeOf = ({ host, port, database }: Address) => `${host}:${port}/${database}`

/** The server's code and words, or the system's. Details of a DatabaseError name keys and stay out. */
function describe(error: unknown): string {
  if (isServerError(error)) return `${error.message} (${error.code})`
  return error instanceof Error ? error.message || ('code' in error ? String(error.code) : error.name) : String(error)
}
