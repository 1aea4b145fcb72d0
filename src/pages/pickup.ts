import { readCode, showCode } from '../connect/code.js'
import type { PatientConnect, PickupReview } from '../connect/patient-connect.js'
import type { Opened, PickupFrom } from '../connect/request.js'
import type { ActivityFrom, App, ConsentQuestion } from '../consent/consent.js'
import type { AccessRule } from '../direct/access.js'
import { networkOf } from '../direct/network.js'
import type { Membership, People } from '../people/people.js'
import type { Audit } from '../ports/audit.js'
import type { Store } from '../ports/store.js'
import type { Clock } from '../ports/world.js'
import { action, choices, errorSummary, type FormErrors, field, form, hidden } from './form.js'
import { type Html, html } from './html.js'
import { message, type PageParts } from './layout.js'
import { chosenRecord, recordFields } from './pickup-record.js'
import { words } from './pickup-words.js'
import { type PageAnswer, type PageRequest, type PageRoutes, type SignedIn, type Visit, withNext } from './session.js'

export interface PickupPorts {
  readonly connect: PatientConnect
  readonly apps: { get(id: string): Promise<App | undefined> }
  readonly records: Pick<People['records'], 'of' | 'create'>
  readonly store: Pick<Store, 'commit'>
  readonly audit: Audit
  readonly clock: Clock
  /** Pages that go on after the right answer where the code is of another kind; they post to paths of their own. */
  readonly others?: {
    readonly [of in 'package' | 'message']?: (
      right: { readonly ticket: string; readonly friendlyName: string; readonly holder: string },
      visit: SignedIn,
    ) => Promise<PageAnswer>
  }
}

const { language } = words
const base = '/pickup'

/** Entering a code, its question, whose record, and what the clinic may do: each step a form that needs no script. */
export function pickupPages(ports: PickupPorts): PageRoutes {
  return (kit) => {
    kit.get(base, 'nobody', ({ visit, query }) => enterPage(visit, typedCode(query.get('code'))))
    kit.post(base, 'nobody', (request) => opening(ports, request))
    kit.post(`${base}/answer`, 'person', (request) => answering(ports, request))
    kit.post(`${base}/record`, 'person', (request) => choosing(ports, request))
    kit.post(`${base}/decide`, 'person', (request) => deciding(ports, request))
    kit.get(`${base}/done`, 'person', async ({ query }) => {
      const app = await ports.apps.get(query.get('app'))
      if (!app) return over
      const told = [words.done.text(app.name), ...(app.successMessage === undefined ? [] : [app.successMessage])]
      return message(words.done.title, told, { next: { href: '/account/apps', words: words.done.link } })
    })
    kit.get(`${base}/rejected`, 'person', ({ query }) =>
      message(words.rejected.title, query.has('never') ? words.rejected.never : words.rejected.text),
    )
  }
}

/** Where a step is asked for whose ticket is over. */
export const over = message(words.over.title, words.over.text, {
  next: { href: base, words: words.over.link },
  status: 409,
})

/** A code as it came, in its groups where it is one. */
function typedCode(text: string): string {
  const letters = readCode(text)
  return letters ? showCode(letters) : text.slice(0, 200)
}

/** Who comes with a code, from where: what a ticket is bound to. */
export function holderOf({ session, address }: Visit): PickupFrom {
  return {
    network: networkOf(address),
    holder: session ? `session:${session.id}` : 'nobody',
    by: session ? `person:${session.person}` : 'anonymous',
  }
}

/** Whoever is at the page, as the history names them. */
export function actingOf({ session, address }: SignedIn): ActivityFrom {
  return { by: `person:${session.person}`, avenue: 'page', person: session.person, address }
}

function told(
  { audit, clock }: PickupPorts,
  { session, address }: SignedIn,
  deed: string,
  subject: Record<string, string>,
) {
  const by = { actor: `person:${session.person}`, subject: { ...subject, client: address } }
  return () => ({
    append: [audit.entry({ at: clock.now(), action: `page.${deed}`, ...by, outcome: 'success' as const })],
  })
}

function enterPage({ csrf }: Visit, code: string, error?: string): PageParts {
  const { title, text, label, hint, submit } = words.enter
  const errors: FormErrors = error === undefined ? {} : { code: error }
  const input = field({ name: 'code', label, hint, value: code, error, autocomplete: 'off', maxlength: 200 })
  return {
    ...{ title, language, wrong: error !== undefined, ...(error !== undefined && { status: 422 }) },
    body: html`${errorSummary(errors)}<p>${text}</p>${form(base, csrf, input, { words: submit })}`,
  }
}

async function opening({ connect }: PickupPorts, { visit, form }: PageRequest): Promise<PageAnswer> {
  const code = typedCode(form.get('code'))
  const opened = await connect.open(code, holderOf(visit))
  if (opened.kind === 'question') return questionPage(visit, code, opened)
  return enterPage(visit, code, opened.kind === 'wait' ? words.wait : words.wrongCode)
}

type Question = Opened & { readonly app?: App }

function questionPage({ session, csrf }: Visit, code: string, opened: Question, error?: string): PageParts {
  const { from, somebody, none, submit, signIn, links, birth } = words.question
  // Where the sender of a message asked nothing, the birth date that it tells of is the answer.
  const born = opened.of === 'message' && opened.question === undefined
  const { title, label, hint } = born ? birth : words.question
  const asked = born
    ? html`<p>${birth.text}</p>`
    : html`<p>${from(opened.app?.name ?? somebody)}</p><p><strong>${opened.question ?? none}</strong></p>`
  if (!session) {
    const next = `${base}?code=${code}`
    const ways = html`<ul><li><a href="${withNext('/sign-in', next)}">${links.signIn}</a></li><li><a href="${withNext('/sign-up', next)}">${links.signUp}</a></li></ul>`
    return { title, language, body: html`${asked}<p>${signIn}</p>${ways}` }
  }
  const errors: FormErrors = error === undefined ? {} : { answer: error }
  const type = born ? 'date' : 'text'
  const input = html`${hidden('code', code)}${field({ name: 'answer', label, hint, error, type, autocomplete: 'off', maxlength: 255 })}`
  return {
    ...{ title, language, wrong: error !== undefined, ...(error !== undefined && { status: 422 }) },
    body: html`${errorSummary(errors)}${asked}${form(`${base}/answer`, csrf, input, { words: submit })}`,
  }
}

async function answering(ports: PickupPorts, { visit, form }: PageRequest<SignedIn>): Promise<PageAnswer> {
  const { connect, others } = ports
  const from = holderOf(visit)
  const code = typedCode(form.get('code'))
  const text = form.get('answer')
  const again = async (error: string): Promise<PageAnswer> => {
    const opened = await connect.open(code, from)
    return opened.kind === 'question' ? questionPage(visit, code, opened, error) : enterPage(visit, '', error)
  }
  // A form that was sent too early takes no try.
  if (text.trim() === '') return again(words.question.blank)
  const answered = await connect.answer(code, text, from)
  switch (answered.kind) {
    case 'wrong':
      return again(words.question.wrong(answered.left))
    case 'nothing':
      return enterPage(visit, code, words.wrongCode)
    case 'wait':
      return enterPage(visit, code, words.wait)
    case 'right': {
      const { ticket, friendlyName, of } = answered
      if (of === 'connect') return recordPage(ports, visit, ticket)
      const page = await others?.[of]?.({ ticket, friendlyName, holder: from.holder }, visit)
      return page ?? message(words.elsewhere.title, words.elsewhere.text)
    }
  }
}

async function recordPage(
  { connect }: PickupPorts,
  visit: SignedIn,
  ticket: string,
  errors: FormErrors = {},
): Promise<PageAnswer> {
  const review = await connect.review(ticket, holderOf(visit).holder, visit.session.person)
  return review ? whosePage(review, visit, ticket, errors) : over
}

function whosePage(
  { app, friendlyName, records }: PickupReview,
  { csrf }: Visit,
  ticket: string,
  errors: FormErrors,
): PageParts {
  const { title, text, submit, reasons } = words.record
  const options = records.map(({ membership: { record }, match }) => ({
    ...{ value: record.id, words: record.name, chosen: match.kind === 'match' },
    ...(reasons[match.kind] !== '' && { hint: reasons[match.kind] }),
  }))
  const body = html`${hidden('ticket', ticket)}${recordFields(options, friendlyName, errors)}`
  const wrong = Object.keys(errors).length > 0
  return {
    ...{ title, language, wrong, ...(wrong && { status: 422 }) },
    body: html`${errorSummary(errors)}<p>${text(app.name, friendlyName)}</p>${form(`${base}/record`, csrf, body, { words: submit })}`,
  }
}

async function choosing(ports: PickupPorts, { visit, form }: PageRequest<SignedIn>): Promise<PageAnswer> {
  const ticket = form.get('ticket')
  const { person } = visit.session
  const holder = holderOf(visit).holder
  const review = await ports.connect.review(ticket, holder, person)
  if (!review) return over
  const chosen = await chosenRecord(ports, form, person)
  if ('errors' in chosen) return whosePage(review, visit, ticket, chosen.errors)
  return consentPage(ports, visit, ticket, chosen.record)
}

async function consentPage(
  { connect }: PickupPorts,
  visit: SignedIn,
  ticket: string,
  record: string,
  errors: FormErrors = {},
): Promise<PageAnswer> {
  const { person } = visit.session
  const { holder } = holderOf(visit)
  const review = await connect.review(ticket, holder, person)
  const found = review?.records.find(({ membership }) => membership.record.id === record)
  const question = found && (await connect.question(ticket, holder, person, record))
  if (!review || !found || !question) return over
  if (question.action === 'not-possible') return whosePage(review, visit, ticket, { record: words.consent.notPossible })
  return allowPage(question, found.membership, found.match.kind === 'mismatch', visit, ticket, errors)
}

function allowPage(
  { app, rules: { offline }, granted }: ConsentQuestion,
  { record }: Membership,
  mismatch: boolean,
  { csrf }: SignedIn,
  ticket: string,
  errors: FormErrors,
): PageParts {
  const { consent } = words
  const had = granted?.rules.offline.map(({ name }) => name) ?? []
  const required = offline.filter(({ optional }) => !optional)
  const optional = offline.filter(({ optional }) => optional)
  const fields = html`${hidden('ticket', ticket)}${hidden('record', record.id)}
${
  optional.length > 0 &&
  choices(
    'checkbox',
    { name: 'optional', label: consent.optional, hint: consent.optionalHint, error: errors['optional'] },
    optional.map((rule) => ({
      value: rule.name,
      words: reasonOf(rule),
      hint: whatOf(rule),
      chosen: had.includes(rule.name),
    })),
  )
}
${mismatch && choices('checkbox', { name: 'confirmed', label: consent.mismatch, error: errors['confirmed'] }, [{ value: 'yes', words: consent.confirm }])}`
  const statements = [
    [app.privacyUrl, consent.privacy],
    [app.termsUrl, consent.terms],
  ] as const
  const links: readonly Html[] = statements.flatMap(([href, text]) =>
    href === undefined ? [] : [html`<li><a href="${href}" rel="noreferrer">${text}</a></li>`],
  )
  const wrong = Object.keys(errors).length > 0
  const no = (decision: string, text: string) =>
    action(`${base}/decide`, csrf, text, { fields: { ticket, record: record.id, decision }, look: 'second' })
  return {
    ...{ title: consent.title(app.name), language, wrong, ...(wrong && { status: 422 }) },
    body: html`${errorSummary(errors)}<p>${consent.text(app.name, record.name)}</p>
<ul>${required.map((rule) => html`<li>${reasonOf(rule)} <span class="hint">(${whatOf(rule)})</span></li>`)}</ul>
${links.length > 0 && html`<ul>${links}</ul>`}
${form(`${base}/decide`, csrf, fields, { words: consent.allow, name: 'decision', value: 'allow' })}
${no('reject', consent.reject)}${no('never', consent.never)}`,
  }
}

function reasonOf({ reason, name }: AccessRule): string {
  return reason[language] ?? reason['en'] ?? name
}

function whatOf({ permissions, types, from, to }: AccessRule): string {
  const { consent } = words
  const may = permissions.map((one) => consent.permissions[one]).join(', ')
  const what = types?.join(', ') ?? consent.types
  return [`${may}: ${what}`, consent.dates(from, to)].filter(Boolean).join(', ')
}

async function deciding(ports: PickupPorts, { visit, form }: PageRequest<SignedIn>): Promise<PageAnswer> {
  const { connect } = ports
  const { person } = visit.session
  const { holder } = holderOf(visit)
  const [ticket, record, decision] = [form.get('ticket'), form.get('record'), form.get('decision')]
  if (decision === 'reject' || decision === 'never') {
    const never = decision === 'never'
    const { kind } = await connect.reject(ticket, holder, never, told(ports, visit, 'pickup.reject', {}))
    return kind === 'rejected' ? { redirect: `${base}/rejected${never ? '?never=yes' : ''}` } : over
  }
  if (decision !== 'allow') return over
  const choice = { record, offline: form.all('optional'), confirmed: form.get('confirmed') === 'yes' }
  const done = await connect.accept(
    ticket,
    holder,
    person,
    choice,
    actingOf(visit),
    told(ports, visit, 'pickup.accept', { record }),
  )
  switch (done.kind) {
    case 'authorized':
      return { redirect: `${base}/done?app=${encodeURIComponent(done.app.id)}` }
    case 'mismatch':
      return consentPage(ports, visit, ticket, record, { confirmed: words.consent.confirmError })
    case 'unknown-rule':
    case 'nothing-granted':
      return consentPage(ports, visit, ticket, record, { optional: words.consent.unknownRule })
    case 'not-possible':
    case 'no-such-record':
      return recordPage(ports, visit, ticket, { record: words.consent.notPossible })
    case 'too-many':
      return recordPage(ports, visit, ticket, { record: words.consent.tooMany })
    case 'nothing':
      return over
  }
}
