import { escaped } from '../../xml/write.js'
import { el, type Html, type Inner, linkWithin, together } from './html.js'
import type { Sheet } from './sheet.js'
import { pagePolicy, style } from './style.js'

/** A label and what is told under it; nothing is shown of one without values. */
export type Fact = readonly [label: string, values: readonly (Inner | undefined)[]]

export function facts(...all: readonly Fact[]): Html | undefined {
  const rows = all.flatMap(([label, values]) => {
    const told = values.filter((value) => value !== undefined && value !== '' && value !== false)
    return told.length === 0 ? [] : [el('dt', {}, label), ...told.map((value) => el('dd', {}, value))]
  })
  return rows.length === 0 ? undefined : el('dl', {}, rows)
}

/** One part of a page with a heading, told of in the table of contents. */
export interface Part {
  readonly id: string
  readonly title: string
  /** 0 for the outermost. */
  readonly depth: number
  readonly body: Inner
}

const headings = ['h2', 'h3', 'h4', 'h5', 'h6'] as const

/** A part under a heading as deep as it stands; ids are ours, and collide with none of the document's. */
export function part({ id, title, depth, body }: Part): Html {
  return el('section', { id }, el(headings[Math.min(depth, headings.length - 1)] ?? 'h6', {}, title), body)
}

export function contents(parts: readonly Pick<Part, 'id' | 'title' | 'depth'>[], sheet: Sheet): Html | undefined {
  const outer = parts.filter(({ depth }) => depth === 0)
  if (outer.length < 2) return undefined
  const told = outer.slice(0, sheet.limits.contents)
  return el(
    'nav',
    { 'aria-label': 'Contents' },
    el(
      'ol',
      {},
      told.map(({ id, title }) => el('li', {}, linkWithin(id, title))),
    ),
  )
}

export interface Page {
  readonly title: string
  /** Who it is about, for the head of each printed page. */
  readonly patient?: string
  /** BCP 47, where the document says it. */
  readonly language?: string
  readonly head: Inner
  readonly contents?: Html | undefined
  readonly body: Inner
  /** Where it came from. */
  readonly foot?: Inner
}

/** A whole page of its own: no script, one style named by its hash, nothing loaded. */
export function page({ title, patient, language, head, contents: list, body, foot }: Page, sheet: Sheet): string {
  const lang = /^[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8}){0,4}$/.test(language ?? '') ? (language ?? 'en') : 'en'
  const name = [title, patient].filter(Boolean).join(' - ')
  const cut =
    sheet.cut &&
    el('p', { class: 'notice' }, 'This document is too long to be shown whole: the rest stands in the document itself.')
  const { html } = together(
    el('div', { class: 'running' }, name),
    el('header', {}, el('h1', {}, title), head),
    cut,
    list,
    el('main', {}, body),
    foot !== undefined && el('footer', {}, foot),
  )
  return [
    '<!DOCTYPE html>',
    `<html lang="${escaped(lang)}">`,
    '<head>',
    '<meta charset="utf-8">',
    `<meta http-equiv="Content-Security-Policy" content="${pagePolicy.replaceAll('"', '&quot;')}">`,
    '<meta name="referrer" content="no-referrer">',
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    `<title>${escaped(name)}</title>`,
    `<style>${style}</style>`,
    '</head>',
    `<body>${html}</body>`,
    '</html>',
    '',
  ].join('\n')
}
