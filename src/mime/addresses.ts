import { type DirectAddress, parseAddress } from '../direct/address.js'
import type { Header } from './header.js'
import { type MimeLimits, mimeLimits } from './limits.js'

/** One mailbox of an address field. */
export interface Mailbox {
  /** Undefined for an address that is well-formed but no Direct address: quoted local part, domain literal, non-ASCII, too long. */
  readonly address: DirectAddress | undefined
  /** The addr-spec as written, for people. */
  readonly text: string
  /** The display name with its quotes removed, encoded words still encoded; empty where there is none. Never an identity. */
  readonly display: string
}

export type AddressFault =
  | 'control-character'
  | 'unclosed-comment'
  | 'unclosed-quote'
  | 'unclosed-group'
  | 'empty-entry'
  | 'not-an-address'
  | 'obsolete-form'
  | 'address-in-display-name'
  | 'encoded-word-in-address'
  | 'text-after-address'
  | 'too-many'

export interface Mailboxes {
  readonly kind: 'mailboxes'
  readonly mailboxes: readonly Mailbox[]
}

/** An address field that does not say one thing to every reader. */
export interface BadAddresses {
  readonly kind: 'bad-addresses'
  readonly fault: AddressFault
  readonly detail: string
}

/**
 * Reads an unfolded address field for decisions about who speaks to whom: the address-list of RFC 5322 §3.4 with groups,
 * display names, quoted strings and comments. Obsolete forms (§4.4: routes, empty entries, space inside an addr-spec) are
 * refused, but for a dot in an unquoted display name, which is everywhere and hides nothing. What stands in a display
 * name, a comment or an encoded word never becomes an address.
 */
export function readMailboxes(value: string, limits: Partial<MimeLimits> = {}): Mailboxes | BadAddresses {
  const maxMailboxes = limits.mailboxes ?? mimeLimits.mailboxes
  const tokens = tokenise(value)
  if (!Array.isArray(tokens)) return tokens
  const mailboxes: Mailbox[] = []
  const scan: Scan = { tokens, at: 0 }
  let inGroup = false
  while (scan.at < tokens.length) {
    const words = takeWords(scan)
    if (!inGroup && words.length > 0 && take(scan, ':')) {
      inGroup = true
      if (next(scan)?.kind !== ';') continue
    } else {
      const mailbox = readMailbox(scan, words)
      if ('kind' in mailbox) return mailbox
      if (mailboxes.push(mailbox) > maxMailboxes) return bad('too-many', `more than ${maxMailboxes} mailboxes`)
    }
    if (inGroup && take(scan, ';')) inGroup = false
    if (scan.at === tokens.length) break
    if (!take(scan, ',')) return bad('text-after-address', 'text follows an address without a comma')
    if (scan.at === tokens.length) return bad('empty-entry', 'nothing follows the last comma')
  }
  return inGroup ? bad('unclosed-group', 'a group has no semicolon') : { kind: 'mailboxes', mailboxes }
}

/** All mailboxes of every field of this lower-case name: To and Cc may stand twice in bad mail, and each then counts. */
export function mailboxesOf(header: Header, name: string, limits: Partial<MimeLimits> = {}): Mailboxes | BadAddresses {
  const mailboxes: Mailbox[] = []
  for (const value of header.all(name)) {
    const read = readMailboxes(value, limits)
    if (read.kind === 'bad-addresses') return read
    mailboxes.push(...read.mailboxes)
  }
  return { kind: 'mailboxes', mailboxes }
}

export type SoleMailbox =
  | { readonly kind: 'mailbox'; readonly address: DirectAddress; readonly display: string }
  /** No field of the name, or one that names nobody. */
  | { readonly kind: 'absent' }
  /** Several fields, or several mailboxes in one: which of them spoke cannot be told. */
  | { readonly kind: 'several'; readonly detail: string }
  | BadAddresses

/** The one mailbox of the one field of this lower-case name (From: RFC 5322 §3.6.2, narrowed to one author; Sender). Anything else is told apart. */
export function soleMailboxOf(header: Header, name: string): SoleMailbox {
  const values = header.all(name)
  const [value] = values
  if (value === undefined) return { kind: 'absent' }
  if (values.length > 1) return { kind: 'several', detail: `${name} stands ${values.length} times` }
  const read = readMailboxes(value)
  if (read.kind === 'bad-addresses') return read
  const [mailbox] = read.mailboxes
  if (!mailbox) return { kind: 'absent' }
  if (read.mailboxes.length > 1) return { kind: 'several', detail: `${name} has ${read.mailboxes.length} mailboxes` }
  return mailbox.address === undefined
    ? bad('not-an-address', `${name} is no plain address`)
    : { kind: 'mailbox', address: mailbox.address, display: mailbox.display }
}

interface Token {
  readonly kind: 'atom' | 'quoted' | 'literal' | '<' | '>' | ',' | ':' | ';' | '@'
  readonly text: string
  /** Neither space nor comment stands before it. */
  readonly glued: boolean
}

interface Scan {
  readonly tokens: readonly Token[]
  at: number
}

/** Any control character but the tab. */
const control = /[^\P{Cc}\t]/u
const atomEnd = /[\s()<>[\]:;@\\,"]/
const dotAtom = /^[^.]+(?:\.[^.]+)*$/

function tokenise(value: string): Token[] | BadAddresses {
  if (control.test(value)) return bad('control-character', 'a control character stands in an address field')
  const tokens: Token[] = []
  let glued = false
  for (let at = 0; at < value.length; ) {
    const char = value[at] ?? ''
    if (char === ' ' || char === '\t') {
      at += 1
      glued = false
      continue
    }
    if (char === '(') {
      at = commentEnd(value, at)
      if (at < 0) return bad('unclosed-comment', 'a comment is not closed')
      glued = false
      continue
    }
    const token = readToken(value, at, glued)
    if ('fault' in token) return token
    tokens.push(token.token)
    at = token.end
    glued = true
  }
  return tokens
}

function readToken(value: string, at: number, glued: boolean): { token: Token; end: number } | BadAddresses {
  const char = value[at] ?? ''
  switch (char) {
    case '<':
    case '>':
    case ',':
    case ':':
    case ';':
    case '@':
      return { token: { kind: char, text: char, glued }, end: at + 1 }
    case '"': {
      const end = quotedEnd(value, at)
      if (end < 0) return bad('unclosed-quote', 'a quoted string is not closed')
      const text = value.slice(at + 1, end - 1).replace(/\\(.)/g, '$1')
      return { token: { kind: 'quoted', text, glued }, end }
    }
    case '[': {
      const end = value.indexOf(']', at) + 1
      return end === 0
        ? bad('not-an-address', 'a domain literal is not closed')
        : { token: { kind: 'literal', text: value.slice(at, end), glued }, end }
    }
    default: {
      let end = at
      while (end < value.length && !atomEnd.test(value[end] ?? '')) end += 1
      return end === at
        ? bad('not-an-address', 'a character stands where no address may have it')
        : { token: { kind: 'atom', text: value.slice(at, end), glued }, end }
    }
  }
}

function quotedEnd(value: string, at: number): number {
  for (let i = at + 1; i < value.length; i += 1) {
    if (value[i] === '\\') i += 1
    else if (value[i] === '"') return i + 1
  }
  return -1
}

function commentEnd(value: string, at: number): number {
  let depth = 0
  for (let i = at; i < value.length; i += 1) {
    if (value[i] === '\\') i += 1
    else if (value[i] === '(') depth += 1
    else if (value[i] === ')' && --depth === 0) return i + 1
  }
  return -1
}

function next(scan: Scan): Token | undefined {
  return scan.tokens[scan.at]
}

function take(scan: Scan, kind: Token['kind']): Token | undefined {
  const token = next(scan)
  if (token?.kind !== kind) return undefined
  scan.at += 1
  return token
}

function takeWords(scan: Scan): Token[] {
  const words: Token[] = []
  for (let word = next(scan); word?.kind === 'atom' || word?.kind === 'quoted'; word = next(scan)) {
    words.push(word)
    scan.at += 1
  }
  return words
}

function readMailbox(scan: Scan, words: readonly Token[]): Mailbox | BadAddresses {
  const [first, second] = words
  if (take(scan, '<')) {
    const local = takeWords(scan)
    if (local.length === 0 && (next(scan)?.kind === '@' || next(scan)?.kind === ','))
      return bad('obsolete-form', 'an address has a route')
    const spec = readAddress(scan, local)
    if ('kind' in spec) return spec
    if (!take(scan, '>')) return bad('not-an-address', 'an angle bracket is not closed')
    return { ...spec, display: words.map((word) => word.text).join(' ') }
  }
  if (!first) return bad(next(scan)?.kind === ',' ? 'empty-entry' : 'not-an-address', 'an entry has no address')
  if (next(scan)?.kind === '@' && second)
    return bad('address-in-display-name', 'an address stands among words without quotes')
  const spec = readAddress(scan, words)
  if ('kind' in spec) return spec
  return next(scan)?.kind === '<' || next(scan)?.kind === 'atom' || next(scan)?.kind === 'quoted'
    ? bad('address-in-display-name', 'an address stands where a display name belongs')
    : { ...spec, display: '' }
}

/** The rest of an addr-spec after its local part, in one piece (RFC 5322 §3.4.1 advises against any space or comment there). */
function readAddress(scan: Scan, words: readonly Token[]): Pick<Mailbox, 'address' | 'text'> | BadAddresses {
  const [local] = words
  const at = take(scan, '@')
  const domain = take(scan, 'atom') ?? take(scan, 'literal')
  if (!local || !at || !domain || words.length > 1)
    return bad('not-an-address', 'an entry is no local part, @ and domain')
  if (!at.glued || !domain.glued) return bad('obsolete-form', 'space or a comment stands inside an address')
  if (/=\?/.test(local.text + domain.text))
    return bad('encoded-word-in-address', 'an encoded word stands in an address')
  const text = `${local.kind === 'quoted' ? JSON.stringify(local.text) : local.text}@${domain.text}`
  if (local.kind === 'quoted' || domain.kind === 'literal') return { address: undefined, text }
  if (!dotAtom.test(local.text) || !dotAtom.test(domain.text))
    return bad('not-an-address', 'a dot stands where it must not')
  return { address: parseAddress(text), text }
}

function bad(fault: AddressFault, detail: string): BadAddresses {
  return { kind: 'bad-addresses', fault, detail: `${fault}: ${detail}` }
}
