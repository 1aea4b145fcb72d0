import { hidden } from './form.js'
import { type Html, html } from './html.js'

/**
 * The only script of our pages: a button that asks the browser for a passkey and sends the form with its answer. Without
 * scripts the button stays hidden, and passwords work.
 */
export const passkeyScript = `
for (const form of document.querySelectorAll('form[data-passkey]')) {
  const button = form.querySelector('button'), options = JSON.parse(form.dataset.options)
  if (!window.PublicKeyCredential || !PublicKeyCredential.parseRequestOptionsFromJSON) continue
  form.hidden = false
  button.addEventListener('click', async (event) => {
    event.preventDefault()
    try {
      const credential = form.dataset.passkey === 'create'
        ? await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) })
        : await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) })
      form.elements.response.value = JSON.stringify(credential.toJSON())
      form.submit()
    } catch {
      form.querySelector('[role=alert]').textContent = form.dataset.failed
    }
  })
}
`

const words = { failed: 'The passkey was not used. You can try again, or go on without it.' }

/** A form that a passkey fills in. */
export function passkeyForm(
  kind: 'create' | 'get',
  action: string,
  csrf: string,
  { ticket, options }: { readonly ticket: string; readonly options: object },
  button: string,
  fields: Html = html``,
): Html {
  return html`<form method="post" action="${action}" hidden data-passkey="${kind}" data-options="${JSON.stringify(options)}" data-failed="${words.failed}">
${hidden('csrf', csrf)}${hidden('passkey', ticket)}${hidden('response', '')}${fields}
<p role="alert"></p><p><button class="second">${button}</button></p></form>`
}

/** What a form of a passkey brought; undefined where it is no JSON. */
export function passkeyAnswer(text: string): unknown {
  try {
    return JSON.parse(text.slice(0, 20_000))
  } catch {
    return undefined
  }
}
