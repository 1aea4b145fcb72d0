import type { PeopleHouse } from '../people/open.js'
import { peopleProblems } from '../people/problem.js'
import { action, errorSummary, type FormErrors, field, form, hidden } from './form.js'
import { html } from './html.js'
import { message, type PageParts } from './layout.js'
import type { PageRoutes, Visit } from './session.js'
import { cookiesOf, proofOf } from './sign-in.js'

const words = {
  title: 'Get back into your account',
  email: 'E-mail address',
  send: 'Send me a link',
  sent: 'Look into your mail',
  sentText: 'If there is an account with this address, a link is on its way. It works for an hour.',
  next: 'Choose a new password',
  code: 'A code, to prove that it is you',
  codeHint: 'Of your authenticator app, or one of your recovery codes. The mail alone is not enough.',
  password: 'New password',
  passwordHint: 'At least 12 characters. Several words that you remember are good.',
  set: 'Set the password',
  nothing: 'I have neither',
  nothingText:
    'Then you can wait: after 72 hours you get another link. Until then you, or whoever is signed in, can stop it.',
  wait: 'Begin to wait',
  waiting: 'You will get another link',
  until: (at: string) => `The wait ends on ${at} (UTC). A letter tells you then.`,
  stop: 'Stop the recovery',
  stopText: 'Somebody asked to get into this account without your password. If it was not you, stop it here.',
  stopped: 'The recovery was stopped',
  stoppedText: 'Nothing was changed. Look whether your mailbox is safe.',
  old: 'This link does not work any more',
  again: 'Begin again',
  tooMany: (seconds: number) => `Too many tries. Wait ${seconds} seconds, then try again.`,
}

const old = () =>
  message(words.old, peopleProblems['no-such-link'].detail, {
    next: { href: '/recovery', words: words.again },
    status: 404,
  })

/** Getting back in: a link, and a second proof or a wait. */
export function recoveryPages(people: PeopleHouse): PageRoutes {
  return (kit) => {
    const ask = ({ csrf }: Visit, errors: FormErrors = {}): PageParts => ({
      ...{ title: words.title, language: 'en', wrong: Object.keys(errors).length > 0 },
      body: html`${errorSummary(errors)}${form('/recovery', csrf, field({ name: 'email', label: words.email, type: 'email', autocomplete: 'username', error: errors['email'] }), { words: words.send })}`,
    })
    kit.get('/recovery', 'nobody', ({ visit }) => ask(visit))
    kit.post('/recovery', 'nobody', async ({ visit, form: given }) => {
      const outcome = await people.beginRecovery(given.get('email'), visit)
      if (outcome.kind === 'sent') return { redirect: '/recovery/sent' }
      return { ...ask(visit, { email: peopleProblems[outcome.problem].detail }), status: 422 }
    })
    kit.get('/recovery/sent', 'nobody', () => message(words.sent, words.sentText))

    const finish = async (code: string, { csrf }: Visit, errors: FormErrors = {}): Promise<PageParts> => {
      const view = await people.awaitedRecovery(code)
      if (!view) return old()
      const proof =
        !view.ready &&
        field({
          name: 'proof',
          label: words.code,
          hint: words.codeHint,
          autocomplete: 'one-time-code',
          error: errors['proof'],
        })
      const body = html`${hidden('code', code)}${proof}${field({ name: 'password', label: words.password, type: 'password', hint: words.passwordHint, autocomplete: 'new-password', error: errors['password'] })}`
      const wait = html`<h2>${words.nothing}</h2><p>${words.nothingText}</p>${action('/recovery/wait', csrf, words.wait, { fields: { code }, look: 'second' })}`
      return {
        ...{ title: words.next, language: 'en', wrong: Object.keys(errors).length > 0 },
        body: html`${errorSummary(errors)}${form('/recovery/continue', csrf, body, { words: words.set })}${!view.ready && wait}`,
      }
    }
    kit.get('/recovery/continue', 'nobody', ({ visit, query }) => finish(query.get('code'), visit))
    kit.post('/recovery/continue', 'nobody', async ({ visit, form: given }) => {
      const [code, entered] = [given.get('code'), given.get('proof')]
      const asked = { password: given.get('password'), ...(entered !== '' && { proof: proofOf(entered) }) }
      const outcome = await people.finishRecovery(code, asked, visit)
      if (outcome.kind === 'signed-in') return { redirect: '/account/factors', cookies: cookiesOf(outcome, kit.origin) }
      if (outcome.kind === 'refused' && outcome.problem === 'no-such-link') return old()
      const told =
        outcome.kind === 'wait'
          ? words.tooMany(Math.ceil(outcome.waitMs / 1000))
          : peopleProblems[outcome.problem].detail
      const where = outcome.kind === 'wait' || outcome.problem === 'wrong-proof' ? 'proof' : 'password'
      return { ...(await finish(code, visit, { [where]: told })), status: 422 }
    })
    kit.post('/recovery/wait', 'nobody', async ({ visit, form: given }) => {
      const outcome = await people.waitForRecovery(given.get('code'), visit)
      if (outcome.kind === 'refused') return old()
      return message(words.waiting, words.until(new Date(outcome.readyAt).toISOString().slice(0, 16).replace('T', ' ')))
    })
    kit.get('/recovery/stop', 'nobody', ({ visit, query }) => ({
      ...{ title: words.stop, language: 'en' },
      body: html`<p>${words.stopText}</p>${action('/recovery/stop', visit.csrf, words.stop, { fields: { code: query.get('code') } })}`,
    }))
    kit.post('/recovery/stop', 'nobody', async ({ visit, form: given }) => {
      const outcome = await people.stopRecoveryByLink(given.get('code'), visit)
      return outcome.kind === 'done' ? message(words.stopped, words.stoppedText) : old()
    })
  }
}
