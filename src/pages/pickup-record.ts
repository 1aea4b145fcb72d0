import type { People } from '../people/people.js'
import type { Store } from '../ports/store.js'
import { type Choice, choices, type Form, type FormErrors, field } from './form.js'
import { type Html, html } from './html.js'
import { words } from './pickup-words.js'

/** Fields to choose a record, or to make a new one on the way. */
export function recordFields(options: readonly Choice[], friendlyName: string, errors: FormErrors): Html {
  const { label, isNew, newHint, name, birthDate, birthHint, own } = words.record
  const none = options.length === 0
  const all = [...options, { value: 'new', words: isNew, hint: newHint, chosen: none }]
  return html`${choices('radio', { name: 'record', label, error: errors['record'] }, all)}
${field({ name: 'name', label: name, error: errors['name'], maxlength: 100, ...(none && { value: friendlyName }) })}
${field({ name: 'birthDate', label: birthDate, hint: birthHint, type: 'date' })}
${choices('checkbox', { name: 'own', label: '' }, [{ value: 'yes', words: own }])}`
}

/** The record of these fields, made where it is a new one; or what is wrong with them. */
export async function chosenRecord(
  { records, store }: { readonly records: Pick<People['records'], 'create'>; readonly store: Pick<Store, 'commit'> },
  form: Form,
  person: string,
): Promise<{ readonly record: string } | { readonly errors: FormErrors }> {
  const chosen = form.get('record')
  if (chosen === '') return { errors: { record: words.record.choose } }
  if (chosen !== 'new') return { record: chosen }
  const name = form.get('name').trim()
  const birthDate = form.get('birthDate')
  if (name === '' || name.length > 100) return { errors: { name: words.record.nameless } }
  const relationship = form.get('own') === 'yes' ? 'self' : 'custodian'
  const day = /^\d{4}-\d{2}-\d{2}$/.test(birthDate) ? { birthDate } : {}
  const made = await records.create(person, { name, relationship, ...day }, `person:${person}`)
  if (made.kind !== 'created') return { errors: { record: words.record.tooMany } }
  const committed = await store.commit(made.parts)
  return committed.kind === 'committed' ? { record: made.record } : { errors: { record: words.record.again } }
}
