import { Parser } from 'htmlparser2'

/** A page as another parser sees it. */
export interface ParsedPage {
  /** Elements that are not closed where they ought to be. */
  readonly errors: readonly string[]
  /** Whatever could run, load, send or restyle. */
  readonly active: readonly string[]
  readonly text: string
  /** `1 Title`, by level, in order. */
  readonly headings: readonly string[]
}

const inert = new Set(
  'html head meta title style body div header h1 h2 h3 h4 h5 h6 p nav ol ul li main section table caption thead tbody tfoot tr th td dl dt dd a span b i u s del ins em strong sub sup br hr pre figure figcaption img footer article'.split(
    ' ',
  ),
)
const empty = new Set(['meta', 'br', 'hr', 'img'])
const attributes = new Set(
  'lang charset http-equiv content name class id role scope colspan rowspan aria-label href rel download src alt'.split(
    ' ',
  ),
)
const metas = new Set(['Content-Security-Policy'])

/** Parses a page strictly; `styles` is how many style elements it may have. */
export function parseHtml(html: string, styles = 1): ParsedPage {
  const errors: string[] = []
  const active: string[] = []
  const open: string[] = []
  const headings: string[] = []
  let text = ''
  let heading: string | undefined
  let seen = 0
  const parser = new Parser(
    {
      onopentag(name, given, implied) {
        if (implied) errors.push(`${name} is implied`)
        if (!inert.has(name)) active.push(`<${name}>`)
        if (name === 'style' && ++seen > styles) active.push('<style>')
        for (const [key, value] of Object.entries(given)) {
          if (!attributes.has(key)) active.push(`${name} ${key}="${value}"`)
          if (key === 'http-equiv' && !metas.has(value)) active.push(`meta ${value}`)
          if (key === 'href' && (name !== 'a' || !/^(?:#|https?:\/\/|mailto:|\.\.\/[0-9a-f]{64}$|\/)/i.test(value)))
            active.push(`href=${value}`)
          if (key === 'src' && (name !== 'img' || !/^data:image\/(?:png|jpeg|gif);base64,[A-Za-z0-9+/=]+$/.test(value)))
            active.push(`src=${value}`)
        }
        if (/^h[1-6]$/.test(name)) heading = `${name.slice(1)} `
        if (!empty.has(name)) open.push(name)
      },
      onclosetag(name, implied) {
        if (empty.has(name)) return
        if (implied || open.pop() !== name) errors.push(`</${name}> out of order`)
        if (heading !== undefined && /^h[1-6]$/.test(name)) {
          headings.push(heading.replace(/\s+/g, ' ').trim())
          heading = undefined
        }
      },
      ontext(words) {
        if (open.at(-1) === 'style') return
        text += words
        if (heading !== undefined) heading += words
      },
      oncomment: () => void active.push('comment'),
      onprocessinginstruction: (name) => void (/^!doctype$/i.test(name) || active.push(name)),
    },
    { decodeEntities: true, recognizeSelfClosing: false },
  )
  parser.write(html)
  parser.end()
  return { errors: [...errors, ...open.map((name) => `${name} stays open`)], active, text, headings }
}

export function textOfPage(html: string): Pick<ParsedPage, 'text' | 'headings'> {
  return parseHtml(html)
}
