import { type Html, html } from './html.js'

/** What was entered wrongly: by the name of a field, the words for the person. The empty name is the form as a whole. */
export type FormErrors = Readonly<Record<string, string>>

/** Form fields as they came: texts only, the first of several of one name. `all` has every value of a name. */
export interface Form {
  get(name: string): string
  all(name: string): readonly string[]
  has(name: string): boolean
}

/** Reads what a form parser gave, whatever it gave. */
export function formOf(body: unknown): Form {
  const fields = typeof body === 'object' && body !== null ? new Map(Object.entries(body)) : new Map<string, unknown>()
  const all = (name: string) => {
    const value = fields.get(name)
    return (Array.isArray(value) ? value : [value]).filter((one): one is string => typeof one === 'string')
  }
  return { all, get: (name) => all(name)[0] ?? '', has: (name) => all(name).length > 0 }
}

/** A form that posts to `action` under the token of the visit. */
export function form(
  action: string,
  csrf: string,
  body: Html,
  submit: {
    readonly words: string
    readonly look?: 'second' | 'danger'
    readonly name?: string
    readonly value?: string
  },
): Html {
  return html`<form method="post" action="${action}" novalidate>
${hidden('csrf', csrf)}${body}
<p><button${submit.look && html` class="${submit.look}"`}${submit.name && html` name="${submit.name}" value="${submit.value ?? ''}"`}>${submit.words}</button></p>
</form>`
}

/** A button alone: one thing to do, without a question. `fields` go along unseen. */
export function action(
  path: string,
  csrf: string,
  words: string,
  { fields = {}, look }: { fields?: Readonly<Record<string, string>>; look?: 'second' | 'danger' } = {},
): Html {
  const body = html`${Object.entries(fields).map(([name, value]) => hidden(name, value))}`
  return form(path, csrf, body, { words, ...(look && { look }) })
}

export function hidden(name: string, value: string): Html {
  return html`<input type="hidden" name="${name}" value="${value}">`
}

export interface Field {
  readonly name: string
  readonly label: string
  readonly type?: 'text' | 'email' | 'password' | 'date'
  readonly hint?: string
  readonly value?: string
  /** HTML autocomplete word: what helps people and password keepers to fill it in (WCAG 1.3.5). */
  readonly autocomplete?: string
  readonly inputmode?: 'numeric' | 'text'
  readonly maxlength?: number
  readonly error?: string | undefined
}

/** A labelled field with its hint and what is wrong with it, each tied to the input. */
export function field({ name, label, type = 'text', hint, value, error, ...more }: Field): Html {
  const about = aboutOf(name, hint, error)
  return html`<div class="field"><label for="${name}">${label}</label>${about.html}
<input id="${name}" name="${name}" type="${type}"${type !== 'password' && value !== undefined && html` value="${value}"`}${
    more.autocomplete !== undefined && html` autocomplete="${more.autocomplete}"`
  }${more.inputmode && html` inputmode="${more.inputmode}"`}${more.maxlength !== undefined && html` maxlength="${more.maxlength}"`}${about.attributes}></div>`
}

/** A labelled text of several lines. */
export function textArea({ name, label, hint, value, error, maxlength }: Omit<Field, 'type'>): Html {
  const about = aboutOf(name, hint, error)
  return html`<div class="field"><label for="${name}">${label}</label>${about.html}
<textarea id="${name}" name="${name}" rows="4"${maxlength !== undefined && html` maxlength="${maxlength}"`}${about.attributes}>${value}</textarea></div>`
}

export interface Choice {
  readonly value: string
  readonly words: string
  readonly hint?: string
  readonly chosen?: boolean
}

/** One of a few, or several of them, under one question. */
export function choices(
  kind: 'radio' | 'checkbox',
  { name, label, hint, error }: Pick<Field, 'name' | 'label' | 'hint' | 'error'>,
  options: readonly Choice[],
): Html {
  const about = aboutOf(name, hint, error)
  return html`<fieldset${about.attributes}><legend>${label}</legend>${about.html}
${options.map(({ value, words, hint, chosen }, index) => {
  const id = index === 0 ? name : `${name}-${index}`
  return html`<div class="choice"><input type="${kind}" id="${id}" name="${name}" value="${value}"${chosen && html` checked`}${
    hint && html` aria-describedby="${id}-more"`
  }><label for="${id}">${words}</label>${hint && html`<p class="hint" id="${id}-more">${hint}</p>`}</div>`
})}</fieldset>`
}

export function select(
  { name, label, hint, error }: Pick<Field, 'name' | 'label' | 'hint' | 'error'>,
  options: readonly Choice[],
): Html {
  const about = aboutOf(name, hint, error)
  return html`<div class="field"><label for="${name}">${label}</label>${about.html}
<select id="${name}" name="${name}"${about.attributes}>${options.map(
    ({ value, words, chosen }) => html`<option value="${value}"${chosen && html` selected`}>${words}</option>`,
  )}</select></div>`
}

/** What went wrong, at the top, each linked to its field; nothing where nothing did. */
export function errorSummary(errors: FormErrors, words = 'Something is not right yet'): Html {
  const all = Object.entries(errors)
  if (all.length === 0) return html``
  return html`<div class="summary" role="alert" aria-labelledby="summary"><h2 id="summary">${words}</h2><ul>${all.map(
    ([name, text]) => html`<li>${name === '' ? text : html`<a href="#${name}">${text}</a>`}</li>`,
  )}</ul></div>`
}

/** What was done, told at the top of the page that comes after. */
export function notice(words: string | undefined): Html {
  return words === undefined ? html`` : html`<p class="notice" role="status">${words}</p>`
}

function aboutOf(name: string, hint: string | undefined, error: string | undefined) {
  const ids = [hint === undefined ? [] : [`${name}-hint`], error === undefined ? [] : [`${name}-error`]].flat()
  return {
    html: html`${hint !== undefined && html`<p class="hint" id="${name}-hint">${hint}</p>`}${
      error !== undefined && html`<p class="wrong" id="${name}-error">${error}</p>`
    }`,
    attributes: html`${ids.length > 0 && html` aria-describedby="${ids.join(' ')}"`}${error !== undefined && html` aria-invalid="true"`}`,
  }
}
