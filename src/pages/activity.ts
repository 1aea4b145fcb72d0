import {
  type Activity,
  type ActivityAction,
  type ActivityEntry,
  type Apps,
  activityActions,
} from '../consent/consent.js'
import { hasWhole, type People } from '../people/people.js'
import { select } from './form.js'
import { html } from './html.js'
import { PageNotFound, type PageRoutes } from './session.js'

/** All words of this file. */
const words = {
  language: 'en',
  title: (record: string) => `What was done: ${record}`,
  intro: 'Who looked at this record, sent, changed or shared it. What was read or written is not kept here.',
  none: 'Nothing yet.',
  filter: 'Show only',
  all: 'Everything',
  show: 'Show',
  older: 'Older',
  files: 'The whole history as a file:',
  damaged: (count: number) => `${count} lines could not be read; the operator of this house can say more.`,
  columns: { when: 'When (UTC)', what: 'What', who: 'Who', where: 'From where' },
  refused: 'refused',
  nobody: 'The house itself',
  operator: 'The operator of this house',
  link: 'Somebody with a link',
  somebody: 'A person who is here no more',
  application: 'An application that is here no more',
  withApp: (person: string, app: string) => `${app}, for ${person}`,
  actions: {
    view: 'Looked at',
    download: 'Downloaded',
    transmit: 'Sent',
    create: 'Added',
    update: 'Changed',
    delete: 'Deleted',
    restore: 'Brought back',
    grant: 'Gave access',
    narrow: 'Narrowed access',
    revoke: 'Ended access',
    share: 'Shared',
    unshare: 'Ended sharing',
    'sign-in': 'Signed in',
    connect: 'Connected',
    'pick-up': 'Picked up',
    receive: 'Received',
  } satisfies Record<ActivityAction, string>,
}

const perPage = 50

export interface ActivityPagePorts {
  readonly activity: Pick<Activity, 'list'>
  readonly apps: Pick<Apps, 'get'>
  readonly people: Pick<People, 'person'> & { readonly records: Pick<People['records'], 'membership'> }
}

/** The history of a record, for its custodians. */
export function activityPages({ activity, apps, people }: ActivityPagePorts): PageRoutes {
  const personName = async (id: string) => (await people.person(id))?.name ?? words.somebody
  const appName = async (id: string) => (await apps.get(id))?.name ?? words.application

  async function whoOf({ from }: ActivityEntry): Promise<string> {
    if (from.app !== undefined && from.person !== undefined)
      return words.withApp(await personName(from.person), await appName(from.app))
    if (from.app !== undefined) return appName(from.app)
    if (from.person !== undefined) return personName(from.person)
    if (from.avenue === 'link') return words.link
    return from.avenue === 'operator' ? words.operator : words.nobody
  }

  async function whatOf({ action, outcome, about, addressee, count }: ActivityEntry): Promise<string> {
    const more = [
      about?.app !== undefined && (await appName(about.app)),
      about?.person !== undefined && (await personName(about.person)),
      addressee,
      count !== undefined && String(count),
    ].filter(Boolean)
    const told = `${words.actions[action]}${more.length > 0 ? `: ${more.join(', ')}` : ''}`
    return outcome === 'refused' ? `${told} (${words.refused})` : told
  }

  return (kit) => {
    kit.get('/records/:record/activity', 'person', async ({ visit, params, query }) => {
      const place = await people.records.membership(visit.session.person, params['record'] ?? '')
      if (!place || !hasWhole(place)) throw new PageNotFound()
      const { record } = place
      const action = activityActions.find((one) => one === query.get('action'))
      const before = query.get('before')
      const page = await activity.list(record.id, {
        limit: perPage,
        ...(action && { action }),
        ...(before !== '' && { before }),
      })
      if (!page) throw new PageNotFound()
      const rows = await Promise.all(
        page.entries.map(
          async (entry) => html`<tr><td>${new Date(entry.at).toISOString().slice(0, 16).replace('T', ' ')}</td>
<td>${await whatOf(entry)}</td><td>${await whoOf(entry)}</td><td>${entry.from.address}</td></tr>`,
        ),
      )
      const path = `/records/${encodeURIComponent(record.id)}/activity`
      const file = `/api/v1${path}/download?format=`
      const { when, what, who, where } = words.columns
      const options = [
        { value: '', words: words.all },
        ...activityActions.map((one) => ({ value: one, words: words.actions[one], chosen: one === action })),
      ]
      const body = html`<p>${words.intro}</p>
<form method="get" action="${path}">${select({ name: 'action', label: words.filter }, options)}<p><button class="second">${words.show}</button></p></form>
${page.unreadable > 0 && html`<p class="wrong">${words.damaged(page.unreadable)}</p>`}
${
  rows.length === 0
    ? html`<p>${words.none}</p>`
    : html`<table><thead><tr>${[when, what, who, where].map((one) => html`<th scope="col">${one}</th>`)}</tr></thead><tbody>${rows}</tbody></table>`
}
${page.next !== undefined && html`<p><a href="${path}?action=${action ?? ''}&amp;before=${page.next}">${words.older}</a></p>`}
<p>${words.files} <a href="${file}csv" download>CSV</a> <a href="${file}json" download>JSON</a></p>`
      return { title: words.title(record.name), language: words.language, body }
    })
  }
}
