import type { PeopleHouse } from '../people/open.js'
import { peopleProblems } from '../people/problem.js'
import { errorSummary, type FormErrors, field, form, hidden } from './form.js'
import { html } from './html.js'
import { message, type PageParts } from './layout.js'
import { passkeyAnswer, passkeyForm, passkeyScript } from './passkeys.js'
import type { PageRequest, PageRoutes } from './session.js'
import { cookiesOf } from './sign-in.js'

const words = {
  title: 'Create an account',
  email: 'E-mail address',
  emailHint: 'We send a link there. You choose how to sign in after you followed it.',
  name: 'Your name',
  birthDate: 'Date of birth (optional)',
  birthDateHint: 'Helps to find documents that are about you.',
  submit: 'Send me the link',
  sent: 'Look into your mail',
  sentText:
    'If the address can be used, a link is on its way. It works once, for 24 hours. Nothing came? Look among unwanted mail, then try again.',
  confirm: 'Choose how you sign in',
  password: 'Password',
  passwordHint: 'At least 12 characters. Several words that you remember are good.',
  open: 'Create the account',
  passkey: 'Use a passkey instead',
  old: 'This link does not work any more',
  again: 'Create an account',
}

/** Signing up: an address, a link, and then a password or a passkey. */
export function signUpPages(people: PeopleHouse): PageRoutes {
  return (kit) => {
    const ask = ({ visit, form: given }: PageRequest, errors: FormErrors = {}): PageParts => ({
      ...{ title: words.title, language: 'en', wrong: Object.keys(errors).length > 0 },
      body: html`${errorSummary(errors)}${form(
        '/sign-up',
        visit.csrf,
        html`${field({ name: 'email', label: words.email, type: 'email', hint: words.emailHint, autocomplete: 'email', value: given.get('email'), error: errors['email'] })}
${field({ name: 'name', label: words.name, autocomplete: 'name', value: given.get('name'), error: errors['name'] })}
${field({ name: 'birthDate', label: words.birthDate, type: 'date', hint: words.birthDateHint, autocomplete: 'bday', value: given.get('birthDate'), error: errors['birthDate'] })}`,
        { words: words.submit },
      )}`,
    })
    kit.get('/sign-up', 'nobody', (request) => ask(request))
    kit.post('/sign-up', 'nobody', async (request) => {
      const { form: given, visit } = request
      const birthDate = given.get('birthDate')
      const wanted = {
        email: given.get('email'),
        name: given.get('name'),
        language: 'en',
        ...(birthDate && { birthDate }),
      }
      const outcome = await people.signUp(wanted, visit)
      if (outcome.kind === 'sent') return { redirect: '/sign-up/sent' }
      const field =
        { 'bad-email': 'email', 'bad-name': 'name', 'bad-birth-date': 'birthDate' }[outcome.problem as string] ?? ''
      return { ...ask(request, { [field]: peopleProblems[outcome.problem].detail }), status: 422 }
    })
    kit.get('/sign-up/sent', 'nobody', () => message(words.sent, words.sentText))

    const choose = async (code: string, { visit }: PageRequest, errors: FormErrors = {}): Promise<PageParts> => {
      const awaited = await people.awaitedConfirmation(code)
      const passkey = awaited && (await people.firstPasskeyOptions(code))
      if (!awaited || !passkey) {
        return message(words.old, peopleProblems['no-such-link'].detail, {
          next: { href: '/sign-up', words: words.again },
          status: 404,
        })
      }
      const body = html`${hidden('code', code)}${field({ name: 'name', label: words.name, autocomplete: 'name', value: awaited.name, error: errors['name'] })}
<input type="hidden" name="username" autocomplete="username" value="${awaited.email}">
${field({ name: 'password', label: words.password, type: 'password', hint: words.passwordHint, autocomplete: 'new-password', error: errors['password'] })}`
      return {
        ...{ title: words.confirm, language: 'en', wrong: Object.keys(errors).length > 0, scripts: [passkeyScript] },
        body: html`${errorSummary(errors)}${form('/sign-up/confirm', visit.csrf, body, { words: words.open })}
${passkeyForm('create', '/sign-up/confirm', visit.csrf, passkey, words.passkey, hidden('code', code))}`,
      }
    }
    kit.get('/sign-up/confirm', 'nobody', (request) => choose(request.query.get('code'), request))
    kit.post('/sign-up/confirm', 'nobody', async (request) => {
      const { form: given, visit } = request
      const code = given.get('code')
      const factor = given.has('passkey')
        ? ({
            kind: 'passkey',
            ticket: given.get('passkey'),
            response: passkeyAnswer(given.get('response')),
            label: 'Passkey',
          } as const)
        : ({ kind: 'password', password: given.get('password') } as const)
      const name = given.has('name') ? given.get('name') : undefined
      const outcome = await people.confirmSignUp(code, factor, visit, name)
      if (outcome.kind === 'signed-in') return { redirect: '/account/factors', cookies: cookiesOf(outcome, kit.origin) }
      const where = outcome.problem === 'bad-name' ? 'name' : 'password'
      return { ...(await choose(code, request, { [where]: peopleProblems[outcome.problem].detail })), status: 422 }
    })
  }
}
