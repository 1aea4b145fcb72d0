import type { PeopleHouse } from '../people/open.js'
import { peopleProblems } from '../people/problem.js'
import { action, errorSummary, type Form, type FormErrors, field, form, notice } from './form.js'
import { html } from './html.js'
import type { PageParts } from './layout.js'
import type { PageRoutes, SignedIn } from './session.js'

const words = {
  title: 'Records',
  none: 'You have no record yet.',
  create: 'Create a record',
  name: 'Name of the record',
  nameHint: 'For you to tell records apart, such as a first name.',
  relationship: 'Who is it about?',
  relationshipHint: 'Enter “self” where it is you; else what you are to them, such as “parent”.',
  birthDate: 'Date of birth of whom it is about (optional)',
  share: 'Sharing',
  custodian: 'custodian',
  reader: 'shared with you',
  deleted: 'Deleted records',
  until: (day: string) => `can be brought back until ${day}`,
  restore: 'Bring back',
  invitations: 'Invitations',
  invited: (from: string, record: string) => `${from} shares “${record}” with you.`,
  look: 'Look at it',
  done: 'Done.',
}

/** Records of whoever is signed in. */
export function recordPages(people: PeopleHouse): PageRoutes {
  return (kit) => {
    const view = async ({ session, csrf }: SignedIn, given: Form, errors: FormErrors = {}): Promise<PageParts> => {
      const [held, deleted, invited] = await Promise.all([
        people.records.of(session.person),
        people.deletedRecords(session.person),
        people.invitationsTo(session.person),
      ])
      const rows = held.map(
        ({ record, custodian }) =>
          html`<tr><td>${record.name}</td><td>${custodian ? words.custodian : words.reader}${record.state !== 'active' && html`, ${record.state}`}</td><td><a href="/records/${record.id}/sharing">${words.share}<span> – ${record.name}</span></a></td></tr>`,
      )
      const gone = deleted.map(
        ({ id, name, until }) =>
          html`<li>${name}, ${words.until(new Date(until).toISOString().slice(0, 10))} ${action('/records/restore', csrf, words.restore, { fields: { id }, look: 'second' })}</li>`,
      )
      const open = invited.map(
        ({ id, from, recordName }) =>
          html`<li>${words.invited(from, recordName)} <a href="/invitation?id=${id}">${words.look}</a></li>`,
      )
      const body = html`${field({ name: 'name', label: words.name, hint: words.nameHint, maxlength: 100, value: given.get('name'), error: errors['name'] })}
${field({ name: 'relationship', label: words.relationship, hint: words.relationshipHint, maxlength: 100, value: given.get('relationship') || 'self' })}
${field({ name: 'birthDate', label: words.birthDate, type: 'date', value: given.get('birthDate'), error: errors['birthDate'] })}`
      return {
        ...{ title: words.title, language: 'en', wrong: Object.keys(errors).length > 0 },
        body: html`${errorSummary(errors)}${notice(given.has('done') ? words.done : undefined)}${
          open.length > 0 && html`<h2>${words.invitations}</h2><ul>${open}</ul>`
        }${rows.length > 0 ? html`<table>${rows}</table>` : html`<p>${words.none}</p>`}${
          gone.length > 0 && html`<h2>${words.deleted}</h2><ul>${gone}</ul>`
        }<h2>${words.create}</h2>${form('/records', csrf, body, { words: words.create })}`,
      }
    }
    kit.get('/records', 'person', ({ visit, query }) => view(visit, query))
    kit.post('/records', 'person', async ({ visit, form: given }) => {
      const birthDate = given.get('birthDate')
      const relationship = given.get('relationship').slice(0, 100) || 'self'
      const wanted = { name: given.get('name'), relationship, ...(birthDate && { birthDate }) }
      const outcome = await people.newRecord(visit.session.person, wanted)
      if (outcome.kind === 'created') return { redirect: '/records?done' }
      const where = outcome.problem === 'bad-birth-date' ? 'birthDate' : 'name'
      return { ...(await view(visit, given, { [where]: peopleProblems[outcome.problem].detail })), status: 422 }
    })
    kit.post('/records/restore', 'person', async ({ visit, form: given }) => {
      await people.restoreRecord(visit.session.person, given.get('id'))
      return { redirect: '/records?done' }
    })
  }
}
