import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { isSameOrigin, readCookie, writeCookie } from '../../people/cookies.js'
import { peopleLimits } from '../../people/limits.js'
import type { PeopleHouse } from '../../people/open.js'
import type { Session } from '../../people/people.js'
import { type PeopleProblem, peopleProblems, type Refused, type Waiting } from '../../people/problem.js'
import type { Client } from '../../people/rows.js'
import type { SecondFactor, SignedIn } from '../../people/sign-in.js'
import {
  accountBody,
  accountSchema,
  codesSchema,
  confirmBody,
  doneSchema,
  emailBody,
  finishBody,
  idParams,
  linkBody,
  optionsSchema,
  passkeyBody,
  passwordBody,
  proveBody,
  recoverySchema,
  secondFactorBody,
  sentSchema,
  sessionsSchema,
  setUpSchema,
  signedInSchema,
  signInBody,
  signUpBody,
  totpBody,
  totpSchema,
  waitingSchema,
} from '../account-schema.js'
import type { Caller } from '../caller.js'
import { defined } from '../defined.js'
import type { ApiPorts } from '../ports.js'
import { Problem, type ProblemCode } from '../problem.js'
import { route } from '../route.js'
import { answer, refusal } from '../schemas.js'

const base = '/api/v1/account'
const tag = 'account'

/** Accounts for programs of our own pages: every step that the pages have. Cookies carry the session; answers its token. */
export function accountRoutes(app: FastifyInstance, ports: ApiPorts, origin: string | undefined): void {
  entryRoutes(app, ports, origin)
  recoveryRoutes(app, ports, origin)
  selfRoutes(app, ports)
  factorRoutes(app, ports, origin)
}

/** Before anybody is signed in. */
function entryRoutes(app: FastifyInstance, ports: ApiPorts, origin: string | undefined): void {
  const open = opening(app, ports, origin)
  open(
    'sign-up',
    'Ask for an account: a link goes to the address, whether or not somebody has it',
    signUpBody,
    sentSchema,
    (house, body, client) => told(house.signUp(defined(body), client)),
  )
  open(
    'sign-up/passkey-options',
    'What a browser needs to make the first passkey',
    linkBody,
    optionsSchema,
    async (house, { code }) => {
      const made = await house.firstPasskeyOptions(code)
      if (!made) throw new Problem('not-found')
      return made
    },
  )
  open(
    'sign-up/confirm',
    'Open the account of a link',
    confirmBody,
    signedInSchema,
    async (house, body, client, reply) => {
      const { code, name, factor } = body
      return entered(reply, origin, await house.confirmSignUp(code, factor, client, name))
    },
  )
  open(
    'sign-in',
    'Sign in with a password: at once, or with a ticket for the second factor',
    signInBody,
    signedInSchema,
    async (house, body, client, reply) => entered(reply, origin, await house.signIn(body, client)),
  )
  open(
    'sign-in/second-factor',
    'The second factor of signing in',
    secondFactorBody,
    signedInSchema,
    async (house, body, client, reply) =>
      entered(reply, origin, await house.secondFactor(body.ticket, body.proof, client)),
  )
  open(
    'sign-in/passkey-options',
    'What a browser needs to prove a passkey',
    z.strictObject({}),
    optionsSchema,
    (house) => house.passkeySignInOptions(),
  )
  open(
    'sign-in/passkey',
    'Sign in with a passkey',
    passkeyBody.omit({ label: true }),
    signedInSchema,
    async (house, body, client, reply) => entered(reply, origin, await house.passkeySignIn(body, client)),
  )
  open('email/confirm', 'Confirm a new e-mail address by its link', linkBody, doneSchema, (house, { code }, client) =>
    told(house.confirmEmail(code, client)),
  )
  open(
    'email/undo',
    'Undo a change of e-mail address by the link to the old one',
    linkBody,
    doneSchema,
    (house, { code }, client) => told(house.undoEmail(code, client)),
  )
}

function recoveryRoutes(app: FastifyInstance, ports: ApiPorts, origin: string | undefined): void {
  const open = opening(app, ports, origin)
  open('recovery', 'Ask for a link to get back into an account', emailBody, sentSchema, (house, { email }, client) =>
    told(house.beginRecovery(email, client)),
  )
  open(
    'recovery/look',
    'What a link of a recovery asks for beside it',
    linkBody,
    recoverySchema,
    async (house, { code }) => {
      const view = await house.awaitedRecovery(code)
      if (!view) throw new Problem('not-found')
      const { waitsUntil, ...more } = view
      return { ...more, ...(waitsUntil !== undefined && { waitsUntil: iso(waitsUntil) }) }
    },
  )
  open(
    'recovery/finish',
    'Set a new password with the link and a second proof',
    finishBody,
    signedInSchema,
    async (house, body, client, reply) => {
      const { code, ...rest } = body
      return entered(reply, origin, await house.finishRecovery(code, defined(rest), client))
    },
  )
  open(
    'recovery/wait',
    'Begin the wait of a recovery with the mailbox alone',
    linkBody,
    waitingSchema,
    async (house, { code }, client) => {
      const { readyAt } = await told(house.waitForRecovery(code, client))
      return { kind: 'waiting', readyAt: iso(readyAt) }
    },
  )
  open(
    'recovery/stop',
    'Stop a recovery that waits, by the link of its letter',
    linkBody,
    doneSchema,
    (house, { code }, client) => told(house.stopRecoveryByLink(code, client)),
  )
}

/** The account of whoever is signed in. */
function selfRoutes(app: FastifyInstance, ports: ApiPorts): void {
  const shared = { access: 'account', tag, activity: 'none' } as const

  route(app, ports, {
    ...{ ...shared, method: 'GET', path: base, action: 'account.read', answers: accountSchema },
    summary: 'The account, what proves it, and the token for changes',
    async handle({ caller }) {
      const { house, person, reach } = selfOf(ports, caller)
      const [found, factors] = await Promise.all([house.person(person), house.factorsOf(person)])
      if (!found || !factors) throw new Problem('not-found')
      const { totp, recovery, passkeys, ...rest } = factors
      return {
        ...found,
        csrf: reach.csrf,
        factors: {
          ...rest,
          passkeys: passkeys.map((one) => ({ ...one, addedAt: iso(one.addedAt) })),
          ...(totp && { totp: { addedAt: iso(totp.addedAt) } }),
          ...(recovery && { recovery: { begunAt: iso(recovery.begunAt), readyAt: iso(recovery.readyAt) } }),
        },
      }
    },
  })
  route(app, ports, {
    ...{ ...shared, method: 'PATCH', path: base, action: 'account.change', body: accountBody, answers: doneSchema },
    summary: 'Change name, language or date of birth',
    handle: ({ caller, body }) => {
      const { house, person } = selfOf(ports, caller)
      return told(house.describePerson(person, defined(body)))
    },
  })
  route(app, ports, {
    ...{ ...shared, method: 'GET', path: `${base}/sessions`, action: 'account.sessions', answers: sessionsSchema },
    summary: 'Where the account is signed in, the one used last first; never more than a page',
    async handle({ caller }) {
      const { house, person, session } = selfOf(ports, caller)
      const all = await house.listSessions(person)
      return {
        sessions: all.map(({ startedAt, seenAt, endsAt, ...more }) => ({
          ...{
            ...more,
            startedAt: iso(startedAt),
            seenAt: iso(seenAt),
            endsAt: iso(endsAt),
            current: more.id === session,
          },
        })),
      }
    },
  })
  route(app, ports, {
    ...{ ...shared, method: 'DELETE', path: `${base}/sessions`, action: 'account.sessions-end', answers: doneSchema },
    summary: 'End every other session',
    handle: ({ caller }) => {
      const { house, person, session } = selfOf(ports, caller)
      return house.endSessions(person, { but: session })
    },
  })
  route(app, ports, {
    ...{ ...shared, method: 'DELETE', path: `${base}/sessions/:id`, action: 'account.session-end' },
    ...{ params: idParams, answers: doneSchema },
    summary: 'End one session; this one, to sign out',
    async handle({ caller, params: { id }, subject }) {
      const { house, person } = selfOf(ports, caller)
      subject['session'] = id
      if (!(await house.listSessions(person)).some((one) => one.id === id)) throw new Problem('not-found')
      return house.endSessions(person, { one: id })
    },
  })
  route(app, ports, {
    ...{ ...shared, method: 'POST', path: `${base}/email`, action: 'account.email' },
    ...{ body: emailBody, answers: sentSchema, completes: true },
    summary: 'Ask for another e-mail address: a link goes there',
    handle: ({ caller, body, request }) => {
      const { house, person } = recently(ports, caller)
      return told(house.changeEmail(person, body.email, clientOf(request)))
    },
  })
  route(app, ports, {
    ...{ ...shared, method: 'DELETE', path: `${base}/recovery`, action: 'account.recovery-stop', answers: doneSchema },
    summary: 'Stop a recovery that somebody began',
    handle: ({ caller, request }) => {
      const { house, person } = selfOf(ports, caller)
      return told(house.stopRecovery(person, clientOf(request)))
    },
  })
}

function factorRoutes(app: FastifyInstance, ports: ApiPorts, origin: string | undefined): void {
  const shared = { access: 'account', tag, activity: 'none' } as const

  route(app, ports, {
    ...{ ...shared, method: 'POST', path: `${base}/prove`, action: 'account.prove', body: proveBody },
    ...{ answers: signedInSchema, completes: true },
    summary: 'Prove again who you are, for what is dangerous; the session goes on under a new secret',
    async handle({ caller, body, request, reply }) {
      const { house } = selfOf(ports, caller)
      const client = clientOf(request, origin)
      return entered(reply, origin, await house.proveAgain(sessionOf(caller), defined(body), client))
    },
  })
  route(app, ports, {
    ...{ ...shared, method: 'POST', path: `${base}/password`, action: 'account.password', body: passwordBody },
    ...{ answers: signedInSchema, completes: true },
    summary: 'Set another password; every other session ends',
    async handle({ caller, body, request, reply }) {
      const { house } = recently(ports, caller)
      return entered(reply, origin, await house.changePassword(sessionOf(caller), body.password, clientOf(request)))
    },
  })
  route(app, ports, {
    ...{
      ...shared,
      method: 'POST',
      path: `${base}/totp`,
      action: 'account.totp-begin',
      answers: totpSchema,
      completes: true,
    },
    summary: 'Begin to set up an authenticator app',
    async handle({ caller }) {
      const { house, person } = recently(ports, caller)
      const begun = await house.beginTotp(person)
      if (!begun) throw new Problem('not-found')
      return begun
    },
  })
  route(app, ports, {
    ...{ ...shared, method: 'POST', path: `${base}/totp/confirm`, action: 'account.totp-add', body: totpBody },
    ...{ answers: setUpSchema, completes: true },
    summary: 'Take an authenticator app on with its first code',
    async handle({ caller, body, request, reply }) {
      const { house } = recently(ports, caller)
      const made = await told(house.confirmTotp(sessionOf(caller), body, clientOf(request)))
      return { ...entered(reply, origin, made.signedIn), recoveryCodes: made.recoveryCodes }
    },
  })
  route(app, ports, {
    ...{ ...shared, method: 'DELETE', path: `${base}/totp`, action: 'account.totp-remove', answers: doneSchema },
    summary: 'Remove the authenticator app',
    handle: ({ caller, request }) =>
      told(recently(ports, caller).house.removeTotp(sessionOf(caller), clientOf(request))),
  })
  route(app, ports, {
    ...{ ...shared, method: 'POST', path: `${base}/passkeys/options`, action: 'account.passkey-begin' },
    ...{ answers: optionsSchema, completes: true },
    summary: 'What a browser needs to make a passkey',
    async handle({ caller }) {
      const { house, person } = recently(ports, caller)
      const made = await house.passkeyOptions(person)
      if (!made) throw new Problem('not-found')
      return made
    },
  })
  route(app, ports, {
    ...{ ...shared, method: 'POST', path: `${base}/passkeys`, action: 'account.passkey-add', body: passkeyBody },
    ...{ answers: setUpSchema, completes: true },
    summary: 'Add a passkey',
    async handle({ caller, body, request, reply }) {
      const { house } = recently(ports, caller)
      const made = await told(house.addPasskey(sessionOf(caller), body, clientOf(request)))
      return { ...entered(reply, origin, made.signedIn), recoveryCodes: made.recoveryCodes }
    },
  })
  route(app, ports, {
    ...{ ...shared, method: 'DELETE', path: `${base}/passkeys/:id`, action: 'account.passkey-remove' },
    ...{ params: idParams, answers: doneSchema },
    summary: 'Remove a passkey',
    handle: ({ caller, params, request }) =>
      told(recently(ports, caller).house.removePasskey(sessionOf(caller), params.id, clientOf(request))),
  })
  route(app, ports, {
    ...{ ...shared, method: 'POST', path: `${base}/recovery-codes`, action: 'account.recovery-codes' },
    ...{ answers: codesSchema, completes: true },
    summary: 'Ten new recovery codes, shown once; those before end',
    async handle({ caller, request }) {
      const { house } = recently(ports, caller)
      const recoveryCodes = await house.renewRecoveryCodes(sessionOf(caller), clientOf(request))
      if (!recoveryCodes) throw new Problem('not-found')
      return { recoveryCodes }
    },
  })
}

/** Registers a route for people who are not signed in: JSON from our own pages, under the limits of the house. */
function opening(app: FastifyInstance, ports: ApiPorts, origin: string | undefined) {
  return <B extends z.ZodType>(
    path: string,
    summary: string,
    body: B,
    answers: z.ZodType,
    handle: (house: PeopleHouse, body: z.output<B>, client: Client, reply: FastifyReply) => Promise<unknown>,
  ) => {
    app.route({
      ...{ method: 'POST', url: `${base}/${path}`, config: { access: 'public' } },
      schema: {
        operationId: `account${path.replace(/(^|[/-])(\w)/g, (_, __, letter: string) => letter.toUpperCase())}`,
        ...{ summary, tags: [tag], security: [], body },
        response: {
          200: answer(summary, answers),
          400: refusal('A value is not valid'),
          403: refusal('Not proved, or not from a page of ours'),
          404: refusal('The link is used, too old, or was never made'),
          429: refusal('Too many tries'),
          503: refusal('Cannot answer now'),
        },
      },
      handler: async (request, reply) => {
        // Nobody is signed in by a page of somebody else's (login CSRF).
        if (origin !== undefined && !isSameOrigin(request.headers, origin)) throw new Problem('csrf')
        return handle(houseOf(ports), request.body as z.output<B>, clientOf(request, origin), reply)
      },
    })
  }
}

function houseOf({ accounts }: ApiPorts): PeopleHouse {
  if (!accounts) throw new Problem('unavailable')
  return accounts
}

/** Who is signed in. */
export function selfOf(ports: ApiPorts, { reach }: Caller) {
  if (reach.kind !== 'person') throw new Problem('not-found')
  const { person, session } = reach
  return { house: houseOf(ports), person, session, reach }
}

/** The same, where they proved who they are a few minutes ago. */
export function recently(ports: ApiPorts, caller: Caller) {
  const self = selfOf(ports, caller)
  if (ports.clock.now() - (self.reach.authenticatedAt ?? 0) > peopleLimits.stepUpMs) throw new Problem('prove-again')
  return self
}

function sessionOf({ reach }: Caller): Session {
  if (reach.kind !== 'person') throw new Problem('not-found')
  const { person, session: id, csrf, authenticatedAt = 0, level = 'one-factor' } = reach
  return { id, person, level, authenticatedAt, endsAt: 0, csrf }
}

/** The answer of somebody who is in, with the cookies that say so; or the ticket for the second factor. */
function entered(
  reply: FastifyReply,
  origin: string | undefined,
  outcome: SignedIn | SecondFactor | Refused | Waiting,
) {
  const answer = settled(outcome)
  if (answer.kind === 'second-factor') return answer
  if (origin === undefined) throw new Problem('unavailable')
  const { secret, device, session } = answer
  reply.header('set-cookie', [
    writeCookie('session', secret, origin),
    writeCookie('device', device, origin, peopleLimits.deviceMs),
  ])
  const { id, level, csrf, limited = false, endsAt } = session
  return { kind: 'signed-in', session: id, level, csrf, limited, endsAt: iso(endsAt) }
}

export async function told<T extends { readonly kind: string }>(
  outcome: Promise<T>,
): Promise<Exclude<T, Refused | Waiting>> {
  return settled(await outcome)
}

/** The outcome where there is one; a refusal and a wait end the request as problems. */
export function settled<T extends { readonly kind: string }>(outcome: T): Exclude<T, Refused | Waiting> {
  const { kind } = outcome
  if (kind === 'wait') {
    const seconds = Math.ceil((outcome as unknown as Waiting).waitMs / 1000)
    throw new Problem('too-many-requests', { 'retry-after': String(seconds) })
  }
  if (kind === 'refused') throw problemOf((outcome as unknown as Refused).problem)
  return outcome as Exclude<T, Refused | Waiting>
}

const codes: Partial<Record<PeopleProblem, ProblemCode>> = {
  ...{
    'wrong-proof': 'not-proved',
    'wrong-code': 'not-proved',
    'pin-mismatch': 'wrong-answer',
    'pin-attempts': 'wrong-answer',
  },
  ...{ 'no-such-link': 'not-found', 'no-such-factor': 'not-found', 'no-such-record': 'not-found' },
  ...{ 'no-such-member': 'not-found', 'no-such-invitation': 'not-found' },
  ...{ 'not-custodian': 'access-denied', 'not-for-you': 'access-denied' },
  ...{ 'last-custodian': 'not-possible', 'last-factor': 'not-possible', 'too-many': 'not-possible' },
  ...{ 'already-member': 'not-possible', 'not-active': 'not-possible' },
}

function problemOf(problem: PeopleProblem): Problem {
  const code = codes[problem] ?? 'invalid-request'
  // What is not there is told without a reason: whether it was there is nobody's business.
  if (code === 'not-found') return new Problem(code)
  const row: { readonly detail: string; readonly healthvaultStatus?: number } = peopleProblems[problem]
  return new Problem(code, {}, [{ where: problem, detail: row.detail }], row.healthvaultStatus)
}

function clientOf({ ip, headers }: FastifyRequest, origin?: string): Client {
  const device = origin === undefined ? undefined : readCookie(headers.cookie, 'device', origin)
  return { address: ip, agent: (headers['user-agent'] ?? '').slice(0, 200), ...(device !== undefined && { device }) }
}

export const iso = (at: number) => new Date(at).toISOString()
