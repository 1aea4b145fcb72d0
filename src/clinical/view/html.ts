import { Buffer } from 'node:buffer'
import { escaped } from '../../xml/write.js'

/** HTML that is written already. Nothing but the functions of this file makes it: that is why a view holds nothing that runs. */
export interface Html {
  readonly html: string
}

/** What may stand in an element: strings are text, always. */
export type Inner = Html | string | undefined | false | readonly Inner[]

/** The elements that a view is made of. */
type Tag =
  | 'a'
  | 'article'
  | 'b'
  | 'caption'
  | 'dd'
  | 'del'
  | 'div'
  | 'dl'
  | 'dt'
  | 'em'
  | 'figcaption'
  | 'figure'
  | 'footer'
  | 'h1'
  | 'h2'
  | 'h3'
  | 'h4'
  | 'h5'
  | 'h6'
  | 'header'
  | 'i'
  | 'ins'
  | 'li'
  | 'main'
  | 'nav'
  | 'ol'
  | 'p'
  | 'pre'
  | 's'
  | 'section'
  | 'span'
  | 'strong'
  | 'sub'
  | 'sup'
  | 'table'
  | 'tbody'
  | 'td'
  | 'tfoot'
  | 'th'
  | 'thead'
  | 'tr'
  | 'u'
  | 'ul'

/** Attributes that an element may have. No `href`, `src` or `style`: links and pictures have functions of their own. */
export interface Attributes {
  readonly class?: string | undefined
  readonly id?: string | undefined
  readonly role?: 'note' | undefined
  readonly scope?: 'col' | 'row' | 'colgroup' | 'rowgroup' | undefined
  readonly colspan?: string | undefined
  readonly rowspan?: string | undefined
  readonly lang?: string | undefined
  readonly 'aria-label'?: string | undefined
}

/** An element with escaped attributes and text. */
export function el(tag: Tag, attributes: Attributes, ...inner: readonly Inner[]): Html {
  return write(tag, attributes as Readonly<Record<string, string | undefined>>, inner)
}

/** Elements without content. */
export const br: Html = { html: '<br>' }
export const hr: Html = { html: '<hr>' }

/** A place on the same page. */
export function linkWithin(id: string, ...inner: readonly Inner[]): Html {
  return write('a', { href: `#${id}` }, inner)
}

/**
 * A link to somewhere else, told with its address, or its words alone where the address is not http, https or mailto.
 * It opens nothing by itself, and tells the other side nothing of where it stood.
 */
export function linkOut(address: string, ...inner: readonly Inner[]): Html {
  const safe = safeAddress(address)
  const words = joined(inner)
  if (safe === undefined) return { html: words }
  const link = write('a', { href: safe, rel: 'noopener noreferrer nofollow' }, [
    { html: words === '' ? escaped(safe) : words },
  ])
  const shown =
    words === '' || words.includes(escaped(safe)) ? '' : write('span', { class: 'address' }, [` (${safe})`]).html
  return { html: link.html + shown }
}

/** Another document of the same record, by a path that we made. */
export function linkToDocument(path: string, ...inner: readonly Inner[]): Html {
  return write('a', { href: path, download: '' }, inner)
}

/** A picture in the page itself. The media type is one that we recognised by the bytes. */
export function picture(mediaType: 'image/png' | 'image/jpeg' | 'image/gif', bytes: Uint8Array, words: string): Html {
  const data = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')
  return { html: `<img src="data:${mediaType};base64,${data}" alt="${escaped(words)}">` }
}

/** One after the other. */
export function together(...inner: readonly Inner[]): Html {
  return { html: joined(inner) }
}

/** http, https and mailto as the URL standard writes them; undefined for whatever else, however it is spelt. */
function safeAddress(address: string): string | undefined {
  const trimmed = address.trim()
  // Browsers drop tabs and line ends inside, and blanks around.
  if (/[\p{Cc}\p{Cs}\s]/u.test(trimmed) || trimmed.length > 2_000) return undefined
  const whole = /^www\./i.test(trimmed) ? `http://${trimmed}` : trimmed
  if (!/^(?:https?:\/\/|mailto:)/i.test(whole)) return undefined
  try {
    const { protocol, href } = new URL(whole)
    return protocol === 'http:' || protocol === 'https:' || protocol === 'mailto:' ? href : undefined
  } catch {
    return undefined
  }
}

function write(tag: string, attributes: Readonly<Record<string, string | undefined>>, inner: readonly Inner[]): Html {
  let head = `<${tag}`
  for (const [name, value] of Object.entries(attributes))
    if (value !== undefined) head += ` ${name}="${escaped(value)}"`
  return { html: `${head}>${joined(inner)}</${tag}>` }
}

function joined(inner: readonly Inner[]): string {
  let html = ''
  for (const one of inner) {
    if (one === undefined || one === false) continue
    if (typeof one === 'string') html += escaped(one)
    else if ('html' in one) html += one.html
    else html += joined(one)
  }
  return html
}
