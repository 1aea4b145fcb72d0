import { type Batch, type Entry, together, within } from '../ports/store.js'
import { readAnswer, readLine, readQuestion } from './answer.js'
import { type CodeLetters, newCode, showCode } from './code.js'
import { openLedger, type RequestLedger, type RequestOptions, type RequestPorts } from './ledger.js'
import { connectLimits } from './limits.js'
import { pickups } from './pickup.js'
import type { ConnectRequest, NewRequest, RequestKind, RequestName, RequestProblem, Requests } from './request.js'
import {
  codeKey,
  connectQueue,
  externalDigest,
  externalKey,
  externalPrefix,
  listKey,
  listPrefix,
  openStored,
  type RequestRow,
  type RequestWords,
  requestKey,
  type Stored,
  stateAt,
  storing,
  ticketKey,
} from './rows.js'
import { sweeping } from './sweep.js'

/** Opens the machine behind pickup codes: what owners do, what holders of codes do, and what time does. */
export function openRequests(ports: RequestPorts, options: Partial<RequestOptions> = {}): Requests {
  const ledger = openLedger(ports, {
    rules: options.rules ?? {},
    answers: options.answers ?? 'folded',
    limits: options.limits ?? connectLimits,
  })
  return {
    allocate: (of, owner) => allocate(ledger, of, owner),
    create: (request) => create(ledger, request),
    ...pickups(ledger),
    async get(owner, name) {
      const stored = await named(ledger, owner, name)
      return stored && ledger.view(stored)
    },
    list: (owner, query) => list(ledger, owner, query),
    reissue: (owner, name) => reissue(ledger, owner, name),
    withdraw: (owner, name) => withdraw(ledger, owner, name),
    changeExternalId: (owner, name, next) => changeExternalId(ledger, owner, name, next),
    sweep: (limit) => sweeping(ledger, limit),
  }
}

function refused(problem: RequestProblem) {
  return { kind: 'refused' as const, problem }
}

/** Parts of a row that is new: itself, its code, its place in lists, and the job that ends it. */
async function beginning(ledger: RequestLedger, row: RequestRow, words: RequestWords): Promise<Batch> {
  const code = codeKey(row.code)
  return together(await storing(ledger.vault, row, words, 'absent'), {
    require: [{ key: code, version: 'absent' }],
    put: [
      { key: code, value: Buffer.from(row.id) },
      { key: listKey(row), value: new Uint8Array() },
    ],
    enqueue: [{ queue: connectQueue, id: row.id, payload: new Uint8Array(), dueAt: row.expiresAt }],
  })
}

function freshRow(ledger: RequestLedger, of: RequestKind, owner: string, letters: CodeLetters): RequestRow {
  const { clock, limits, random, answers } = ledger
  const createdAt = clock.now()
  return {
    ...{ id: Buffer.from(random.bytes(16)).toString('hex'), of, owner, state: 'allocated' },
    ...{ used: 0, wrong: 0, attempts: limits.attempts, createdAt },
    ...{ termMs: limits.expiresInMs, expiresAt: createdAt + limits.expiresInMs },
    ...{ code: ledger.digestOf(letters), mode: answers, tickets: [] },
  }
}

const nothingYet: RequestWords = { friendlyName: '', payload: {}, pickups: [] }

async function allocate(ledger: RequestLedger, of: RequestKind, owner: string) {
  const letters = newCode(ledger.random)
  const row = freshRow(ledger, of, owner, letters)
  return { id: row.id, code: showCode(letters), parts: await beginning(ledger, row, nothingYet) }
}

async function create(ledger: RequestLedger, request: NewRequest): ReturnType<Requests['create']> {
  const read = readRequest(ledger, request)
  if ('problem' in read) return refused(read.problem)
  const { answer, termMs, attempts, ...words } = read

  const allocated = request.allocated && (await ledger.byCode(request.allocated))
  if (request.allocated) {
    const { row } = allocated ?? {}
    if (row?.owner !== request.owner || row.of !== request.kind) return refused('no-such-code')
    const state = stateAt(row, ledger.clock.now())
    if (state !== 'allocated') return refused(state === 'expired' ? 'no-such-code' : 'exists')
  }
  const external =
    words.externalId === undefined ? undefined : externalDigest(ledger.indexKey, request.owner, words.externalId)
  if (request.kind === 'connect' && external !== undefined) {
    if (await ledger.store.get(externalKey('connect', request.owner, external, ''))) return refused('duplicate')
  }

  const letters = request.allocated ?? request.code ?? newCode(ledger.random)
  const fresh = allocated?.row ?? freshRow(ledger, request.kind, request.owner, letters)
  const createdAt = ledger.clock.now()
  const row: RequestRow = {
    ...fresh,
    ...{ state: 'pending', attempts, termMs, expiresAt: createdAt + termMs },
    ...(external !== undefined && { external }),
  }
  const verifier = answer === undefined ? {} : { verifier: await ledger.slowHash.hash(answer) }
  const all: RequestWords = { ...nothingYet, ...words, ...verifier }
  const parts = together(
    allocated ? await storing(ledger.vault, row, all, allocated.version) : await beginning(ledger, row, all),
    claiming(row),
  )
  return { kind: 'created', request: ledger.view({ row, words: all, version: 0 }), code: showCode(letters), parts }
}

/** Takes the external id of a request; a conflict where it is taken. */
function claiming({ of, owner, external, id }: RequestRow): Batch {
  if (external === undefined) return {}
  const key = externalKey(of, owner, external, id)
  return { require: [{ key, version: 'absent' }], put: [{ key, value: Buffer.from(id) }] }
}

function readRequest(
  { limits, answers }: RequestLedger,
  given: NewRequest,
):
  | { readonly problem: RequestProblem }
  | (Omit<RequestWords, 'pickups' | 'verifier'> & {
      readonly answer?: string
      readonly termMs: number
      readonly attempts: number
    }) {
  const friendlyName = readLine(given.friendlyName, limits.friendlyNameMost)
  if (friendlyName === undefined) return { problem: 'bad-friendly-name' }
  const question = given.question === undefined ? undefined : readQuestion(given.question, limits)
  if ((given.question ?? given.answer) !== undefined && question === undefined) return { problem: 'bad-question' }
  const answer = given.answer === undefined ? undefined : readAnswer(given.answer, answers, limits)
  if (given.answer !== undefined && answer === undefined) return { problem: 'bad-answer' }
  if (given.externalId !== undefined && readLine(given.externalId, limits.externalIdMost) !== given.externalId)
    return { problem: 'bad-external-id' }
  if (given.birthDate !== undefined && !isDay(given.birthDate)) return { problem: 'bad-birth-date' }
  if (given.email !== undefined && (given.email.length > limits.emailMost || !isMailbox(given.email)))
    return { problem: 'bad-email' }
  const termMs = given.expiresInMs ?? limits.expiresInMs
  if (!(termMs > 0 && termMs <= limits.expiresInMostMs)) return { problem: 'bad-expiry' }
  // An owner may allow fewer tries than the gateway does, never more.
  const attempts = Math.min(limits.attempts, Math.max(1, Math.trunc(given.attempts ?? limits.attempts)))
  const { externalId, birthDate, email, language, payload = {} } = given
  return {
    ...{ friendlyName, payload, termMs, attempts },
    ...(question !== undefined && { question }),
    ...(answer !== undefined && { answer }),
    ...(externalId !== undefined && { externalId }),
    ...(birthDate !== undefined && { birthDate }),
    ...(email !== undefined && { email }),
    ...(language !== undefined && { language }),
  }
}

/** A day of the calendar, `2014-02-28`. */
export function isDay(text: string): boolean {
  return /^\d{4}-\d{2}-\d{2}$/.test(text) && new Date(`${text}T00:00:00Z`).toJSON()?.startsWith(text) === true
}

/** The request of that name, where it is this owner's; of several the newest. */
async function named(ledger: RequestLedger, owner: string, name: RequestName): Promise<Stored | undefined> {
  const found = await anyNamed(ledger, owner, name)
  return found?.row.owner === owner ? found : undefined
}

async function anyNamed(ledger: RequestLedger, owner: string, name: RequestName): Promise<Stored | undefined> {
  if ('id' in name) return ledger.byId(name.id)
  if ('code' in name) return ledger.byCode(name.code)
  const all = await ofExternalId(ledger, name.of, owner, name.externalId)
  return all.toSorted((a, b) => b.row.createdAt - a.row.createdAt)[0]
}

async function ofExternalId(
  { store, vault, indexKey, limits }: RequestLedger,
  of: RequestKind,
  owner: string,
  externalId: string,
): Promise<readonly Stored[]> {
  const prefix = externalPrefix(of, owner, externalDigest(indexKey, owner, externalId))
  const entries = await store.range({ ...within(prefix), limit: limits.rowsPerRead })
  const rows = await Promise.all(
    entries.map(({ value }) => store.get(requestKey(Buffer.from(value).toString('latin1')))),
  )
  return Promise.all(
    rows.filter((entry): entry is Entry => entry !== undefined).map((entry) => openStored(vault, entry)),
  )
}

async function list(ledger: RequestLedger, owner: string, query: Parameters<Requests['list']>[1]) {
  const { store, vault, limits } = ledger
  const limit = Math.min(limits.page, Math.max(1, query.limit))
  const prefix = listPrefix(query.of, owner)
  const from = query.after === undefined ? prefix : `${prefix}${query.after}\0`
  const { lt } = within(prefix)
  const matches = (stored: Stored) => query.externalId === undefined || stored.words.externalId === query.externalId
  if (query.externalId !== undefined) {
    const all = (await ofExternalId(ledger, query.of, owner, query.externalId)).filter(matches)
    const sorted = all.toSorted((a, b) => (listKey(a.row) < listKey(b.row) ? -1 : 1))
    return pageOf(sorted.filter(({ row }) => listKey(row) >= from))
  }
  const keys = await store.range({ gte: from, lt, limit: limit + 1 })
  const rows = await Promise.all(keys.map(({ key }) => store.get(requestKey(key.slice(-32)))))
  const found = rows.filter((entry): entry is Entry => entry !== undefined)
  return pageOf(await Promise.all(found.map((entry) => openStored(vault, entry))))

  function pageOf(all: readonly Stored[]): { readonly requests: readonly ConnectRequest[]; readonly next?: string } {
    const page = all.slice(0, limit)
    const last = page.at(-1)
    const more = all.length > limit && last !== undefined
    return {
      requests: page.map((stored) => ledger.view(stored)),
      ...(more && { next: listKey(last.row).slice(prefix.length) }),
    }
  }
}

/** Parts that end all tickets of a request. */
export function withoutTickets({ tickets }: RequestRow): Batch {
  return { del: tickets.map(({ digest }) => ticketKey(digest)) }
}

async function reissue(ledger: RequestLedger, owner: string, name: RequestName): ReturnType<Requests['reissue']> {
  const stored = await named(ledger, owner, name)
  if (!stored) return { kind: 'unknown' }
  const { row, words } = stored
  const now = ledger.clock.now()
  const state = stateAt(row, now)
  if (state === 'authorized' || state === 'claimed' || state === 'refused') return { kind: state }
  // What was withdrawn gave its external id away; what is encrypted under its code has no other.
  if (state === 'allocated' || state === 'withdrawn' || words.verifier === undefined) return { kind: 'not-possible' }
  const letters = newCode(ledger.random)
  const { endedAt: _, rejectedAt: __, ...kept } = row
  const next: RequestRow = {
    ...kept,
    ...{
      state: 'pending',
      used: 0,
      wrong: 0,
      expiresAt: now + row.termMs,
      code: ledger.digestOf(letters),
      tickets: [],
    },
  }
  const parts = together(
    await storing(ledger.vault, next, words, stored.version),
    {
      require: [{ key: codeKey(next.code), version: 'absent' }],
      put: [{ key: codeKey(next.code), value: Buffer.from(row.id) }],
      del: [codeKey(row.code)],
      // Its job is there as long as the request is; what stands in the queue already stays as it is.
      enqueue: [{ queue: connectQueue, id: row.id, payload: new Uint8Array(), dueAt: next.expiresAt }],
    },
    withoutTickets(row),
  )
  return { kind: 'changed', request: ledger.view({ ...stored, row: next }), code: showCode(letters), parts }
}

async function withdraw(ledger: RequestLedger, owner: string, name: RequestName): ReturnType<Requests['withdraw']> {
  const stored = await named(ledger, owner, name)
  if (!stored || stored.row.state === 'withdrawn') return { kind: 'unknown' }
  const { row } = stored
  if (row.state === 'authorized' || row.state === 'claimed') return { kind: row.state }
  const changed = { state: 'withdrawn' as const, endedAt: ledger.clock.now(), tickets: [] }
  const freed = row.external === undefined ? [] : [externalKey(row.of, row.owner, row.external, row.id)]
  const parts = together(
    await ledger.put(stored, changed),
    { del: freed },
    withoutTickets(row),
    await ledger.ended(stored, changed, 'withdrawn'),
  )
  return { kind: 'changed', request: ledger.view(stored, changed), parts }
}

async function changeExternalId(
  ledger: RequestLedger,
  owner: string,
  name: Parameters<Requests['changeExternalId']>[1],
  next: string,
): ReturnType<Requests['changeExternalId']> {
  if (readLine(next, ledger.limits.externalIdMost) !== next) return refused('bad-external-id')
  const all = 'code' in name ? [await named(ledger, owner, name)] : await everyKind(ledger, owner, name.externalId)
  const now = ledger.clock.now()
  const meant = all.filter((stored): stored is Stored => stored !== undefined && mayBeRenamed(stored.row, now))
  if (meant.length === 0) return { kind: 'unknown' }
  const external = externalDigest(ledger.indexKey, owner, next)
  const others = meant.filter(({ row }) => row.external !== external)
  const parts: Batch[] = []
  for (const stored of others) {
    const { of, id, external: before } = stored.row
    if (of === 'connect' && (await ledger.store.get(externalKey(of, owner, external, id)))) return refused('duplicate')
    parts.push(
      await ledger.put(stored, { external }, { externalId: next }),
      claiming({ ...stored.row, external }),
      before === undefined ? {} : { del: [externalKey(of, owner, before, id)] },
    )
  }
  return { kind: 'changed', count: meant.length, parts: together(...parts) }
}

/** Packages only while they wait; a Patient Connect request as long as it is told of. */
function mayBeRenamed(row: RequestRow, now: number): boolean {
  const state = stateAt(row, now)
  if (state === 'withdrawn' || state === 'allocated') return false
  return row.of === 'connect' || state === 'pending'
}

async function everyKind(ledger: RequestLedger, owner: string, externalId: string): Promise<readonly Stored[]> {
  const all = await Promise.all(
    (['connect', 'package'] as const).map((of) => ofExternalId(ledger, of, owner, externalId)),
  )
  return all.flat()
}

/** A plain address of ordinary mail: one line, one `@`, a domain with a dot. The relay says whether it is one. */
function isMailbox(text: string): boolean {
  return /^[^\s@<>(),;:"\\[\]\p{C}]+@[^\s@<>(),;:"\\[\]\p{C}]+\.[^\s@<>(),;:"\\[\]\p{C}]+$/u.test(text)
}
