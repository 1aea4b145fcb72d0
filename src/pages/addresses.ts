import { hasWhole, type People } from '../people/people.js'
import type { Activation, ActivationProblem, RecordAddress } from '../pipeline/activation.js'
import { action, choices, errorSummary, type FormErrors, field, form, notice } from './form.js'
import { type Html, html } from './html.js'
import { PageNotFound, type PageRoutes, type SignedIn } from './session.js'

/** All words of this file. */
const words = {
  language: 'en',
  title: (record: string) => `Direct addresses of ${record}`,
  intro:
    'With a Direct address doctors and clinics send messages and documents into this record, protected all the way. It is no ordinary e-mail address: only other Direct addresses can write to it.',
  none: 'This record has no Direct address yet.',
  mine: 'Your addresses',
  standing: {
    live: 'In use',
    disabled: 'Switched off: mail to it is refused. Nobody else ever gets it.',
    'awaiting-proofing': 'Waits until somebody has confirmed who you are',
    'not-served': 'Not in use',
  },
  certificate: 'Its certificate is being made; until then nobody can write to it.',
  disable: 'Switch off',
  enable: 'Switch on',
  more: 'Get an address',
  choose: 'Choose one',
  suggestion: 'These are free now.',
  own: 'Or your own wish',
  ownHint: (domain: string) =>
    `3 to 64 letters and digits, with single dots or hyphens between them. @${domain} is added. It cannot be changed later, and everybody whom you write to sees it.`,
  take: 'Get this address',
  closed: 'Addresses cannot be taken here at the moment. Ask whoever runs this service.',
  done: {
    taken: 'The address is yours. You can give it to your doctors.',
    on: 'The address takes mail again.',
    off: 'The address takes no mail any more.',
  } as Readonly<Record<string, string>>,
  wrong: {
    taken: 'This address is not free. Choose another one.',
    invalid: 'This cannot be an address: use letters and digits, with single dots or hyphens between them.',
    'too-many': 'This record has as many addresses as it may.',
    unknown: 'This is not an address of this record.',
    wait: 'You have tried many names. Wait a few minutes, then try again.',
    conflict: 'Somebody else was faster. Please try again.',
  } as const satisfies Record<ActivationProblem, string>,
}

export interface AddressPagePorts {
  readonly activation: Activation
  readonly people: { readonly records: Pick<People['records'], 'membership'> }
}

/** Direct addresses of a record: suggested, edited, taken, switched off and on. For its custodians. */
export function addressPages({ activation, people }: AddressPagePorts): PageRoutes {
  async function custodianOf({ session }: SignedIn, id: string | undefined) {
    const membership = id === undefined ? undefined : await people.records.membership(session.person, id)
    if (!membership || !hasWhole(membership)) throw new PageNotFound()
    return membership.record
  }

  async function pageOf(
    { csrf, session }: SignedIn,
    record: { readonly id: string; readonly name: string },
    told: { readonly done?: string; readonly errors?: FormErrors; readonly wish?: string } = {},
  ) {
    const { errors = {}, wish, done } = told
    const known = await activation.list(record.id)
    const [domain] = await activation.domains()
    const offered = domain === undefined ? [] : await activation.suggest(record.name, by(session.person))
    const suggestions = 'kind' in offered ? [] : offered
    const path = `/records/${record.id}/addresses`
    const body = html`${errorSummary(errors)}${notice(done === undefined ? undefined : words.done[done])}
<p>${words.intro}</p>${
      known.length === 0
        ? html`<p>${words.none}</p>`
        : html`<h2>${words.mine}</h2>${known.map((address) => boxOf(address, path, csrf))}`
    }<h2>${words.more}</h2>${
      domain === undefined
        ? html`<p>${words.closed}</p>`
        : form(
            path,
            csrf,
            html`${
              suggestions.length > 0 &&
              choices(
                'radio',
                { name: 'suggestion', label: words.choose, hint: words.suggestion },
                suggestions.map((value, index) => ({ value, words: value, chosen: index === 0 && !wish })),
              )
            }${field({
              ...{ name: 'wish', label: words.own, hint: words.ownHint(domain), maxlength: 64 },
              ...(wish !== undefined && { value: wish }),
              error: errors['wish'],
            })}`,
            { words: words.take },
          )
    }`
    const isWrong = Object.keys(errors).length > 0
    return {
      ...{ title: words.title(record.name), language: words.language, body },
      ...(isWrong && { wrong: true, status: 422 }),
    }
  }

  return (kit) => {
    const path = '/records/:record/addresses'

    kit.get(path, 'person', async ({ visit, params, query }) =>
      pageOf(visit, await custodianOf(visit, params['record']), { done: query.get('done') }),
    )

    kit.post(path, 'person', async ({ visit, params, form: entered }) => {
      const record = await custodianOf(visit, params['record'])
      const [domain = ''] = await activation.domains()
      const wish = entered.get('wish').trim().toLowerCase()
      const address = wish === '' ? entered.get('suggestion') : wish.includes('@') ? wish : `${wish}@${domain}`
      const outcome = await activation.activate(record.id, address, by(visit.session.person))
      if (outcome.kind === 'refused')
        return pageOf(visit, record, { errors: { wish: words.wrong[outcome.problem] }, wish })
      return { redirect: `/records/${record.id}/addresses?done=taken` }
    })

    kit.post(`${path}/change`, 'person', async ({ visit, params, form: entered }) => {
      const record = await custodianOf(visit, params['record'])
      const disabled = entered.get('disabled') === 'true'
      const outcome = await activation.setDisabled(
        ...([record.id, entered.get('address'), disabled, by(visit.session.person)] as const),
      )
      if (outcome.kind === 'refused') return pageOf(visit, record, { errors: { '': words.wrong[outcome.problem] } })
      return { redirect: `/records/${record.id}/addresses?done=${disabled ? 'off' : 'on'}` }
    })
  }
}

const by = (person: string) => `person:${person}`

function boxOf({ address, standing, certificate }: RecordAddress, path: string, csrf: string): Html {
  const isOff = standing === 'disabled'
  const button = isOff ? words.enable : words.disable
  return html`<section class="box"><h3>${address}</h3><p>${words.standing[standing ?? 'not-served']}</p>${
    standing === 'live' && certificate !== 'issued' && html`<p>${words.certificate}</p>`
  }${action(`${path}/change`, csrf, `${button}: ${address}`, {
    fields: { address, disabled: String(!isOff) },
    look: 'second',
  })}</section>`
}
