import type { ActivityFrom, App } from '../consent/consent.js'
import type { RecordAccess } from '../direct/access.js'
import { parseAddress } from '../direct/address.js'
import type { Membership, People } from '../people/people.js'
import type { Activation } from '../pipeline/activation.js'
import type { ClaimContents, ClaimedThing, Claims } from '../pipeline/claim.js'
import type { ClaimOutcome, Newcomers } from '../pipeline/newuser.js'
import type { Store } from '../ports/store.js'
import { action, choices, errorSummary, type Form, type FormErrors, field, form, hidden } from './form.js'
import { type Html, html } from './html.js'
import { message } from './layout.js'
import { actingOf, holderOf, over, type PickupPorts } from './pickup.js'
import { chosenRecord, recordFields } from './pickup-record.js'
import { words } from './pickup-words.js'
import type { PageAnswer, PageRequest, PageRoutes, SignedIn } from './session.js'

export interface ClaimPagePorts {
  readonly claims: Claims
  readonly newcomers: Pick<Newcomers, 'claim' | 'decline'>
  /** Taking an address on the way; without it people are told that none can be taken. */
  readonly activation?: Pick<Activation, 'activate' | 'domains' | 'suggest'>
  readonly apps: { get(id: string): Promise<App | undefined> }
  readonly records: Pick<People['records'], 'of' | 'create' | 'membership'>
  readonly store: Pick<Store, 'commit'>
}

const { language } = words
const base = '/pickup'
/** Things listed on the page; of others the number is told. */
const thingsShown = 50

/** What goes on after the right answer where a code opens a package, or mail that waited: for `PickupPorts.others`. */
export function claimPages(ports: ClaimPagePorts): {
  readonly routes: PageRoutes
  readonly others: NonNullable<PickupPorts['others']>
} {
  return {
    others: {
      package: ({ ticket }, visit) => packagePage(ports, visit, ticket),
      message: ({ ticket, friendlyName }, visit) => messagePage(ports, visit, { ticket, name: friendlyName }),
    },
    routes(kit) {
      kit.post(`${base}/package/take`, 'person', (request) => taking(ports, request))
      kit.post(`${base}/package/reject`, 'person', async ({ visit, form }) => {
        const never = form.get('decision') === 'never'
        const { holder, by } = holderOf(visit)
        const done = await ports.claims.reject(form.get('ticket'), holder, never, by)
        return done ? { redirect: `${base}/rejected${never ? '?never=yes' : ''}` } : over
      })
      kit.get(`${base}/package/done`, 'person', async ({ query }) => {
        const app = await ports.apps.get(query.get('app'))
        const { title, text, link } = words.claim.done
        const told = [text(Number(query.get('things')) || 1), ...(app?.successMessage ? [app.successMessage] : [])]
        return message(title, told, { next: { href: '/records', words: link } })
      })
      kit.post(`${base}/message/take`, 'person', (request) => takingMessage(ports, request))
      kit.post(`${base}/message/address`, 'person', (request) => takingAddress(ports, request))
      kit.post(`${base}/message/refuse`, 'person', async ({ visit, form }) => {
        const { holder, by } = holderOf(visit)
        const done = await ports.newcomers.decline(form.get('ticket'), holder, by)
        return done ? message(words.message.declined.title, words.message.declined.text) : over
      })
      kit.get(`${base}/message/done`, 'person', ({ query }) => {
        const { title, text, link } = words.message.done
        const address = parseAddress(query.get('address'))
        return address ? message(title, text(address), { next: { href: '/records', words: link } }) : over
      })
    },
  }
}

/** What a person may do in a record of theirs, as the API would let them. */
function accessOf(
  { record, rules, custodian, confidential }: Membership,
  { by, avenue, person }: ActivityFrom,
): RecordAccess {
  const actor = { by, avenue, ...(person !== undefined && { person }) }
  return { record: record.id, told: record.id, rules, custodian: custodian && confidential !== true, actor }
}

async function openRecords({ records }: ClaimPagePorts, { session }: SignedIn): Promise<readonly Membership[]> {
  return (await records.of(session.person)).filter(({ record }) => record.state === 'active')
}

interface Chosen {
  readonly record?: string
  readonly mismatch?: boolean
  readonly errors?: FormErrors
}

async function packagePage(
  ports: ClaimPagePorts,
  visit: SignedIn,
  ticket: string,
  chosen: Chosen = {},
): Promise<PageAnswer> {
  const found = await ports.claims.contents(ticket, holderOf(visit).holder)
  if (found.kind === 'gone') return over
  if (found.kind === 'malformed') return unreadable()
  const app = await ports.apps.get(found.app)
  const { record, mismatch = false, errors = {} } = chosen
  const options = (await openRecords(ports, visit)).map((one) => ({
    ...{ value: one.record.id, words: one.record.name, chosen: one.record.id === record },
  }))
  const { claim } = words
  const confirm = choices('checkbox', { name: 'confirmed', label: claim.mismatch, error: errors['confirmed'] }, [
    { value: 'yes', words: claim.confirm },
  ])
  const fields = html`${hidden('ticket', ticket)}${recordFields(options, found.friendlyName, errors)}${mismatch && confirm}`
  const wrong = Object.keys(errors).length > 0
  const no = (decision: string, text: string) =>
    action(`${base}/package/reject`, visit.csrf, text, { fields: { ticket, decision }, look: 'second' })
  return {
    ...{ title: claim.title, language, wrong, ...(wrong && { status: 422 }) },
    body: html`${errorSummary(errors)}${insideOf(found, app?.name ?? claim.somebody)}
<p>${claim.text}</p>${form(`${base}/package/take`, visit.csrf, fields, { words: claim.take })}
${no('reject', words.consent.reject)}${no('never', words.consent.never)}`,
  }
}

function insideOf(found: Extract<ClaimContents, { kind: 'contents' }>, sender: string): Html {
  const { claim } = words
  const { friendlyName, createdAt, things, about } = found
  const shown = things.slice(0, thingsShown)
  const day = new Date(createdAt).toISOString().slice(0, 10)
  const people = about.map(({ name, birthDate }) =>
    [name, birthDate && claim.born(birthDate)].filter(Boolean).join(', '),
  )
  return html`<p>${claim.from(sender, friendlyName, day)}</p>
<ul>${shown.map((one) => html`<li>${wordsOf(one)}</li>`)}${
    things.length > shown.length && html`<li>${claim.more(things.length - shown.length)}</li>`
  }</ul>
${people.length > 0 && html`<p>${claim.about}</p><ul>${[...new Set(people)].map((one) => html`<li>${one}</li>`)}</ul>`}`
}

function wordsOf({ kind, type, title, day, mediaType, sizeBytes = 0, items }: ClaimedThing): string {
  const { claim } = words
  const what = kind === 'file' ? claim.file(mediaType ?? '', sizeOf(sizeBytes)) : (claim.types[type] ?? type)
  const read = items === undefined || items === 0 ? undefined : claim.read(items)
  return [title ?? what, title === undefined ? undefined : what, day?.slice(0, 10), read].filter(Boolean).join(', ')
}

function sizeOf(bytes: number): string {
  return bytes < 1024 * 1024
    ? `${Math.max(1, Math.round(bytes / 1024))} KiB`
    : `${(bytes / 1024 / 1024).toFixed(1)} MiB`
}

function unreadable(): PageAnswer {
  const { title, text } = words.claim.unreadable
  return message(title, text, { status: 422 })
}

async function taking(ports: ClaimPagePorts, { visit, form }: PageRequest<SignedIn>): Promise<PageAnswer> {
  const ticket = form.get('ticket')
  const { holder } = holderOf(visit)
  const found = await ports.claims.contents(ticket, holder)
  if (found.kind === 'gone') return over
  if (found.kind === 'malformed') return unreadable()
  const chosen = await chosenRecord(ports, form, visit.session.person)
  if ('errors' in chosen) return packagePage(ports, visit, ticket, chosen)
  const { record } = chosen
  const membership = (await openRecords(ports, visit)).find((one) => one.record.id === record)
  if (!membership) return packagePage(ports, visit, ticket, { errors: { record: words.record.choose } })
  const from = actingOf(visit)
  const confirmedMismatch = form.get('confirmed') === 'yes'
  const outcome = await ports.claims.claim(ticket, holder, accessOf(membership, from), from, { confirmedMismatch })
  switch (outcome.kind) {
    case 'claimed':
      return { redirect: `${base}/package/done?app=${encodeURIComponent(found.app)}&things=${outcome.things}` }
    case 'mismatch':
      return packagePage(ports, visit, ticket, {
        ...{ record, mismatch: true, errors: { confirmed: words.claim.confirmError } },
      })
    case 'denied':
      return packagePage(ports, visit, ticket, { record, errors: { record: words.claim.notYours } })
    case 'gone':
      return over
    case 'malformed':
      return unreadable()
  }
}

interface Waiting {
  readonly ticket: string
  /** Of whom the message is, as its documents say. */
  readonly name: string
}

async function messagePage(
  ports: ClaimPagePorts,
  visit: SignedIn,
  { ticket, name }: Waiting,
  { record, mismatch = false, errors = {} }: Chosen = {},
): Promise<PageAnswer> {
  const held = (await openRecords(ports, visit)).filter(({ custodian }) => custodian)
  const options = held.map((one) => ({
    ...{ value: one.record.id, words: one.record.name, chosen: one.record.id === record },
  }))
  const { title, text, take, refuse } = words.message
  const confirm = choices('checkbox', { name: 'confirmed', label: words.claim.mismatch, error: errors['confirmed'] }, [
    { value: 'yes', words: words.claim.confirm },
  ])
  const told = html`${hidden('ticket', ticket)}${hidden('about', name)}`
  const fields = html`${told}${recordFields(options, name, errors)}${mismatch && confirm}`
  const wrong = Object.keys(errors).length > 0
  return {
    ...{ title, language, wrong, ...(wrong && { status: 422 }) },
    body: html`${errorSummary(errors)}<p>${text(name)}</p>${form(`${base}/message/take`, visit.csrf, fields, { words: take })}
${action(`${base}/message/refuse`, visit.csrf, refuse, { fields: { ticket }, look: 'second' })}`,
  }
}

/** What the forms of a message carry along: its ticket and the name, which only the right answer showed. */
function waitingOf(form: Form): Waiting {
  return { ticket: form.get('ticket'), name: form.get('about').slice(0, 100) }
}

async function takingMessage(ports: ClaimPagePorts, { visit, form }: PageRequest<SignedIn>): Promise<PageAnswer> {
  const waiting = waitingOf(form)
  const chosen = await chosenRecord(ports, form, visit.session.person)
  if ('errors' in chosen) return messagePage(ports, visit, waiting, chosen)
  return claimingMessage(ports, visit, waiting, chosen.record, form.get('confirmed') === 'yes')
}

async function claimingMessage(
  ports: ClaimPagePorts,
  visit: SignedIn,
  waiting: Waiting,
  record: string,
  confirmed: boolean,
): Promise<PageAnswer> {
  const { holder } = holderOf(visit)
  const { person } = visit.session
  const claim = { ticket: waiting.ticket, holder, person, record, confirmed, from: actingOf(visit) }
  const outcome: ClaimOutcome = await ports.newcomers.claim(claim)
  switch (outcome.kind) {
    case 'claimed':
      return { redirect: `${base}/message/done?address=${encodeURIComponent(outcome.address)}` }
    case 'nothing':
      return over
    case 'no-such-record':
      return messagePage(ports, visit, waiting, { errors: { record: words.message.noRecord } })
    case 'other-patient':
      return messagePage(ports, visit, waiting, {
        ...{ record, mismatch: true, errors: { confirmed: words.claim.confirmError } },
      })
    case 'address-needed':
      return addressPage(ports, visit, waiting, record)
  }
}

async function addressPage(
  { activation, records }: ClaimPagePorts,
  { session, csrf }: SignedIn,
  { ticket, name }: Waiting,
  record: string,
  errors: FormErrors = {},
): Promise<PageAnswer> {
  const membership = await records.membership(session.person, record)
  const { title, text, choose, own, take, closed } = words.message.address
  const [domain] = (await activation?.domains()) ?? []
  if (!membership?.custodian || !activation || domain === undefined) return message(title, closed)
  const offered = await activation.suggest(membership.record.name, `person:${session.person}`)
  const options = ('kind' in offered ? [] : offered).map((value, index) => ({
    value,
    words: value,
    chosen: index === 0,
  }))
  const fields = html`${hidden('ticket', ticket)}${hidden('about', name)}${hidden('record', record)}${
    options.length > 0 && choices('radio', { name: 'suggestion', label: choose }, options)
  }${field({ name: 'wish', label: own, hint: `@${domain}`, maxlength: 64, error: errors['wish'] })}`
  const wrong = Object.keys(errors).length > 0
  return {
    ...{ title, language, wrong, ...(wrong && { status: 422 }) },
    body: html`${errorSummary(errors)}<p>${text(membership.record.name)}</p>${form(`${base}/message/address`, csrf, fields, { words: take })}`,
  }
}

async function takingAddress(ports: ClaimPagePorts, { visit, form }: PageRequest<SignedIn>): Promise<PageAnswer> {
  const waiting = waitingOf(form)
  const record = form.get('record')
  const { activation, records } = ports
  const membership = await records.membership(visit.session.person, record)
  const [domain] = (await activation?.domains()) ?? []
  if (!membership?.custodian || !activation || domain === undefined) return over
  const wish = form.get('wish').trim().toLowerCase()
  const address = wish === '' ? form.get('suggestion') : wish.includes('@') ? wish : `${wish}@${domain}`
  const taken = await activation.activate(record, address, `person:${visit.session.person}`)
  if (taken.kind === 'refused') return addressPage(ports, visit, waiting, record, { wish: words.message.address.wrong })
  // Whoever chose this record for somebody else said so before, and is asked again where it still seems so.
  return claimingMessage(ports, visit, waiting, record, false)
}
