import { recordItemTypes } from '../direct/clinical.js'
import type { PeopleHouse } from '../people/open.js'
import { type PeopleProblem, peopleProblems } from '../people/problem.js'
import type { InvitationView, NamedInvitation, NewInvitation } from '../people/sharing.js'
import {
  action,
  choices,
  errorSummary,
  type Form,
  type FormErrors,
  field,
  form,
  hidden,
  notice,
  textArea,
} from './form.js'
import { html } from './html.js'
import { message, type PageParts } from './layout.js'
import { PageNotFound, type PageRoutes, type SignedIn } from './session.js'

const words = {
  title: (name: string) => `Sharing “${name}”`,
  who: 'Who has this record',
  you: 'you',
  custodian: 'custodian',
  reader: 'reader',
  remove: 'Remove',
  leave: 'Leave',
  confirm: 'Confirm as custodian',
  ofAge: (day: string) =>
    `Whom this record is about is an adult now. Unless they confirm them, other custodians become readers on ${day}.`,
  guardian: 'I am the guardian of this adult',
  invite: 'Invite somebody',
  email: 'E-mail address',
  relationship: 'What are they to whom the record is about?',
  kind: 'What may they do?',
  read: 'Read',
  write: 'Read and add',
  all: 'Everything, and share it with others (custodian)',
  subject: 'The record is about them: they become its custodian',
  until: 'Until (optional)',
  pin: 'PIN (optional)',
  pinHint: 'Four digits or more. Tell it to them yourself: the mail does not hold it.',
  message: 'A few words to them (optional)',
  send: 'Send the invitation',
  open: 'Invitations',
  withdraw: 'Withdraw',
  privacy: 'Kept from others',
  privacyText: 'Holds between 12 and 18 years, for everybody but whom the record is about.',
  personal: 'Items that are flagged personal',
  types: 'Kinds of items',
  save: 'Save',
  rename: 'Name of the record',
  delete: 'Delete this record',
  done: 'Done.',
  invitation: 'You are invited',
  invited: (from: string, record: string) => `${from} would like to share the record “${record}” with you.`,
  asCustodian: 'You would be its custodian: you can do everything with it, and share it with others.',
  enterPin: 'PIN that you were told',
  accept: 'Accept',
  decline: 'Decline',
}

const reason = { en: 'Shared by a custodian' }
const offers = {
  read: { custodian: false, subject: false, rules: [{ name: 'read', reason, permissions: ['read'] }] },
  write: { custodian: false, subject: false, rules: [{ name: 'write', reason, permissions: ['create', 'read'] }] },
  all: { custodian: true, subject: false, rules: [] },
  subject: { custodian: true, subject: true, rules: [] },
} as const satisfies Record<string, Pick<NewInvitation, 'custodian' | 'subject' | 'rules'>>

/** Who has a record, inviting others, and being invited. */
export function sharingPages(people: PeopleHouse): PageRoutes {
  return (kit) => {
    const show = async (
      { session, csrf }: SignedIn,
      record: string,
      given: Form,
      errors: FormErrors = {},
    ): Promise<PageParts> => {
      const [view, membership, invitations] = await Promise.all([
        people.sharingOf(session.person, record),
        people.records.membership(session.person, record),
        people.listInvitations(session.person, record),
      ])
      if (!view || !membership) throw new PageNotFound()
      const { name } = membership.record
      const path = `/records/${record}/sharing`
      const rows = view.members.map((member) => {
        const me = member.person === session.person
        const fields = { member: member.person }
        return html`<tr><td>${member.name}${me && html` (${words.you})`}</td><td>${member.relationship}, ${member.custodian ? words.custodian : words.reader}</td><td>${
          (view.custodian || me) &&
          action(`${path}/remove`, csrf, me ? words.leave : words.remove, { fields, look: 'danger' })
        }${view.ofAge && view.subject && !me && !member.confirmed && member.custodian && action(`${path}/confirm`, csrf, words.confirm, { fields, look: 'second' })}</td></tr>`
      })
      const open =
        'kind' in invitations ? [] : invitations.filter(({ state }) => state === 'pending' || state === 'locked')
      return {
        ...{ title: words.title(name), language: 'en', wrong: Object.keys(errors).length > 0 },
        body: html`${errorSummary(errors)}${notice(given.has('done') ? words.done : undefined)}${
          view.ofAge &&
          html`<div class="notice"><p>${words.ofAge(day(view.ofAge.until))}</p>${!view.subject && view.custodian && !view.guardian && action(`${path}/guardian`, csrf, words.guardian, { look: 'second' })}</div>`
        }<h2>${words.who}</h2><table>${rows}</table>${
          open.length > 0 &&
          html`<h2>${words.open}</h2><ul>${open.map(({ id, email, state }) => html`<li>${email} (${state}) ${action(`${path}/withdraw`, csrf, words.withdraw, { fields: { id }, look: 'second' })}</li>`)}</ul>`
        }${view.custodian && inviting(path, csrf, given, errors)}${(view.custodian || view.subject) && privacy(path, csrf, view.privacy)}${
          view.custodian &&
          html`<h2>${words.rename}</h2>${form(`${path}/name`, csrf, field({ name: 'title', label: words.rename, value: name, maxlength: 100 }), { words: words.save })}
<h2>${words.delete}</h2>${action(`${path}/delete`, csrf, words.delete, { look: 'danger' })}`
        }`,
      }
    }
    kit.get('/records/:record/sharing', 'person', ({ visit, params, query }) =>
      show(visit, params['record'] ?? '', query),
    )

    const deed = (
      name: string,
      needs: 'person' | 'recent',
      does: (
        visit: SignedIn,
        record: string,
        given: Form,
      ) => Promise<{ readonly kind: string; readonly problem?: PeopleProblem }>,
      where = '',
    ) =>
      kit.post(`/records/:record/sharing/${name}`, needs, async ({ visit, params, form: given }) => {
        const record = params['record'] ?? ''
        const outcome = await does(visit as SignedIn, record, given)
        if (outcome.problem === undefined) {
          const gone =
            name === 'delete' || !(await people.records.membership((visit as SignedIn).session.person, record))
          return { redirect: gone ? '/records?done' : `/records/${record}/sharing?done` }
        }
        if (outcome.problem === 'no-such-record') throw new PageNotFound()
        const errors = { [where]: peopleProblems[outcome.problem].detail }
        return { ...(await show(visit as SignedIn, record, given, errors)), status: 422 }
      })
    deed('remove', 'person', ({ session }, record, given) =>
      people.removeMember(session.person, record, given.get('member')),
    )
    deed('confirm', 'recent', ({ session }, record, given) =>
      people.confirmCustodian(session.person, record, given.get('member')),
    )
    deed('guardian', 'recent', ({ session }, record) => people.declareGuardian(session.person, record))
    deed('withdraw', 'person', ({ session }, record, given) =>
      people.withdrawInvitation(session.person, record, given.get('id')),
    )
    deed(
      'name',
      'person',
      ({ session }, record, given) => people.describeRecord(session.person, record, { name: given.get('title') }),
      'title',
    )
    deed('delete', 'recent', ({ session }, record) => people.deleteRecord(session.person, record))
    deed('privacy', 'person', ({ session }, record, given) => {
      const types = recordItemTypes.filter((type) => given.all('types').includes(type))
      return people.setPrivacy(session.person, record, { personal: given.has('personal'), types })
    })
    deed(
      'invite',
      'recent',
      ({ session }, record, given) => people.invite(session.person, record, invitationIn(given)),
      'email',
    )
    invitationPages(people)(kit)
  }
}

function inviting(path: string, csrf: string, given: Form, errors: FormErrors) {
  const kinds = (['read', 'write', 'all', 'subject'] as const).map((value) => ({
    ...{ value, words: words[value], chosen: (given.get('kind') || 'read') === value },
  }))
  const body = html`${field({ name: 'email', label: words.email, type: 'email', value: given.get('email'), error: errors['email'] })}
${field({ name: 'relationship', label: words.relationship, value: given.get('relationship'), maxlength: 100 })}${choices('radio', { name: 'kind', label: words.kind }, kinds)}
${field({ name: 'until', label: words.until, type: 'date', value: given.get('until') })}${field({ name: 'pin', label: words.pin, hint: words.pinHint, inputmode: 'numeric', autocomplete: 'off', maxlength: 12 })}
${textArea({ name: 'message', label: words.message, maxlength: 1024, value: given.get('message') })}`
  return html`<h2>${words.invite}</h2>${form(`${path}/invite`, csrf, body, { words: words.send })}`
}

function privacy(path: string, csrf: string, now: { readonly personal: boolean; readonly types: readonly string[] }) {
  const types = recordItemTypes.map((value) => ({ value, words: value, chosen: now.types.includes(value) }))
  const body = html`<p>${words.privacyText}</p>${choices('checkbox', { name: 'personal', label: words.personal }, [{ value: 'yes', words: words.personal, chosen: now.personal }])}
${choices('checkbox', { name: 'types', label: words.types }, types)}`
  return html`<h2>${words.privacy}</h2>${form(`${path}/privacy`, csrf, body, { words: words.save })}`
}

function invitationIn(given: Form) {
  const kind = given.get('kind')
  const offer = offers[kind === 'write' || kind === 'all' || kind === 'subject' ? kind : 'read']
  const [until, pin] = [Date.parse(`${given.get('until')}T23:59:59Z`), given.get('pin').trim()]
  return {
    ...{ ...offer, email: given.get('email'), relationship: given.get('relationship'), message: given.get('message') },
    ...(!Number.isNaN(until) && { until }),
    ...(pin !== '' && { pin }),
  }
}

function invitationPages(people: PeopleHouse): PageRoutes {
  return (kit) => {
    const named = (given: Form): NamedInvitation =>
      given.has('id') ? { id: given.get('id') } : { secret: given.get('code') }
    const show = async ({ session, csrf }: SignedIn, given: Form, errors: FormErrors = {}): Promise<PageParts> => {
      const view: InvitationView | undefined = given.has('id')
        ? (await people.invitationsTo(session.person)).find(({ id }) => id === given.get('id'))
        : await people.awaitedInvitation(given.get('code'))
      if (!view) return { ...message(words.invitation, peopleProblems['no-such-invitation'].detail), status: 404 }
      const name = given.has('id') ? 'id' : 'code'
      const body = html`${hidden(name, given.get(name))}${view.pin && field({ name: 'pin', label: words.enterPin, inputmode: 'numeric', autocomplete: 'off', error: errors['pin'] })}`
      return {
        ...{ title: words.invitation, language: 'en', wrong: Object.keys(errors).length > 0 },
        body: html`${errorSummary(errors)}<p>${words.invited(view.from, view.recordName)}</p>${view.message && html`<blockquote>${view.message}</blockquote>`}${
          view.custodian && html`<p>${words.asCustodian}</p>`
        }${form('/invitation/accept', csrf, body, { words: words.accept })}${action('/invitation/decline', csrf, words.decline, { fields: { [name]: given.get(name) }, look: 'second' })}`,
      }
    }
    kit.get('/invitation', 'person', ({ visit, query }) => show(visit, query))
    kit.post('/invitation/accept', 'person', async ({ visit, form: given }) => {
      const outcome = await people.acceptInvitation(visit.session.person, named(given), given.get('pin'))
      if (outcome.kind === 'accepted') return { redirect: '/records?done' }
      return { ...(await show(visit, given, { pin: peopleProblems[outcome.problem].detail })), status: 422 }
    })
    kit.post('/invitation/decline', 'person', async ({ visit, form: given }) => {
      await people.declineInvitation(visit.session.person, named(given))
      return { redirect: '/records?done' }
    })
  }
}

function day(at: number): string {
  return new Date(at).toISOString().slice(0, 10)
}
