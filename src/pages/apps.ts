import type { Apps, Consents, Grant } from '../consent/consent.js'
import type { AccessRule, RuleSets } from '../direct/access.js'
import type { RecordItemType } from '../direct/clinical.js'
import { hasWhole, type People } from '../people/people.js'
import { action, choices, form, notice } from './form.js'
import { type Html, html } from './html.js'
import type { PageParts } from './layout.js'
import { PageNotFound, type PageRoutes, type SignedIn } from './session.js'

/** All words of this file. */
const words = {
  language: 'en',
  title: 'Applications with access',
  intro: 'What you, or others who care for your records, let applications do. You can end it at any time, at once.',
  none: 'No application has access.',
  yours: 'granted by you',
  others: 'granted by another person who has this record',
  since: 'Since',
  details: 'Show or change',
  of: (app: string, record: string) => `${app}: ${record}`,
  unknown: 'An application that is here no more',
  online: 'While you are signed in with it',
  offline: 'At any time, also without you',
  nothing: 'Nothing.',
  optional: 'Keep what you need; what is not ticked ends.',
  narrow: 'Save',
  required: 'It does not work without these:',
  end: 'End all access',
  endHint: 'The application sees nothing more with its next request. What it copied before stays with it.',
  back: 'All applications',
  activity: 'What was done in this record',
  done: { ended: 'Access was ended.', saved: 'Your choice was saved.' } as Readonly<Record<string, string>>,
  may: { create: 'add', read: 'see', update: 'change', delete: 'delete' },
  every: 'everything in the record',
  dates: (from?: string, to?: string) => [from && `from ${from}`, to && `until ${to}`].filter(Boolean).join(' '),
  ended: 'This access ended.',
}

export interface AppPagePorts {
  readonly consents: Pick<Consents, 'get' | 'ofPerson' | 'ofRecord' | 'narrow' | 'revoke'>
  readonly apps: Pick<Apps, 'get'>
  readonly people: { readonly records: Pick<People['records'], 'of' | 'membership'> }
}

/** A rule in words: what, to which kinds of item, and why. */
export function ruleInWords({ permissions, types, from, to, reason }: AccessRule, language: string): string {
  const what = permissions.map((one) => words.may[one]).join(', ')
  const which = types ? types.map(kindInWords).join(', ') : words.every
  const dates = words.dates(from, to)
  return `${reason[language] ?? reason['en'] ?? ''} (${what}: ${which}${dates && `, ${dates}`})`
}

function kindInWords(type: RecordItemType): string {
  return type.replaceAll('-', ' ')
}

/** What a person granted, per record; narrowing and ending it. Custodians see and end what others granted too. */
export function appPages({ consents, apps, people }: AppPagePorts): PageRoutes {
  async function granted(person: string) {
    const held = await people.records.of(person)
    const inRecords = await Promise.all(held.filter(hasWhole).map(({ record }) => consents.ofRecord(record.id)))
    const own = await consents.ofPerson(person)
    const all = new Map([...own, ...inRecords.flat()].map((grant) => [grant.id, grant]))
    return held.map(({ record }) => ({
      record,
      grants: [...all.values()].filter((grant) => grant.record === record.id),
    }))
  }

  /** A standing grant that the visitor gave, or that is in a record of which the visitor is a custodian. */
  async function mine(id: string, person: string): Promise<{ grant: Grant; record: string }> {
    const grant = await consents.get(id)
    const place = grant && (await people.records.membership(person, grant.record))
    const seen = grant?.person === person || (place !== undefined && hasWhole(place))
    if (!grant || grant.revoked || !seen) throw new PageNotFound()
    return { grant, record: place?.record.name ?? '' }
  }

  const nameOf = async (app: string) => (await apps.get(app))?.name ?? words.unknown
  const from = ({ session, address }: SignedIn) => ({
    ...{ by: `person:${session.person}`, avenue: 'page' as const, person: session.person, address },
  })

  return (kit) => {
    kit.get('/account/apps', 'person', async ({ visit, query }) => {
      const records = await granted(visit.session.person)
      const sections = await Promise.all(
        records
          .filter(({ grants }) => grants.length > 0)
          .map(async ({ record, grants }) => {
            const rows = await Promise.all(
              grants.map(async (grant) => {
                const name = await nameOf(grant.app)
                const who = grant.person === visit.session.person ? words.yours : words.others
                return html`<li class="box"><h3>${name}</h3><p>${who}. ${words.since} ${dayOf(grant.grantedAt)}</p>
<p><a href="/account/apps/${grant.id}" aria-label="${words.details}: ${words.of(name, record.name)}">${words.details}</a></p></li>`
              }),
            )
            return html`<h2>${record.name}</h2><ul class="plain">${rows}</ul>
<p><a href="/records/${record.id}/activity">${words.activity}</a></p>`
          }),
      )
      const body = html`${notice(words.done[query.get('done')])}<p>${words.intro}</p>${
        sections.length > 0 ? sections : html`<p>${words.none}</p>`
      }`
      return { title: words.title, language: words.language, body }
    })

    kit.get('/account/apps/:grant', 'person', async ({ visit, params }) => {
      const { grant, record } = await mine(params['grant'] ?? '', visit.session.person)
      return grantPage(grant, await nameOf(grant.app), record, visit.csrf)
    })

    kit.post('/account/apps/:grant', 'person', async ({ visit, params, form: sent }) => {
      const { grant } = await mine(params['grant'] ?? '', visit.session.person)
      const keep = {
        online: known(grant.rules.online, sent.all('online')),
        offline: known(grant.rules.offline, sent.all('offline')),
      }
      await consents.narrow(grant.id, keep, from(visit))
      return { redirect: '/account/apps?done=saved' }
    })

    kit.post('/account/apps/:grant/end', 'person', async ({ visit, params }) => {
      const { grant } = await mine(params['grant'] ?? '', visit.session.person)
      await consents.revoke(grant.id, 'person', from(visit))
      return { redirect: '/account/apps?done=ended' }
    })
  }
}

function grantPage({ id, rules }: Grant, app: string, record: string, csrf: string): PageParts {
  const sets = ['online', 'offline'] as const
  const required = sets.flatMap((set) => rules[set].filter(({ optional }) => !optional))
  const path = `/account/apps/${encodeURIComponent(id)}`
  const body = html`${
    required.length > 0 &&
    html`<h2>${words.required}</h2><ul>${required.map(
      (rule) => html`<li>${ruleInWords(rule, words.language)}</li>`,
    )}</ul>`
  }
${hasOptional(rules) && form(path, csrf, html`${sets.map((set) => optionalRules(set, rules))}`, { words: words.narrow })}
<h2>${words.end}</h2><p>${words.endHint}</p>
${action(`${path}/end`, csrf, words.end, { look: 'danger' })}
<p><a href="/account/apps">${words.back}</a></p>`
  return { title: words.of(app, record), language: words.language, body }
}

function optionalRules(set: 'online' | 'offline', rules: RuleSets): Html {
  const optional = rules[set].filter((rule) => rule.optional)
  if (optional.length === 0) return html``
  const options = optional.map((rule) => ({
    value: rule.name,
    words: ruleInWords(rule, words.language),
    chosen: true,
  }))
  return choices('checkbox', { name: set, label: words[set], hint: words.optional }, options)
}

function hasOptional({ online, offline }: RuleSets): boolean {
  return [...online, ...offline].some(({ optional }) => optional)
}

/** Names that the form may say; anything else is passed over, which only ever keeps less. */
function known(rules: readonly AccessRule[], names: readonly string[]): readonly string[] {
  return names.filter((name) => rules.some((rule) => rule.name === name))
}

function dayOf(at: number): string {
  return new Date(at).toISOString().slice(0, 10)
}
