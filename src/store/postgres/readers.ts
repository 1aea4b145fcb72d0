import { type Entry, StoreFailed } from '../../ports/store.js'
import type { Link, Stay } from './link.js'
import { postgresLimits } from './options.js'
import { type Call, rowsOf, type Session, type Statement } from './session.js'
import { getEntries } from './statements.js'
import { type Parameter, textBytesArray } from './wire.js'

/** Reads over a few connections. Gets that wait for one go together in one query. */
export interface Readers {
  get(key: string): Promise<Entry | undefined>
  read<Row>(statement: Statement<Row>, values: readonly Parameter[]): Promise<readonly Row[]>
}

interface Waiting {
  /** Asked for when a connection is free, so that what came meanwhile goes along. */
  readonly call: () => Call
  readonly settle: (rows: readonly unknown[]) => void
  readonly fail: (error: Error) => void
}

interface WaitingGet {
  readonly key: string
  readonly settle: (entry: Entry | undefined) => void
  readonly fail: (error: Error) => void
}

export function openReaders(link: Link, poolSize: number): Readers {
  const waiting: Waiting[] = []
  const gets: WaitingGet[] = []
  /** A query for gets waits for a connection: what is asked meanwhile goes along. */
  let asking = false
  let at: Stay | undefined
  let idle: Session[] = []
  let open = 0

  function serve() {
    let stay: Stay
    try {
      stay = link.stay()
    } catch (error) {
      for (const { fail } of waiting.splice(0)) fail(error as Error)
      return
    }
    if (stay !== at) {
      at = stay
      idle = []
      open = 0
    }
    while (waiting.length > 0 && (idle.length > 0 || open < poolSize)) {
      const session = idle.pop()
      if (!session) open++
      const next = waiting.shift()
      if (next) void use(stay, session, next)
    }
  }

  async function use(stay: Stay, found: Session | undefined, { call, settle, fail }: Waiting) {
    let session = found
    try {
      session ??= await openReader(stay)
      const [rows = []] = await session.run([call()])
      if (stay === at) idle.push(session)
      settle(rows)
    } catch (cause) {
      if (session) session.drop()
      else if (stay === at) open--
      fail(cause instanceof StoreFailed ? cause : new StoreFailed('The store could not be read', { cause }))
    }
    if (waiting.length > 0) serve()
  }

  async function openReader(stay: Stay): Promise<Session> {
    const session = await stay.reader()
    void session.ended.then(() => {
      if (stay !== at) return
      idle = idle.filter((one) => one !== session)
      open--
    })
    return session
  }

  function ask(one: Waiting) {
    waiting.push(one)
    serve()
  }

  function askForGets() {
    if (asking || gets.length === 0) return
    asking = true
    let taken: WaitingGet[] = []
    function take(most: number) {
      asking = false
      taken = gets.splice(0, most)
      if (gets.length > 0) queueMicrotask(askForGets)
    }
    ask({
      call() {
        take(postgresLimits.gets)
        return { statement: getEntries, values: [textBytesArray([...new Set(taken.map(({ key }) => key))])] }
      },
      settle(rows) {
        const found = new Map(rowsOf(getEntries, rows).map((entry) => [entry.key, entry]))
        for (const { key, settle } of taken) settle(copyOf(found.get(key)))
      },
      fail(error) {
        if (taken.length === 0) take(gets.length) // no connection was to be had
        for (const { fail } of taken) fail(error)
      },
    })
  }

  return {
    get: (key) =>
      new Promise((settle, fail) => {
        gets.push({ key, settle, fail })
        if (!asking) queueMicrotask(askForGets)
      }),
    read: (statement, values) =>
      new Promise((settle, fail) => {
        ask({ call: () => ({ statement, values }), settle: (rows) => settle(rowsOf(statement, rows)), fail })
      }),
  }
}

/** Two who asked for the same key may each write on what they got. */
function copyOf(entry: Entry | undefined): Entry | undefined {
  return entry && { ...entry, value: Uint8Array.prototype.slice.call(entry.value) }
}
