import { writeCookie } from '../people/cookies.js'
import { peopleLimits } from '../people/limits.js'
import type { PeopleHouse } from '../people/open.js'
import { peopleProblems } from '../people/problem.js'
import type { Proof, SignedIn } from '../people/sign-in.js'
import { action, errorSummary, type Form, type FormErrors, field, form, hidden } from './form.js'
import { html } from './html.js'
import type { PageParts } from './layout.js'
import { passkeyAnswer, passkeyForm, passkeyScript } from './passkeys.js'
import {
  localPath,
  type PageAnswer,
  type PageRoutes,
  type SignedIn as Somebody,
  type Visit,
  withNext,
} from './session.js'

const words = {
  title: 'Sign in',
  email: 'E-mail address',
  password: 'Password',
  submit: 'Sign in',
  passkey: 'Sign in with a passkey',
  forgotten: 'I cannot sign in',
  none: 'Create an account',
  wrong: 'E-mail address or password are not right.',
  wait: (seconds: number) => `Too many tries from here. Wait ${seconds} seconds, then try again.`,
  second: 'One more step',
  code: 'Code of your authenticator app',
  codeHint: 'Six digits. Without the app, enter one of your recovery codes.',
  go: 'Continue',
  again: 'Prove that it is you',
  againText: 'What you want to do needs a fresh proof.',
  out: 'Sign out',
  outText: 'You will be signed out on this device.',
}

/** The cookies of somebody who just proved who they are; the visitor's ends. */
export function cookiesOf({ secret, device }: SignedIn, origin: string): readonly string[] {
  return [
    writeCookie('session', secret, origin),
    writeCookie('device', device, origin, peopleLimits.deviceMs),
    writeCookie('visitor', undefined, origin),
  ]
}

/** A code as somebody enters it: of the app where it is six digits, of the list otherwise. */
export function proofOf(code: string): Proof {
  return /^[\d\s]{6,8}$/.test(code) ? { kind: 'totp', code } : { kind: 'recovery-code', code }
}

/** Signing in, proving it again, signing out. */
export function signInPages(people: PeopleHouse): PageRoutes {
  return (kit) => {
    const ask = async (visit: Visit, given: Form, errors: FormErrors = {}): Promise<PageParts> => {
      const next = hidden('next', given.get('next'))
      const body = html`${next}${field({ name: 'email', label: words.email, type: 'email', autocomplete: 'username', value: given.get('email'), error: errors['email'] })}
${field({ name: 'password', label: words.password, type: 'password', autocomplete: 'current-password' })}`
      const passkey = await people.passkeySignInOptions()
      return {
        ...{ title: words.title, language: 'en', wrong: Object.keys(errors).length > 0, scripts: [passkeyScript] },
        body: html`${errorSummary(errors)}${form('/sign-in', visit.csrf, body, { words: words.submit })}
${passkeyForm('get', '/sign-in/passkey', visit.csrf, passkey, words.passkey, next)}
<p><a href="/recovery">${words.forgotten}</a></p><p><a href="/sign-up">${words.none}</a></p>`,
      }
    }
    const second = (visit: Visit, ticket: string, next: string, errors: FormErrors = {}): PageParts => ({
      ...{ title: words.second, language: 'en', wrong: Object.keys(errors).length > 0 },
      body: html`${errorSummary(errors)}${form(
        '/sign-in/second',
        visit.csrf,
        html`${hidden('ticket', ticket)}${hidden('next', next)}${field({ name: 'code', label: words.code, hint: words.codeHint, autocomplete: 'one-time-code', error: errors['code'] })}`,
        { words: words.go },
      )}`,
    })
    const enter = (outcome: SignedIn, next: string): PageAnswer => ({
      redirect: localPath(next, '/records'),
      cookies: cookiesOf(outcome, kit.origin),
    })

    kit.get('/sign-in', 'nobody', ({ visit, query }) => ask(visit, query))
    kit.post('/sign-in', 'nobody', async ({ visit, form: given }) => {
      const outcome = await people.signIn({ email: given.get('email'), password: given.get('password') }, visit)
      if (outcome.kind === 'signed-in') return enter(outcome, given.get('next'))
      if (outcome.kind === 'second-factor') return second(visit, outcome.ticket, given.get('next'))
      const told = outcome.kind === 'wait' ? words.wait(Math.ceil(outcome.waitMs / 1000)) : words.wrong
      return { ...(await ask(visit, given, { email: told })), status: outcome.kind === 'wait' ? 429 : 422 }
    })
    kit.post('/sign-in/second', 'nobody', async ({ visit, form: given }) => {
      const [ticket, next] = [given.get('ticket'), given.get('next')]
      const outcome = await people.secondFactor(ticket, proofOf(given.get('code')), visit)
      if (outcome.kind === 'signed-in') return enter(outcome, next)
      if (outcome.kind === 'refused' && outcome.problem === 'no-such-link')
        return { redirect: withNext('/sign-in', next) }
      const told =
        outcome.kind === 'wait' ? words.wait(Math.ceil(outcome.waitMs / 1000)) : peopleProblems[outcome.problem].detail
      return { ...second(visit, ticket, next, { code: told }), status: 422 }
    })
    kit.post('/sign-in/passkey', 'nobody', async ({ visit, form: given }) => {
      const proof = { ticket: given.get('passkey'), response: passkeyAnswer(given.get('response')) }
      const outcome = await people.passkeySignIn(proof, visit)
      if (outcome.kind === 'signed-in') return enter(outcome, given.get('next'))
      return { ...(await ask(visit, given, { email: peopleProblems[outcome.problem].detail })), status: 422 }
    })

    const prove = async ({ csrf }: Somebody, next: string, errors: FormErrors = {}): Promise<PageParts> => {
      const passkey = await people.passkeySignInOptions()
      return {
        ...{ title: words.again, language: 'en', wrong: Object.keys(errors).length > 0, scripts: [passkeyScript] },
        body: html`<p>${words.againText}</p>${errorSummary(errors)}${form(
          '/sign-in/again',
          csrf,
          html`${hidden('next', next)}${field({ name: 'password', label: words.password, type: 'password', autocomplete: 'current-password', error: errors['password'] })}
${field({ name: 'code', label: words.code, hint: words.codeHint, autocomplete: 'one-time-code' })}`,
          { words: words.go },
        )}${passkeyForm('get', '/sign-in/again', csrf, passkey, words.passkey, hidden('next', next))}`,
      }
    }
    kit.get('/sign-in/again', 'account', ({ visit, query }) => prove(visit, query.get('next')))
    kit.post('/sign-in/again', 'account', async ({ visit, form: given }) => {
      const proof = given.has('passkey')
        ? { ticket: given.get('passkey'), response: passkeyAnswer(given.get('response')) }
        : { password: given.get('password'), code: given.get('code') }
      const outcome = await people.proveAgain(visit.session, proof, visit)
      if (outcome.kind === 'signed-in') return enter(outcome, given.get('next'))
      const told =
        outcome.kind === 'wait' ? words.wait(Math.ceil(outcome.waitMs / 1000)) : peopleProblems[outcome.problem].detail
      return { ...(await prove(visit, given.get('next'), { password: told })), status: 422 }
    })

    kit.get('/sign-out', 'account', ({ visit }) => ({
      ...{ title: words.out, language: 'en' },
      body: html`<p>${words.outText}</p>${action('/sign-out', visit.csrf, words.out)}`,
    }))
    kit.post('/sign-out', 'account', async ({ visit }) => {
      await people.sessions.end(visit.session.id, `person:${visit.session.person}`)
      return { redirect: '/sign-in', cookies: [writeCookie('session', undefined, kit.origin)] }
    })
  }
}
