/** A browser without scripts: keeps cookies, follows redirects within one origin, fills in forms as they stand. */
export interface Browser {
  /** Path of the page that is shown. */
  readonly at: string
  readonly status: number
  readonly headers: Headers
  /** What the page says, without markup, on one line. */
  readonly text: string
  /** Its markup. */
  readonly html: string
  /** Opens a page: a path of the origin, or a URL in it. */
  open(url: string): Promise<Arrived>
  /** Follows a link by its words. */
  follow(words: string): Promise<Arrived>
  /**
   * Sends the form whose button has these words, with what stands in it and what is filled in; where several have, the first
   * whose fields are all there. Throws where there is no such button, or a field that is filled in is not in its form.
   */
  press(words: string, fields?: Readonly<Record<string, Filled>>): Promise<Arrived>
  /** Calls the API as a script of the page would: with its cookies, and with the token that its forms have. */
  call(method: string, path: string, body?: unknown): Promise<{ readonly status: number; readonly json: unknown }>
  cookie(name: string): string | undefined
}

/** A text, what is ticked, or what is chosen. */
export type Filled = string | readonly string[]

/** Where a page led to in the end: `left` is the first URL outside the origin, which is not asked. */
export interface Arrived {
  readonly status: number
  readonly left?: URL
}

interface Cookie {
  readonly value: string
  readonly path: string
}

const mostRedirects = 10

/** A new browser for one origin, `http://localhost:8080`. */
export function openBrowser(origin: string): Browser {
  const jar = new Map<string, Cookie>()
  let at = '/'
  let status = 0
  let html = ''
  let csrf = ''
  let headers = new Headers()

  const cookiesFor = (path: string) =>
    [...jar].flatMap(([name, { value, path: below }]) => (isBelow(path, below) ? [`${name}=${value}`] : [])).join('; ')

  async function request(method: string, path: string, body?: string, more: Readonly<Record<string, string>> = {}) {
    const answer = await fetch(`${origin}${path}`, {
      ...{ method, redirect: 'manual' },
      headers: {
        cookie: cookiesFor(path.split('?')[0] ?? ''),
        ...(method !== 'GET' && { origin, 'sec-fetch-site': 'same-origin' }),
        ...more,
      },
      ...(body !== undefined && { body }),
    })
    for (const line of answer.headers.getSetCookie()) keep(jar, line)
    return answer
  }

  /** A request, and whatever it leads to, as far as it stays here. */
  async function arrive(method: string, path: string, body?: string): Promise<Arrived> {
    const type = { 'content-type': 'application/x-www-form-urlencoded' }
    let answer = await request(method, path, body, body === undefined ? {} : type)
    at = path
    for (let hops = 0; hops < mostRedirects; hops++) {
      const location = answer.headers.get('location')
      if (answer.status < 300 || answer.status > 399 || location === null) break
      await answer.arrayBuffer()
      const next = new URL(location, `${origin}${at}`)
      if (next.origin !== origin) return { status: answer.status, left: next }
      at = `${next.pathname}${next.search}`
      answer = await request('GET', at)
    }
    status = answer.status
    headers = answer.headers
    html = await answer.text()
    csrf = /name="csrf" value="([^"]*)"/.exec(html)?.[1] ?? csrf
    return { status }
  }

  return {
    get at() {
      return at
    },
    get status() {
      return status
    },
    get headers() {
      return headers
    },
    get html() {
      return html
    },
    get text() {
      return wordsOf(html.replace(/<(style|script)[\s\S]*?<\/\1>/g, ' '))
    },
    cookie: (name) => jar.get(name)?.value,
    open(url) {
      const { pathname, search, origin: there } = new URL(url, origin)
      if (there !== origin) throw new Error(`${url} is not at ${origin}`)
      return arrive('GET', `${pathname}${search}`)
    },
    follow(words) {
      const links = [...html.matchAll(/<a\s[^>]*?href="([^"]*)"[^>]*>([\s\S]*?)<\/a>/g)]
      const link = links.find(([, , inside = '']) => wordsOf(inside) === words)
      if (!link) throw new Error(`no link “${words}” at ${at}`)
      const { pathname, search } = new URL(unescaped(link[1] ?? ''), `${origin}${at}`)
      return arrive('GET', `${pathname}${search}`)
    },
    press(words, fields = {}) {
      const forms = formsIn(html).filter(({ button }) => button === words)
      const form = forms.find(({ names }) => Object.keys(fields).every((name) => names.has(name)))
      if (!form)
        throw new Error(`no button “${words}” at ${at} (${status}) with fields ${Object.keys(fields).join(', ')}`)
      const sent = new URLSearchParams(form.standing.filter(([name]) => !(name in fields)).map(([...pair]) => pair))
      for (const [name, value] of Object.entries(fields)) for (const one of [value].flat()) sent.append(name, one)
      return arrive('POST', form.action, sent.toString())
    },
    async call(method, path, body) {
      const type = body === undefined ? {} : { 'content-type': 'application/json' }
      const text = body === undefined ? undefined : JSON.stringify(body)
      const answer = await request(method, path, text, { 'x-csrf-token': csrf, ...type })
      const said = await answer.text()
      return { status: answer.status, json: said === '' ? undefined : JSON.parse(said) }
    },
  }
}

function isBelow(path: string, below: string): boolean {
  return path === below || path.startsWith(below.endsWith('/') ? below : `${below}/`)
}

function keep(jar: Map<string, Cookie>, line: string): void {
  const [pair = '', ...attributes] = line.split(';').map((part) => part.trim())
  const [name = '', value = ''] = pair.split(/=(.*)/s)
  const attribute = (wanted: string) =>
    attributes.map((one) => one.split(/=(.*)/s)).find(([each]) => each?.toLowerCase() === wanted)?.[1]
  const expires = attribute('expires')
  const over = attribute('max-age') === '0' || (expires !== undefined && Date.parse(expires) <= Date.now())
  if (over || value === '') jar.delete(name)
  else jar.set(name, { value, path: attribute('path') ?? '/' })
}

interface Form {
  readonly action: string
  readonly button: string
  readonly names: ReadonlySet<string>
  /** What would be sent as it stands, the button's own value last. */
  readonly standing: readonly (readonly [string, string])[]
}

function formsIn(html: string): Form[] {
  return [...html.matchAll(/<form([^>]*)>([\s\S]*?)<\/form>/g)].map(([, open = '', inside = '']) => {
    const button = /<button([^>]*)>([\s\S]*?)<\/button>/.exec(inside)
    const inputs = [...inside.matchAll(/<(input|textarea|select)\b([^>]*)>(?:([\s\S]*?)<\/\1>)?/g)]
    const fields = inputs.map(([, tag = '', attributes = '', text = '']) => {
      const of = attributesOf(attributes)
      const picked = /<option value="([^"]*)" selected/.exec(text) ?? /<option value="([^"]*)"/.exec(text)
      const value = tag === 'input' ? (of.get('value') ?? '') : unescaped(tag === 'select' ? (picked?.[1] ?? '') : text)
      const isChoice = ['radio', 'checkbox'].includes(of.get('type') ?? '')
      return { name: of.get('name') ?? '', value, sent: !isChoice || of.has('checked') }
    })
    const pressed = attributesOf(button?.[1] ?? '')
    const own = pressed.get('name')
    return {
      action: attributesOf(open).get('action') ?? '',
      button: wordsOf(button?.[2] ?? ''),
      names: new Set(fields.map(({ name }) => name)),
      standing: [
        ...fields.flatMap(({ name, value, sent }) => (sent && name !== '' ? [[name, value] as const] : [])),
        ...(own === undefined ? [] : [[own, pressed.get('value') ?? ''] as const]),
      ],
    }
  })
}

function attributesOf(text: string): ReadonlyMap<string, string> {
  return new Map(
    [...text.matchAll(/([\w-]+)(?:="([^"]*)")?/g)].map(([, name = '', value = '']) => [name, unescaped(value)]),
  )
}

function wordsOf(html: string): string {
  return unescaped(html.replace(/<[^>]*>/g, ' '))
    .replace(/\s+/g, ' ')
    .trim()
}

const entities: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'" }

function unescaped(text: string): string {
  return text.replace(/&(amp|lt|gt|quot|#39);/g, (_, name: string) => entities[name] ?? '')
}
