import { createHash } from 'node:crypto'
import type { FastifyReply } from 'fastify'
import { type Html, html } from './html.js'

/** Looks: readable at 320 px and at 400 %, in light and dark, in print; focus is always seen (WCAG 2.2 AA). */
const style = `
:root{color-scheme:light dark;--ink:#1a1c1e;--paper:#fff;--soft:#f1f3f5;--line:#767b80;--link:#0b4fae;--wrong:#a8071a;--good:#0a5c2c}
@media (prefers-color-scheme:dark){:root{--ink:#e9ebed;--paper:#16181a;--soft:#24272a;--line:#8d949a;--link:#8ab8ff;--wrong:#ff9b9b;--good:#7fd6a0}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:1.0625rem/1.5 system-ui,sans-serif;overflow-wrap:anywhere}
header,main,footer{max-width:42rem;margin:0 auto;padding:.75rem 1rem}
header{border-bottom:1px solid var(--line);display:flex;flex-wrap:wrap;gap:.5rem 1rem;align-items:center;justify-content:space-between}
nav ul{list-style:none;display:flex;flex-wrap:wrap;gap:.25rem 1rem;margin:0;padding:0}
a{color:var(--link)}
a.skip{position:absolute;left:-100vw}a.skip:focus{left:1rem;top:.5rem;background:var(--paper);padding:.5rem}
h1{font-size:1.6rem;line-height:1.25}h2{font-size:1.25rem;margin-top:2rem}
:focus-visible{outline:3px solid var(--link);outline-offset:2px}
label,legend{font-weight:600;display:block}
.hint{color:inherit;margin:.1rem 0 .25rem}
.field{margin:1.1rem 0}
input[type=text],input[type=email],input[type=password],input[type=date],select,textarea{width:100%;max-width:28rem;font:inherit;color:inherit;background:var(--paper);border:1px solid var(--line);border-radius:4px;padding:.55rem}
input[type=checkbox],input[type=radio]{width:1.5rem;height:1.5rem;vertical-align:middle;margin:.25rem .5rem .25rem 0}
.choice label{display:inline;font-weight:400}
fieldset{border:0;padding:0;margin:1.1rem 0}
button{font:inherit;font-weight:600;min-height:2.75rem;padding:.4rem 1.2rem;border-radius:4px;border:2px solid var(--link);background:var(--link);color:var(--paper);cursor:pointer}
button.second{background:var(--paper);color:var(--link)}
button.danger{border-color:var(--wrong);background:var(--paper);color:var(--wrong)}
.wrong{color:var(--wrong);font-weight:600;margin:.1rem 0 .25rem}
.summary{border:3px solid var(--wrong);padding:.5rem 1rem;margin:1rem 0}
.notice{border-left:.4rem solid var(--good);background:var(--soft);padding:.6rem 1rem;margin:1rem 0}
.box{border:1px solid var(--line);border-radius:4px;padding:.25rem 1rem .75rem;margin:1rem 0}
table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;border-bottom:1px solid var(--line);padding:.4rem .5rem .4rem 0}
code,.code{font-family:ui-monospace,monospace;font-size:1.05em}
dt{font-weight:600}dd{margin:0 0 .5rem}
img.qr{background:#fff;max-width:100%;height:auto}
@media print{header nav,button,.skip{display:none}}
`

/** A page before it is dressed. */
export interface PageParts {
  /** Also the heading, unless `heading` says otherwise. */
  readonly title: string
  readonly heading?: string
  /** BCP 47, of the words in it. */
  readonly language: string
  readonly body: Html
  /** 200 where absent. */
  readonly status?: number
  /** Something was entered wrongly: the title says so first, for those who hear it. */
  readonly wrong?: boolean
  /** Scripts of ours, each allowed by its hash; no page needs them. */
  readonly scripts?: readonly string[]
  /** Origins or schemes to which a form of this page may lead in the end, beside our own (OAuth redirects). */
  readonly formTargets?: readonly string[]
}

/** What stands around every page. */
export interface Frame {
  /** Name of the house, as its operator calls it. */
  readonly house: string
  /** Links at the top: for somebody signed in, or for nobody. */
  readonly links: readonly { readonly href: string; readonly words: string }[]
  readonly skip: string
}

/** The whole document. */
export function page({ title, heading, language, body, wrong, scripts = [] }: PageParts, frame: Frame): string {
  const document = html`<!doctype html>
<html lang="${language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>${wrong && 'Error: '}${title} – ${frame.house}</title>
<style>${{ html: style }}</style>
</head>
<body>
<a class="skip" href="#main">${frame.skip}</a>
<header><strong>${frame.house}</strong>${
    frame.links.length > 0 &&
    html`<nav><ul>${frame.links.map(({ href, words }) => html`<li><a href="${href}">${words}</a></li>`)}</ul></nav>`
  }</header>
<main id="main">
<h1>${heading ?? title}</h1>
${body}
</main>
${scripts.map((script) => html`<script>${{ html: script }}</script>`)}
</body>
</html>
`
  return document.html
}

/** The Content-Security-Policy of a page: nothing but its own looks, its own scripts by their hashes, and forms. */
export function policyOf({ scripts = [], formTargets = [] }: Pick<PageParts, 'scripts' | 'formTargets'>): string {
  return [
    "default-src 'none'",
    `style-src ${hashOf(style)}`,
    ...(scripts.length > 0 ? [`script-src ${scripts.map(hashOf).join(' ')}`] : []),
    "img-src 'self' data:",
    `form-action ${["'self'", ...formTargets.filter((one) => /^[^\s;,']+$/.test(one))].join(' ')}`,
    "frame-ancestors 'none'",
    "base-uri 'none'",
  ].join('; ')
}

/** Sends a page with the headers that every page has. */
export function sendPage(reply: FastifyReply, parts: PageParts, frame: Frame): FastifyReply {
  return reply
    .code(parts.status ?? 200)
    .headers({
      'content-security-policy': policyOf(parts),
      'cross-origin-opener-policy': 'same-origin',
      'permissions-policy': 'publickey-credentials-get=(self), publickey-credentials-create=(self)',
    })
    .type('text/html; charset=utf-8')
    .serializer(String)
    .send(page(parts, frame))
}

/** A page that only tells something, with where to go from there. */
export function message(
  title: string,
  words: string | readonly string[],
  {
    next,
    language = 'en',
    status,
  }: { next?: { href: string; words: string }; language?: string; status?: number } = {},
): PageParts {
  const paragraphs = typeof words === 'string' ? [words] : words
  return {
    title,
    language,
    ...(status !== undefined && { status }),
    body: html`${paragraphs.map((words) => html`<p>${words}</p>`)}${next && html`<p><a href="${next.href}">${next.words}</a></p>`}`,
  }
}

/** As a policy names what stands in the page itself (CSP Level 3 §2.3.1). */
function hashOf(text: string): string {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`
}
