import { hash } from 'node:crypto'
import { newRequest } from '../authority/request.js'
import { readPublicKey } from '../authority/signing.js'
import { type DirectAddress, parseAddress, parseDomain } from '../direct/address.js'
import type { Directory, KeyRecord, KeyWarning, Owner, Standing } from '../directory/directory.js'
import { directoryProblems } from '../directory/problem.js'
import type { KeyArithmetic, KeyKind, WrappedKey } from '../ports/arithmetic.js'
import type { Audit } from '../ports/audit.js'
import type { KeyUse, Registrar, RegistrarAnswer } from '../ports/registrar.js'
import { type Batch, type Entry, type NewJob, type Store, within } from '../ports/store.js'
import type { Clock } from '../ports/world.js'
import { readCertificate } from '../x509/certificate.js'

/** A certificate that we asked for and do not have yet; its private key waits with it, wrapped. */
export interface Registration {
  /** The first 16 hex digits of the SHA-256 of the public key. */
  readonly id: string
  readonly owner: Owner
  readonly use: KeyUse
  readonly kind: KeyKind
  readonly registrar: string
  /** `asking`: the registrar did not answer yet. `pending`: it decides, or a person carries files. `refused`: it said no. */
  readonly state: 'asking' | 'pending' | 'refused'
  /** What was said last, for people. */
  readonly detail: string
  readonly ticket?: string
  /** PKCS#10, DER. */
  readonly request: Uint8Array
  /** Unix milliseconds. */
  readonly begunAt: number
  /** Id of the key whose place the new one takes. */
  readonly renews?: string
}

export interface Registered {
  readonly kind: 'registered'
  readonly key: KeyRecord
  readonly warnings: readonly KeyWarning[]
}

export type RegistrationOutcome =
  | Registered
  | { readonly kind: 'waiting'; readonly registration: Registration }
  | { readonly kind: 'refused'; readonly detail: string }

export interface RegistrationAsked {
  /** An address or a domain that is served. */
  readonly owner: string
  readonly use?: KeyUse
  readonly kind?: KeyKind
  readonly registrar?: string
  readonly renews?: string
}

/** How an address or a domain of ours comes to its certificates. */
export interface Registrations {
  /**
   * Makes a key, asks for its certificate and, where the answer comes at once, takes it into use. Refuses an address that
   * is not live: who it belongs to is settled before anything speaks in its name.
   */
  begin(asked: RegistrationAsked, by: string): Promise<RegistrationOutcome>
  /** Takes certificates that a person brought (DER, in any order): one is for a key that waits, the others are its chain. */
  accept(certificates: readonly Uint8Array[], by: string): Promise<RegistrationOutcome>
  list(): Promise<readonly Registration[]>
  /** Gives up; the key is gone for good. False where there is none of this id. */
  withdraw(id: string, by: string): Promise<boolean>
  /** Asks again; for the queue. Answers when to come again, undefined where there is nothing left to ask. */
  advance(owner: Owner, id: string): Promise<number | undefined>
}

export interface RegistrationPorts {
  readonly directory: Pick<Directory, 'domains' | 'addresses' | 'keys'>
  readonly arithmetic: KeyArithmetic
  readonly registrars: readonly Registrar[]
  readonly store: Store
  readonly audit: Audit
  readonly clock: Clock
}

export const registrationLimits = {
  /** Certificates asked for and not had; a gateway whose authority is away for long must not fill its store with keys. */
  open: 10_000,
  perOwner: 8,
  /** Certificates that one person brings at once: one and its chain. */
  brought: 16,
  /** First and longest wait before a registrar is asked again; doubled each time. */
  askAgainMs: 60_000,
  askAgainMaxMs: 3_600_000,
}

/** The purpose under which a key is wrapped until its certificate comes. */
export const askedKeyPurpose = 'asked-key'
export const certificateQueue = 'certificates'
export const registrationPrefix = 'registration/'

/** What the rows hold beside the registration: base64 instead of bytes, and the key. */
export interface RegistrationRow extends Omit<Registration, 'id' | 'owner' | 'request'> {
  readonly request: string
  readonly wrapped: string
  /** SHA-256 of the public key. */
  readonly keyId: string
  readonly tries: number
}

interface Found {
  readonly key: string
  readonly version: number
  readonly owner: Owner
  readonly id: string
  readonly row: RegistrationRow
}

const rowKey = (owner: Owner, id: string) => `${registrationPrefix}${owner} ${id}`
const json = (value: unknown) => Buffer.from(JSON.stringify(value))
const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64')
const bytes = (text: string) => Uint8Array.from(Buffer.from(text, 'base64'))

export function openRegistrations(ports: RegistrationPorts): Registrations {
  const { directory, arithmetic, registrars, store, audit, clock } = ports

  const told = (action: string, by: string, subject: Readonly<Record<string, string>>, reason?: string): Batch => {
    const outcome = reason === undefined ? ('success' as const) : ('failed' as const)
    const why = reason === undefined ? {} : { reason }
    return { append: [audit.entry({ at: clock.now(), action, actor: by, subject, outcome, ...why })] }
  }

  async function all(): Promise<readonly Found[]> {
    return (await store.range({ ...within(registrationPrefix), limit: registrationLimits.open })).map(foundOf)
  }

  async function find(owner: Owner, id: string): Promise<Found | undefined> {
    const entry = await store.get(rowKey(owner, id))
    return entry && foundOf(entry)
  }

  const begin: Registrations['begin'] = async (asked, by) => {
    const { use = 'both', kind = 'rsa-2048', registrar = registrars[0]?.name ?? '' } = asked
    if (!registrars.some(({ name }) => name === registrar))
      return refused(`there is no registrar ${registrar}; known are ${registrars.map(({ name }) => name).join(', ')}`)
    const owner = await ownerOf(asked.owner)
    if (typeof owner !== 'string') return owner
    const full = await roomFor(owner)
    if (full) return full

    const made = await arithmetic.newKey(kind, askedKeyPurpose)
    const publicKey = readPublicKey(made.spki)
    if (publicKey.kind === 'unfit') throw new Error(`A key of ours is not fit: ${publicKey.detail}`)
    const request = await newRequest({ key: made.key, publicKey }, owner, use, arithmetic)
    if (request.kind === 'undecided') return refused(request.detail)
    const id = made.key.id.slice(0, 16)
    const row: RegistrationRow = {
      use,
      kind,
      registrar,
      state: 'asking',
      detail: '',
      request: base64(request.der),
      wrapped: base64(made.key.wrapped),
      keyId: made.key.id,
      begunAt: clock.now(),
      tries: 0,
      ...(asked.renews !== undefined && { renews: asked.renews }),
    }
    // The key is safe before anybody hears of it; the job asks again where this process dies.
    const key = rowKey(owner, id)
    const outcome = await store.commit({
      require: [{ key, version: 'absent' }],
      put: [{ key, value: json(row) }],
      enqueue: [askingJob(owner, id, clock.now() + registrationLimits.askAgainMs)],
      ...told('certificate.asked', by, { owner, registration: id, registrar, use }),
    })
    if (outcome.kind !== 'committed') return refused('the same key is being registered already')
    const answer = await ask(owner, id, by)
    if (answer.kind !== 'waiting' || answer.registration.state !== 'refused') return answer
    // Refused on the spot: nobody has seen the key, so nothing of it is kept.
    await withdraw(id, by)
    return refused(answer.registration.detail)
  }

  /** The owner, where it may have a certificate. */
  async function ownerOf(text: string): Promise<Owner | Extract<RegistrationOutcome, { kind: 'refused' }>> {
    const address = text.includes('@') ? parseAddress(text) : undefined
    if (address) {
      const standing = await directory.addresses.standing(address)
      return standing === 'live' ? address : refused(standingWords(address, standing))
    }
    const domain = text.includes('@') ? undefined : parseDomain(text)
    if (!domain) return refused(`${text} is neither an address nor a domain`)
    return (await directory.domains.get(domain)) ? domain : refused(directoryProblems['domain-not-served'])
  }

  async function roomFor(owner: Owner) {
    const open = await all()
    if (open.length >= registrationLimits.open) return refused('too many certificates are asked for and not had')
    if (open.filter((found) => found.owner === owner).length >= registrationLimits.perOwner)
      return refused(`${owner} waits for as many certificates as may be asked for; withdraw one`)
    return undefined
  }

  /** Asks the registrar once, and does what follows from the answer. */
  async function ask(owner: Owner, id: string, by: string): Promise<RegistrationOutcome> {
    const found = await find(owner, id)
    if (!found) return refused('it was withdrawn, or is registered already')
    const registrar = registrars.find(({ name }) => name === found.row.registrar)
    if (!registrar) return keepState(found, 'refused', `there is no registrar ${found.row.registrar} any more`, by)
    const asked = { request: bytes(found.row.request), owner, use: found.row.use }
    const { ticket } = found.row
    const answer = await (ticket === undefined ? registrar.request(asked) : registrar.poll(ticket, asked))
    return follow(found, answer, by)
  }

  async function follow(found: Found, answer: RegistrarAnswer, by: string): Promise<RegistrationOutcome> {
    switch (answer.kind) {
      case 'issued': {
        const taken = await take(found, answer.certificate, answer.chain, by)
        return taken.kind === 'registered' ? taken : follow(found, taken, by)
      }
      case 'pending':
        return keepState(found, 'pending', '', by, answer.ticket)
      case 'unavailable':
        return keepState(found, found.row.state, answer.detail, by)
      case 'refused':
        return keepState(found, 'refused', answer.detail, by)
    }
  }

  /** Binds the key to its certificate and takes both into use. Safe to run again after a crash at any line. */
  async function take(
    { key, version, owner, id, row }: Found,
    certificate: Uint8Array,
    chain: readonly Uint8Array[],
    by: string,
  ): Promise<Registered | Exclude<RegistrarAnswer, { kind: 'issued' | 'pending' }>> {
    const bound = await arithmetic.bindKey(keptKey(row), certificate)
    if (bound.kind === 'undecided') return { kind: 'unavailable', detail: bound.detail }
    if (bound.kind === 'mismatch') return refused(bound.detail)
    if (row.renews !== undefined && !(await endsLater(certificate, owner, row.renews)))
      return refused('it ends no later than the certificate whose place it would take; a newer authority is needed')
    const registered = { registrar: row.registrar, use: row.use, kind: row.kind }
    const added = await directory.keys.addBound({ owner, certificate, chain, wrapped: bound.wrapped, registered }, by)
    if (added.kind === 'refused' && added.problem !== 'already-exists')
      return refused(`${directoryProblems[added.problem]} (${added.detail})`)
    await store.commit({
      require: [{ key, version }],
      del: [key],
      ...told('certificate.registered', by, { owner, registration: id, registrar: row.registrar }),
    })
    if (added.kind === 'added') return { kind: 'registered', key: added.key, warnings: added.warnings }
    const known = (await directory.keys.list(owner)).find(({ id }) => id === added.detail)
    return known ? { kind: 'registered', key: known, warnings: [] } : refused('the key was removed meanwhile')
  }

  /**
   * Whether a certificate outlives the one that it renews. An authority near its own end gives no such thing, and a key that
   * takes nobody's place would be renewed beside the old one every day, twice as many each time.
   */
  async function endsLater(der: Uint8Array, owner: Owner, renews: string): Promise<boolean> {
    const old = (await directory.keys.list(owner)).find(({ id }) => id === renews)
    const certificate = readCertificate(der)
    return !old || certificate.kind === 'malformed' || certificate.notAfter > old.notAfter
  }

  /** Writes down what was said last. A refusal is told in the audit log, once. */
  async function keepState(
    { key, version, owner, id, row }: Found,
    state: Registration['state'],
    detail: string,
    by: string,
    ticket = row.ticket,
  ): Promise<RegistrationOutcome> {
    const next: RegistrationRow = {
      ...row,
      state,
      detail,
      tries: row.tries + 1,
      ...(ticket !== undefined && { ticket }),
    }
    const isNew = state === 'refused' && row.state !== 'refused'
    await store.commit({
      require: [{ key, version }],
      put: [{ key, value: json(next) }],
      ...(isNew && told('certificate.refused', by, { owner, registration: id, registrar: row.registrar }, 'refused')),
    })
    return { kind: 'waiting', registration: registrationOf({ key, version, owner, id, row: next }) }
  }

  const accept: Registrations['accept'] = async (certificates, by) => {
    if (certificates.length > registrationLimits.brought) return refused('too many certificates at once')
    const waiting = new Map((await all()).map((found) => [found.row.keyId, found]))
    for (const [i, der] of certificates.entries()) {
      const certificate = readCertificate(der)
      if (certificate.kind === 'malformed') return refused(certificate.detail)
      const found = waiting.get(hash('sha256', certificate.spki, 'hex'))
      if (!found) continue
      // What does not fit leaves the registration as it was: the right certificate may still come.
      const taken = await take(found, der, certificates.toSpliced(i, 1), by)
      return taken.kind === 'registered' ? taken : refused(taken.detail)
    }
    return refused('none of these certificates is for a key that waits for one')
  }

  const withdraw: Registrations['withdraw'] = async (id, by) => {
    const found = (await all()).find((one) => one.id === id)
    if (!found) return false
    const outcome = await store.commit({
      require: [{ key: found.key, version: found.version }],
      del: [found.key],
      ...told('certificate.withdrawn', by, { owner: found.owner, registration: id }),
    })
    return outcome.kind === 'committed'
  }

  const advance: Registrations['advance'] = async (owner, id) => {
    const found = await find(owner, id)
    if (!found || found.row.state === 'refused') return undefined
    const registrar = registrars.find(({ name }) => name === found.row.registrar)
    if (found.row.state === 'pending' && registrar?.askAgainMs === undefined) return undefined
    const outcome = await ask(owner, id, 'system')
    if (outcome.kind !== 'waiting' || outcome.registration.state === 'refused') return undefined
    const { askAgainMs, askAgainMaxMs } = registrationLimits
    if (outcome.registration.state === 'pending') return registrar?.askAgainMs && clock.now() + registrar.askAgainMs
    return clock.now() + Math.min(askAgainMaxMs, askAgainMs * 2 ** Math.min(found.row.tries, 16))
  }

  return { begin, accept, withdraw, advance, list: async () => (await all()).map(registrationOf) }
}

/** The job that asks a registrar again. */
function askingJob(owner: Owner, id: string, dueAt: number): NewJob {
  return { queue: certificateQueue, id: `ask ${owner} ${id}`, dueAt, payload: json({ kind: 'ask', owner, id }) }
}

function foundOf({ key, value, version }: Entry): Found {
  const [owner = '', id = ''] = key.slice(registrationPrefix.length).split(' ')
  return { key, version, owner: owner as Owner, id, row: JSON.parse(Buffer.from(value).toString()) as RegistrationRow }
}

function registrationOf({ owner, id, row }: Found): Registration {
  const { use, kind, registrar, state, detail, ticket, request, begunAt, renews } = row
  return {
    ...{ id, owner, use, kind, registrar, state, detail, begunAt, request: bytes(request) },
    ...(ticket !== undefined && { ticket }),
    ...(renews !== undefined && { renews }),
  }
}

function keptKey({ keyId, wrapped }: RegistrationRow): WrappedKey {
  return { kind: 'wrapped', purpose: askedKeyPurpose, id: keyId, wrapped: bytes(wrapped) }
}

function standingWords(address: DirectAddress, standing: Exclude<Standing, 'live'> | undefined): string {
  switch (standing) {
    case undefined:
      return directoryProblems['address-not-served']
    case 'disabled':
      return `${address} is disabled`
    case 'awaiting-proofing':
      return `${address} waits for proof of identity; give it with \`direct-gateway address proof\``
  }
}

function refused(detail: string): Extract<RegistrationOutcome, { kind: 'refused' }> {
  return { kind: 'refused', detail }
}
