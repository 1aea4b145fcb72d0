import type { App, ConsentQuestion, Consents } from '../consent/consent.js'
import type { Choice, Decided, Decisions, Request } from '../consent/decisions.js'
import type { AccessRule, Permission } from '../direct/access.js'
import type { RecordItemType } from '../direct/clinical.js'
import type { Membership, Records } from '../people/people.js'
import { action, choices, errorSummary, field, form, hidden } from './form.js'
import { type Html, html } from './html.js'
import { message, type PageParts, page, policyOf } from './layout.js'
import { type PageAnswer, type PageKit, type PageRequest, type SignedIn, withNext } from './session.js'

/** All words of this file. */
const words = {
  skip: 'Skip to content',
  title: (app: string) => `Allow ${app}?`,
  sure: (app: string) => `Sign in to ${app}?`,
  whoOnly: (app: string) =>
    `${app} asks who you are. It learns an identifier that is yours at ${app} alone: no name, no address, and nothing from any record.`,
  record: (app: string, name: string) => `${app} asks for access to the record “${name}”.`,
  required: 'Needed for it to work',
  optional: 'You decide',
  optionalHint: 'Tick what you allow. You can change it later under “Apps”.',
  online: 'While you use it',
  offline: 'Also when you are not there',
  offlineHint: 'It may do this by itself at any time, until you end it.',
  nothing: 'Nothing.',
  until: 'You can end this at any time under “Apps”; it ends at once. What it already has stays with it.',
  again: 'It asks for more than you allowed before. What you allowed before goes on if you deny this.',
  allow: 'Allow',
  deny: 'Do not allow',
  other: 'Choose another record',
  links: { url: 'About the app', privacyUrl: 'Its privacy statement', termsUrl: 'Its terms' },
  pick: { title: 'Which record?', label: 'Whose record do you mean?', go: 'Continue' },
  none: {
    title: 'No record yet',
    text: 'There is no record that you could give access to. Make one first, then start again from the app.',
    next: { href: '/records', words: 'Your records' },
  },
  gone: {
    title: 'This request has ended',
    text: 'It was decided already, it was too old, or it began in another browser. Start again from the app.',
  },
  impossible: (app: string) =>
    `${app} needs more than you may do in this record yourself. Somebody who looks after the record has to allow it.`,
  refused: {
    'too-many': 'You use this app on as many devices as possible. End one of them under “Apps” first.',
    'nothing-granted': 'Nothing would be allowed. Tick at least one of the choices, or do not allow it.',
    'not-possible': 'This needs more than you may do in this record yourself.',
    'no-such-record': 'Choose a record first.',
    'no-such-app': 'The app is not in use any more.',
    'unknown-rule': 'What the app asks for has just changed. Please read it again.',
    busy: 'Something changed at the same moment. Please try once more.',
  },
  device: {
    title: 'Connect a device',
    text: 'Type the code that you see on the device.',
    label: 'Code on the device',
    hint: 'Eight letters, such as WDJB-MJHT. Capitals and hyphens do not matter.',
    go: 'Continue',
    wrong: 'There is no such code, or it is too old. Look at the device again.',
    tooMany: 'Too many wrong codes. Wait a quarter of an hour, then start again at the device.',
    same: (code: string) =>
      `Go on only if the device in front of you shows ${code}. If somebody sent you this code, do not allow it.`,
    done: { title: 'Done', text: 'You can close this page and go on at the device.' },
    denied: { title: 'Not allowed', text: 'The device was told. You can close this page.' },
  },
  error: { title: 'This did not work', text: 'The app that sent you here made a request that we cannot answer.' },
  may: { read: 'See', create: 'Add', update: 'Change', delete: 'Delete' } satisfies Record<Permission, string>,
  everything: 'everything in the record',
  dates: (from: string | undefined, to: string | undefined) =>
    from === undefined ? ` up to ${to}` : to === undefined ? ` from ${from} on` : ` from ${from} to ${to}`,
}

const kinds: Partial<Record<RecordItemType, string>> = {
  problem: 'conditions',
  'vital-sign': 'vital signs',
  result: 'test results',
  'social-history': 'social history',
  'functional-status': 'abilities in daily life',
  'family-history': 'family history',
  'advance-directive': 'advance directives',
  'care-team': 'care team',
  insurance: 'insurance',
  demographics: 'name, birth date and contact data',
}

export interface AuthorizePorts {
  readonly decisions: Decisions
  readonly consents: Pick<Consents, 'question'>
  readonly records: Pick<Records, 'of'>
}

type Asked = PageRequest<SignedIn>

/** Where people decide what an application may do: at a browser (`/authorize/…`), and for another screen (`/device`). */
export function authorizePages(ports: AuthorizePorts): (kit: PageKit) => void {
  return (kit) => {
    kit.get('/authorize/:uid', 'person', (asked) => browserPage(ports, asked))
    kit.post('/authorize/:uid', 'person', (asked) => browserDecision(ports, asked))
    kit.get('/device', 'person', ({ query, visit }) => codePage(visit, {}, query.get('user_code')))
    kit.post('/device', 'person', (asked) => devicePage(ports, asked))
  }
}

async function browserPage(ports: AuthorizePorts, asked: Asked, error?: string): Promise<PageAnswer> {
  const { params, query, visit, cookie } = asked
  const uid = params['uid'] ?? ''
  const request = await ports.decisions.request(uid, cookie)
  if (!request) return message(words.gone.title, words.gone.text, { status: 404 })
  const path = `/authorize/${uid}`
  if (request.since !== undefined && visit.session.authenticatedAt < request.since)
    return { redirect: withNext('/sign-in/again', path) }
  return decisionPage(ports, { request, visit, path, fields: {}, chosen: query.get('record'), ...(error && { error }) })
}

async function browserDecision(ports: AuthorizePorts, asked: Asked): Promise<PageAnswer> {
  const { params, form: fields, visit, cookie } = asked
  const uid = params['uid'] ?? ''
  const record = fields.get('record')
  if (fields.get('decision') === 'choose')
    return { redirect: `/authorize/${encodeURIComponent(uid)}?record=${encodeURIComponent(record)}` }
  const request = await ports.decisions.request(uid, cookie)
  // Whoever must sign in once more does so before the decision, too.
  if (request?.since !== undefined && visit.session.authenticatedAt < request.since)
    return { redirect: withNext('/sign-in/again', `/authorize/${uid}`) }
  const decided =
    fields.get('decision') === 'allow'
      ? await ports.decisions.allow(uid, cookie, choiceIn(asked), whoOf(asked))
      : await ports.decisions.deny(uid, cookie)
  if (decided.kind === 'done') return { redirect: decided.location ?? '/account' }
  if (decided.kind === 'gone') return message(words.gone.title, words.gone.text, { status: 404 })
  return browserPage(ports, { ...asked, query: fields }, words.refused[decided.kind])
}

async function devicePage(ports: AuthorizePorts, asked: Asked): Promise<PageAnswer> {
  const { form: fields, visit } = asked
  const userCode = fields.get('user_code')
  const decision = fields.get('decision')
  let error: string | undefined
  if (decision === 'allow' || decision === 'deny') {
    const decided: Decided =
      decision === 'allow'
        ? await ports.decisions.allowDevice(userCode, choiceIn(asked), whoOf(asked))
        : await ports.decisions.denyDevice(userCode, visit.session.person)
    const over = decision === 'allow' ? words.device.done : words.device.denied
    if (decided.kind === 'done') return message(over.title, over.text)
    if (decided.kind === 'gone') return codePage(visit, { user_code: words.device.wrong }, '')
    error = words.refused[decided.kind]
  }
  const request = await ports.decisions.device(userCode, visit.session.person)
  if (request === 'too-many-tries') return codePage(visit, { user_code: words.device.tooMany }, '')
  if (!request) return codePage(visit, { user_code: words.device.wrong }, userCode.slice(0, 20))
  return decisionPage(ports, {
    ...{ request, visit, path: '/device', fields: { user_code: userCode }, chosen: fields.get('record') },
    warning: words.device.same(userCode.toUpperCase().slice(0, 20)),
    ...(error !== undefined && { error }),
  })
}

function codePage({ csrf }: SignedIn, errors: Readonly<Record<string, string>>, value: string): PageParts {
  const { title, text, label, hint, go } = words.device
  const input = field({ name: 'user_code', label, hint, value, error: errors['user_code'], maxlength: 20 })
  const isWrong = Object.keys(errors).length > 0
  return {
    ...{ title, language: 'en', wrong: isWrong, status: isWrong ? 422 : 200 },
    body: html`${errorSummary(errors)}<p>${text}</p>${form('/device', csrf, input, { words: go })}`,
  }
}

interface Deciding {
  readonly request: Request
  readonly visit: SignedIn
  readonly path: string
  /** What goes along with every form, unseen. */
  readonly fields: Readonly<Record<string, string>>
  readonly chosen: string
  readonly warning?: string
  readonly error?: string
}

async function decisionPage(ports: AuthorizePorts, deciding: Deciding): Promise<PageAnswer> {
  const { request, visit, chosen } = deciding
  if (!request.wantsRecord) return consentPage(deciding, html`<p>${words.whoOnly(request.app.name)}</p>`, undefined)
  const held = (await ports.records.of(visit.session.person)).filter(
    ({ record: { state } }) => state === 'active' || state === 'read-only',
  )
  if (held.length === 0) return message(words.none.title, words.none.text, { next: words.none.next })
  const membership = held.find(({ record: { id } }) => id === chosen) ?? (held.length === 1 ? held[0] : undefined)
  if (!membership) return pickPage(deciding, held)
  const { id, name } = membership.record
  const question = await ports.consents.question(request.app.id, visit.session.person, id)
  if (!question) return message(words.gone.title, words.gone.text, { status: 404 })
  const told = html`<p>${words.record(request.app.name, name)}</p>${
    held.length > 1 && choosing(deciding, words.other, '')
  }`
  if (question.action === 'not-possible') return impossiblePage(deciding, told)
  return consentPage(deciding, html`${told}${askedFor(question)}`, id, question)
}

function pickPage(deciding: Deciding, held: readonly Membership[]): PageParts {
  const { title, label, go } = words.pick
  const options = held.map(({ record: { id, name }, relationship }, index) => {
    return { value: id, words: name, hint: relationship, chosen: index === 0 }
  })
  const body = html`${choices('radio', { name: 'record', label }, options)}${along(deciding.fields)}`
  const submit = { words: go, name: 'decision', value: 'choose' }
  return {
    ...{ title, language: 'en' },
    body: html`${warned(deciding)}${form(deciding.path, deciding.visit.csrf, body, submit)}${denying(deciding)}`,
    ...targetsOf(deciding.request),
  }
}

function impossiblePage(deciding: Deciding, told: Html): PageParts {
  const { name } = deciding.request.app
  const title = words.title(name)
  const body = html`${told}<p>${words.impossible(name)}</p>${denying(deciding)}`
  return { ...{ title, language: 'en', body }, ...targetsOf(deciding.request) }
}

function consentPage(
  deciding: Deciding,
  told: Html,
  record: string | undefined,
  question?: ConsentQuestion,
): PageParts {
  const { request, visit, path, fields, error } = deciding
  const { app } = request
  const body = html`${question && optionalRules(question)}${along({ ...fields, ...(record !== undefined && { record }) })}`
  const allow = form(path, visit.csrf, body, { words: words.allow, name: 'decision', value: 'allow' })
  return {
    title: record === undefined ? words.sure(app.name) : words.title(app.name),
    language: 'en',
    ...(error !== undefined && { wrong: true, status: 422 }),
    body: html`${error !== undefined && errorSummary({ '': error })}${warned(deciding)}${told}${linksOf(app)}${
      record !== undefined && html`<p>${words.until}</p>`
    }${allow}${denying(deciding)}`,
    ...targetsOf(request),
  }
}

/** What is granted together or not at all. */
function askedFor({ rules, action: asked }: ConsentQuestion): Html {
  const required = (all: readonly AccessRule[]) => all.filter(({ optional }) => !optional)
  const [online, offline] = [required(rules.online), required(rules.offline)]
  if (online.length + offline.length === 0) return html``
  return html`${asked === 'reauthorization-required' && html`<p>${words.again}</p>`}<h2>${words.required}</h2>${
    online.length > 0 && html`<h3>${words.online}</h3><ul>${online.map(ruleItem)}</ul>`
  }${
    offline.length > 0 &&
    html`<h3>${words.offline}</h3><p class="hint">${words.offlineHint}</p><ul>${offline.map(ruleItem)}</ul>`
  }`
}

function ruleItem(rule: AccessRule): Html {
  return html`<li>${deedOf(rule)}<br>${reasonOf(rule)}</li>`
}

/** One box a rule; nothing is ticked that was not allowed before. */
function optionalRules({ rules, granted }: ConsentQuestion): Html {
  const box = (name: 'online' | 'offline', label: string) => {
    const before = new Set(granted?.rules[name].map((rule) => rule.name))
    const options = rules[name]
      .filter(({ optional }) => optional)
      .map((rule) => {
        return { value: rule.name, words: deedOf(rule), hint: reasonOf(rule), chosen: before.has(rule.name) }
      })
    return options.length > 0 && choices('checkbox', { name, label }, options)
  }
  const boxes = [box('online', words.online), box('offline', words.offline)].filter((one) => one !== false)
  return boxes.length === 0 ? html`` : html`<h2>${words.optional}</h2><p class="hint">${words.optionalHint}</p>${boxes}`
}

/** `See, Add: conditions, test results from 2020-01-01 on`. */
function deedOf({ permissions, types, from, to }: AccessRule): string {
  const may = permissions.map((one) => words.may[one]).join(', ')
  const what = types?.map((type) => kinds[type] ?? `${type.replaceAll('-', ' ')}s`).join(', ') ?? words.everything
  return `${may}: ${what}${from === undefined && to === undefined ? '' : words.dates(from, to)}`
}

function reasonOf({ reason }: AccessRule): string {
  return reason['en'] ?? ''
}

function linksOf(app: App): Html {
  const links = (['url', 'privacyUrl', 'termsUrl'] as const).flatMap((name) => {
    const href = app[name]
    return href?.startsWith('https://') ? [{ href, label: words.links[name] }] : []
  })
  if (links.length === 0) return html``
  return html`<ul>${links.map(
    ({ href, label }) => html`<li><a href="${href}" rel="noreferrer noopener" target="_blank">${label}</a></li>`,
  )}</ul>`
}

function along(fields: Readonly<Record<string, string>>): Html {
  return html`${Object.entries(fields).map(([name, value]) => hidden(name, value))}`
}

function denying({ path, visit, fields }: Deciding): Html {
  return action(path, visit.csrf, words.deny, { fields: { ...fields, decision: 'deny' }, look: 'second' })
}

function choosing({ path, visit, fields }: Deciding, label: string, record: string): Html {
  return action(path, visit.csrf, label, { fields: { ...fields, decision: 'choose', record }, look: 'second' })
}

function warned({ warning }: Deciding): Html {
  return html`${warning !== undefined && html`<p class="notice">${warning}</p>`}`
}

function choiceIn({ form: fields, visit }: Asked): Choice {
  const record = fields.get('record')
  return {
    session: visit.session,
    ...(record !== '' && { record }),
    online: fields.all('online'),
    offline: fields.all('offline'),
  }
}

function whoOf({ visit }: Asked) {
  const { person } = visit.session
  return { by: `person:${person}`, avenue: 'page' as const, person, address: visit.address }
}

/** Where the answer goes in the end: browsers hold forms to it on every redirect (CSP Level 3 §6.4.1). */
function targetsOf({ redirectUri }: Request): Pick<PageParts, 'formTargets'> {
  if (redirectUri === undefined || !URL.canParse(redirectUri)) return {}
  const { origin, protocol } = new URL(redirectUri)
  return { formTargets: [origin === 'null' ? protocol : origin] }
}

/** The page for somebody whose request leads nowhere, for the authorization server. */
export function authorizationError(house: string): (said: { readonly error: string; readonly detail: string }) => {
  readonly html: string
  readonly policy: string
} {
  return ({ error, detail }) => {
    const parts: PageParts = {
      ...{ title: words.error.title, language: 'en', wrong: true },
      body: html`<p>${words.error.text}</p><p><code>${error}</code>${detail !== '' && html`: ${detail}`}</p>`,
    }
    return { html: page(parts, { house, links: [], skip: words.skip }), policy: policyOf(parts) }
  }
}
