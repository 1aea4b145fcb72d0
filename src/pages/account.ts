import { toString as qrCode } from 'qrcode'
import type { PeopleHouse } from '../people/open.js'
import { peopleProblems } from '../people/problem.js'
import { action, errorSummary, type FormErrors, field, form, hidden, notice } from './form.js'
import { type Html, html } from './html.js'
import { message, type PageParts } from './layout.js'
import { passkeyAnswer, passkeyForm, passkeyScript } from './passkeys.js'
import { PageNotFound, type PageRoutes, type SignedIn } from './session.js'
import { cookiesOf } from './sign-in.js'

const words = {
  title: 'Your account',
  name: 'Name',
  email: 'E-mail address',
  save: 'Save',
  done: 'Saved.',
  changeEmail: 'Change the e-mail address',
  newEmail: 'New e-mail address',
  emailSent: 'A link was sent to the new address. Nothing changes before it is followed.',
  factors: 'How you sign in',
  needed: 'Add an authenticator app or a passkey now: a password alone does not open your records.',
  password: 'Password',
  setPassword: 'Set a new password',
  newPassword: 'New password',
  hint: 'At least 12 characters. Several words that you remember are good.',
  app: 'Authenticator app',
  hasApp: 'An authenticator app is set up.',
  addApp: 'Set up an authenticator app',
  removeApp: 'Remove the authenticator app',
  scan: 'Scan this with the app, or type the key into it:',
  appCode: 'Code that the app shows',
  confirm: 'Confirm',
  passkeys: 'Passkeys',
  addPasskey: 'Add a passkey',
  remove: 'Remove',
  codes: 'Recovery codes',
  left: (count: number) => `${count} left.`,
  renew: 'Make new codes',
  yours: 'Your recovery codes',
  keep: 'Write these down or print them now: they are not shown again. Each works once.',
  sessions: 'Where you are signed in',
  this: 'this device',
  end: 'Sign out there',
  endAll: 'Sign out everywhere else',
  recovery: (until: string) =>
    `Somebody asked to get into this account by mail alone. Unless it is stopped, it opens on ${until} (UTC).`,
  stop: 'Stop it',
  onward: 'Go on',
  confirmEmail: 'Confirm the new e-mail address',
  undoEmail: 'Undo the change of the e-mail address',
  undone: 'The old address is back, and everything was signed out.',
  confirmed: 'The new address is yours now.',
  old: 'This link does not work any more',
}

/** The account: who one is, how one signs in, and where one is signed in. */
export function accountPages(people: PeopleHouse): PageRoutes {
  return (kit) => {
    const view = async ({ session, csrf }: SignedIn, told?: string, errors: FormErrors = {}): Promise<PageParts> => {
      const [person, sessions] = await Promise.all([people.person(session.person), people.listSessions(session.person)])
      if (!person) throw new PageNotFound()
      const rows = sessions.map(
        ({ id, agent, address, seenAt }) =>
          html`<tr><td>${agent || address}${id === session.id && html` (${words.this})`}</td><td>${moment(seenAt)}</td><td>${
            id !== session.id && action('/account/sessions', csrf, words.end, { fields: { id }, look: 'second' })
          }</td></tr>`,
      )
      return {
        ...{ title: words.title, language: 'en', wrong: Object.keys(errors).length > 0 },
        body: html`${errorSummary(errors)}${notice(told)}<p><a href="/account/factors">${words.factors}</a></p>
${form('/account', csrf, field({ name: 'name', label: words.name, autocomplete: 'name', value: person.name, error: errors['name'] }), { words: words.save })}
<h2>${words.email}</h2><p>${person.email}</p><p><a href="/account/email">${words.changeEmail}</a></p>
<h2>${words.sessions}</h2><table>${rows}</table>${action('/account/sessions', csrf, words.endAll, { look: 'second' })}`,
      }
    }
    kit.get('/account', 'account', ({ visit, query }) => view(visit, query.has('done') ? words.done : undefined))
    kit.post('/account', 'account', async ({ visit, form: given }) => {
      const outcome = await people.describePerson(visit.session.person, { name: given.get('name') })
      if (outcome.kind === 'done') return { redirect: '/account?done' }
      return { ...(await view(visit, undefined, { name: peopleProblems[outcome.problem].detail })), status: 422 }
    })
    kit.post('/account/sessions', 'account', async ({ visit: { session }, form: given }) => {
      await people.endSessions(session.person, given.has('id') ? { one: given.get('id') } : { but: session.id })
      return { redirect: '/account?done' }
    })
    kit.get('/account/email', 'recent', ({ visit }) => emailForm(visit.csrf))
    kit.post('/account/email', 'recent', async ({ visit, form: given }) => {
      const outcome = await people.changeEmail(visit.session.person, given.get('email'), visit)
      if (outcome.kind === 'sent') return message(words.changeEmail, words.emailSent)
      return { ...emailForm(visit.csrf, { email: peopleProblems[outcome.problem].detail }), status: 422 }
    })
    for (const [path, title, done] of [
      ['confirm', words.confirmEmail, words.confirmed],
      ['undo', words.undoEmail, words.undone],
    ] as const) {
      kit.get(`/account/email/${path}`, 'nobody', ({ visit, query }) => ({
        ...{ title, language: 'en' },
        body: action(`/account/email/${path}`, visit.csrf, title, { fields: { code: query.get('code') } }),
      }))
      kit.post(`/account/email/${path}`, 'nobody', async ({ visit, form: given }) => {
        const code = given.get('code')
        const outcome = await (path === 'undo' ? people.undoEmail(code, visit) : people.confirmEmail(code, visit))
        return outcome.kind === 'done'
          ? message(title, done)
          : message(words.old, peopleProblems[outcome.problem].detail, { status: 404 })
      })
    }
    factorPages(people)(kit)
  }
}

function factorPages(people: PeopleHouse): PageRoutes {
  return (kit) => {
    const view = async ({ session, csrf }: SignedIn, errors: FormErrors = {}): Promise<PageParts> => {
      const factors = await people.factorsOf(session.person)
      if (!factors) throw new PageNotFound()
      const { totp, passkeys, recoveryCodesLeft, recovery } = factors
      const made = passkeys.map(
        ({ id, label, addedAt }) =>
          html`<li>${label}, ${moment(addedAt)} ${action('/account/passkeys/remove', csrf, words.remove, { fields: { id }, look: 'danger' })}</li>`,
      )
      const app = totp
        ? html`<p>${words.hasApp}</p>${action('/account/totp/remove', csrf, words.removeApp, { look: 'danger' })}`
        : html`<p><a href="/account/totp">${words.addApp}</a></p>`
      return {
        ...{ title: words.factors, language: 'en', wrong: Object.keys(errors).length > 0 },
        body: html`${errorSummary(errors)}${session.limited && html`<p class="notice">${words.needed}</p>`}${
          recovery &&
          html`<div class="summary"><p>${words.recovery(moment(recovery.readyAt))}</p>${action('/account/recovery/stop', csrf, words.stop)}</div>`
        }<h2>${words.app}</h2>${app}<h2>${words.passkeys}</h2><ul>${made}</ul><p><a href="/account/passkeys">${words.addPasskey}</a></p>
<h2>${words.password}</h2><p><a href="/account/password">${words.setPassword}</a></p>
<h2>${words.codes}</h2><p>${words.left(recoveryCodesLeft)}</p>${action('/account/recovery-codes', csrf, words.renew, { look: 'second' })}`,
      }
    }
    const again = async (visit: SignedIn, problem: keyof typeof peopleProblems) => ({
      ...(await view(visit, { '': peopleProblems[problem].detail })),
      status: 422,
    })
    kit.get('/account/factors', 'account', ({ visit }) => view(visit))
    kit.post('/account/recovery/stop', 'account', async ({ visit }) => {
      await people.stopRecovery(visit.session.person, visit)
      return { redirect: '/account/factors' }
    })
    kit.get('/account/password', 'recent', ({ visit }) => passwordForm(visit.csrf))
    kit.post('/account/password', 'recent', async ({ visit, form: given }) => {
      const outcome = await people.changePassword(visit.session, given.get('password'), visit)
      if (outcome.kind === 'signed-in') return { redirect: '/account?done', cookies: cookiesOf(outcome, kit.origin) }
      return { ...passwordForm(visit.csrf, { password: peopleProblems[outcome.problem].detail }), status: 422 }
    })
    kit.get('/account/totp', 'recent', async ({ visit }) => {
      const begun = await people.beginTotp(visit.session.person)
      if (!begun) throw new PageNotFound()
      return totpForm(visit.csrf, begun)
    })
    kit.post('/account/totp', 'recent', async ({ visit, form: given }) => {
      const ticket = given.get('ticket')
      const outcome = await people.confirmTotp(visit.session, { ticket, code: given.get('code') }, visit)
      if (outcome.kind === 'set-up')
        return { ...codesPage(outcome.recoveryCodes), cookies: cookiesOf(outcome.signedIn, kit.origin) }
      const begun = await people.awaitedTotp(visit.session.person, ticket)
      if (!begun) return { redirect: '/account/totp' }
      return { ...(await totpForm(visit.csrf, begun, { code: peopleProblems[outcome.problem].detail })), status: 422 }
    })
    kit.post('/account/totp/remove', 'recent', async ({ visit }) => {
      const outcome = await people.removeTotp(visit.session, visit)
      return outcome.kind === 'done' ? { redirect: '/account/factors' } : again(visit, outcome.problem)
    })
    kit.get('/account/passkeys', 'recent', async ({ visit }) => {
      const made = await people.passkeyOptions(visit.session.person)
      if (!made) throw new PageNotFound()
      return {
        ...{ title: words.addPasskey, language: 'en', scripts: [passkeyScript] },
        body: passkeyForm(
          'create',
          '/account/passkeys',
          visit.csrf,
          made,
          words.addPasskey,
          field({ name: 'label', label: words.name, value: 'Passkey', maxlength: 100 }),
        ),
      }
    })
    kit.post('/account/passkeys', 'recent', async ({ visit, form: given }) => {
      const made = {
        ticket: given.get('passkey'),
        response: passkeyAnswer(given.get('response')),
        label: given.get('label'),
      }
      const outcome = await people.addPasskey(visit.session, made, visit)
      if (outcome.kind === 'refused') return again(visit, outcome.problem)
      return { ...codesPage(outcome.recoveryCodes), cookies: cookiesOf(outcome.signedIn, kit.origin) }
    })
    kit.post('/account/passkeys/remove', 'recent', async ({ visit, form: given }) => {
      const outcome = await people.removePasskey(visit.session, given.get('id'), visit)
      return outcome.kind === 'done' ? { redirect: '/account/factors' } : again(visit, outcome.problem)
    })
    kit.post('/account/recovery-codes', 'recent', async ({ visit }) =>
      codesPage((await people.renewRecoveryCodes(visit.session, visit)) ?? []),
    )
  }
}

function emailForm(csrf: string, errors: FormErrors = {}): PageParts {
  const body = field({
    name: 'email',
    label: words.newEmail,
    type: 'email',
    autocomplete: 'email',
    error: errors['email'],
  })
  return asking(words.changeEmail, errors, form('/account/email', csrf, body, { words: words.save }))
}

function passwordForm(csrf: string, errors: FormErrors = {}): PageParts {
  const body = field({
    name: 'password',
    label: words.newPassword,
    type: 'password',
    hint: words.hint,
    autocomplete: 'new-password',
    error: errors['password'],
  })
  return asking(words.setPassword, errors, form('/account/password', csrf, body, { words: words.save }))
}

async function totpForm(
  csrf: string,
  begun: { ticket: string; secret: string; uri: string },
  errors: FormErrors = {},
): Promise<PageParts> {
  const image = Buffer.from(await qrCode(begun.uri, { type: 'svg' })).toString('base64')
  const body = html`${hidden('ticket', begun.ticket)}<p>${words.scan}</p><p><img class="qr" alt="" width="220" height="220" src="data:image/svg+xml;base64,${image}"></p>
<p class="code">${begun.secret.replace(/(.{4})/g, '$1 ').trim()}</p>${field({ name: 'code', label: words.appCode, autocomplete: 'one-time-code', inputmode: 'numeric', error: errors['code'] })}`
  return asking(words.addApp, errors, form('/account/totp', csrf, body, { words: words.confirm }))
}

function codesPage(codes: readonly string[]): PageParts {
  if (codes.length === 0)
    return message(words.factors, words.done, { next: { href: '/account/factors', words: words.onward } })
  return {
    ...{ title: words.yours, language: 'en' },
    body: html`<p>${words.keep}</p><ul>${codes.map((code) => html`<li class="code">${code}</li>`)}</ul><p><a href="/account/factors">${words.onward}</a></p>`,
  }
}

function asking(title: string, errors: FormErrors, body: Html): PageParts {
  return { title, language: 'en', wrong: Object.keys(errors).length > 0, body: html`${errorSummary(errors)}${body}` }
}

function moment(at: number): string {
  return new Date(at).toISOString().slice(0, 16).replace('T', ' ')
}
