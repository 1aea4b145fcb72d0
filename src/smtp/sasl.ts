import { type Reply, replies } from './replies.js'

/** What a client says it is; proven by nothing yet. */
export interface Credentials {
  readonly name: string
  readonly secret: string
}

/** Where an exchange stands: the server has to ask on, has what it needs, or gives up. */
export type Turn =
  | { readonly kind: 'ask'; readonly challenge: string; readonly answer: (line: string) => Turn }
  | { readonly kind: 'credentials'; readonly credentials: Credentials }
  | { readonly kind: 'refused'; readonly reply: Reply }

/** Announced in this order. Over TLS only; the secrets are random, so that nothing is gained by a challenge. */
export const mechanisms = ['PLAIN', 'LOGIN']

/**
 * Begins an exchange with what stood behind AUTH: a mechanism and perhaps its first response (RFC 4954 §4). PLAIN is
 * RFC 4616, where nobody acts for another; LOGIN is what older clients speak. Refuses what is not exactly base64.
 */
export function beginExchange(text: string): Turn {
  const [mechanism = '', first, ...more] = text.split(' ').filter((word) => word !== '')
  if (mechanism === '' || more.length > 0) return { kind: 'refused', reply: replies.authSyntax }
  const begin = mechanism.toUpperCase()
  if (begin !== 'PLAIN' && begin !== 'LOGIN') return { kind: 'refused', reply: replies.unknownMechanism }
  const take = begin === 'PLAIN' ? plain : loginName
  if (first === undefined) return ask(begin === 'PLAIN' ? '' : 'Username:', take)
  return first === '=' ? take('') : decoded(first, take)
}

function ask(words: string, take: (text: string) => Turn): Turn {
  return {
    kind: 'ask',
    challenge: Buffer.from(words).toString('base64'),
    answer: (line) => (line === '*' ? { kind: 'refused', reply: replies.authCancelled } : decoded(line, take)),
  }
}

function decoded(base64: string, take: (text: string) => Turn): Turn {
  if (base64.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(base64))
    return { kind: 'refused', reply: replies.authUndecodable }
  return take(Buffer.from(base64, 'base64').toString())
}

function plain(message: string): Turn {
  const parts = message.split('\0')
  const [actsFor = '', name = '', secret = ''] = parts
  if (parts.length !== 3) return { kind: 'refused', reply: replies.authUndecodable }
  // Nobody acts for another. It is told as wrong credentials are, and takes as long.
  if (actsFor !== '' && actsFor !== name) return { kind: 'credentials', credentials: { name: '', secret: '' } }
  return { kind: 'credentials', credentials: { name, secret } }
}

function loginName(name: string): Turn {
  return ask('Password:', (secret) => ({ kind: 'credentials', credentials: { name, secret } }))
}
