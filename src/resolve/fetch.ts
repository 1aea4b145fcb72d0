import { type LookupAddress, lookup as systemLookup } from 'node:dns'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { BlockList, isIP, type LookupFunction } from 'node:net'
import type { ConditionalFetch, LinkFetch, Validators } from '../ports/fetch.js'

/** What an outbound fetch on a stranger's word may do. */
export interface FetchRules {
  readonly sizeBytes: number
  /** From the first look-up to the last byte, redirects included. */
  readonly timeoutMs: number
  readonly redirects: number
  readonly schemes: readonly string[]
  /** Lets the fetch reach loopback and private networks: for tests, and for authorities inside one's own network. */
  readonly allowPrivate: boolean
  /** How names become addresses; the system's way by default. */
  readonly lookup: (name: string) => Promise<readonly LookupAddress[]>
}

/**
 * Defaults. 10 MiB holds a CRL of 280,000 entries. 5 s keeps a verdict from hanging on a dead server. HTTPS adds nothing to
 * objects that are signed, but some authorities publish there only. Private networks are out of bounds, as the URL comes
 * out of a certificate that anybody could have written.
 */
export const fetchRules: FetchRules = {
  sizeBytes: 10 * 1024 * 1024,
  timeoutMs: 5_000,
  redirects: 3,
  schemes: ['http:', 'https:'],
  allowPrivate: false,
  lookup: (name) =>
    new Promise((resolve, reject) =>
      systemLookup(name, { all: true }, (error, addresses) => (error ? reject(error) : resolve(addresses))),
    ),
}

/** What is asked of a URL besides its bytes. */
export interface FetchRequest {
  /** Sent by POST, as this media type; without it the request is a GET. */
  readonly post?: { readonly type: string; readonly body: Uint8Array }
  /** Asks whether the copy that had these validators still is the one. */
  readonly known?: Validators
}

export type Fetched =
  | { readonly kind: 'fetched'; readonly body: Buffer; readonly validators?: Validators }
  /** The copy that had the validators given still is the one (RFC 9110 §15.4.5). */
  | { readonly kind: 'unchanged'; readonly detail: string }
  /** Nothing usable came: what happened, in words. `silent` where the first host said nothing at all. */
  | {
      readonly kind: 'unreachable'
      readonly detail: string
      readonly silent?: true
      /** It answered so, and the little that it said: asked for by who posts. */
      readonly status?: number
      readonly said?: Buffer
    }
  /** The rules forbid to try. */
  | { readonly kind: 'forbidden'; readonly detail: string }

/** How one thing of a URL is fetched. */
export type Fetch = (url: string, request?: FetchRequest) => Promise<Fetched>

/**
 * Makes a fetch within rules, for things that are signed themselves (CRLs, OCSP answers, issuer certificates, bundles).
 * Every address is checked after look-up and is the one connected to, so that a name cannot change its mind in between;
 * each redirect is checked anew, and a POST follows only those that ask for the same again (RFC 9110 §15.4). Never throws
 * for what the far side does.
 */
export function fetchWithin(rules: Partial<FetchRules> = {}): Fetch {
  const all = { ...fetchRules, ...rules }
  return async (url, request = {}) => {
    const ends = AbortSignal.timeout(all.timeoutMs)
    let next = url
    for (let hop = 0; ; hop++) {
      const target = targetOf(next, all)
      if (typeof target === 'string') return { kind: 'forbidden', detail: target }
      const got = await once(target, request, all, ends)
      // What a host further on does says nothing of the one that was asked.
      if (got.kind === 'unreachable' && hop > 0) return { kind: 'unreachable', detail: got.detail }
      if (got.kind !== 'redirect') return got
      if (hop === all.redirects) return { kind: 'unreachable', detail: `${target.host} redirected too often` }
      if (request.post && !got.repeats)
        return { kind: 'unreachable', detail: `${target.host} redirected a POST to something else` }
      next = URL.canParse(got.location, target.href) ? new URL(got.location, target).href : got.location
    }
  }
}

/** The same as the port that asks only for what changed. */
export function conditionalFetch(rules: Partial<FetchRules> = {}): ConditionalFetch {
  const fetch = fetchWithin(rules)
  return async (url, known) => {
    const got = await fetch(url, known && { known })
    switch (got.kind) {
      case 'fetched':
        return { kind: 'fetched', bytes: got.body, validators: got.validators ?? {} }
      case 'unchanged':
        return { kind: 'not-modified' }
      case 'unreachable':
      case 'forbidden':
        return { kind: 'failed', detail: got.detail }
    }
  }
}

/** The same as the port that follows links which somebody pasted. */
export function linkFetch(rules: Partial<FetchRules> = {}): LinkFetch {
  const fetch = fetchWithin({ schemes: ['https:'], ...rules })
  return async (url, post) => {
    const got = await fetch(url, post && { post })
    switch (got.kind) {
      case 'fetched':
        return { kind: 'fetched', bytes: got.body }
      case 'unreachable': {
        const { detail, status, said } = got
        return { kind: 'failed', detail, ...(status !== undefined && { status }), ...(said && { said }) }
      }
      case 'forbidden':
      case 'unchanged':
        return { kind: 'failed', detail: got.detail }
    }
  }
}

/** The URL to try, or why not. */
function targetOf(text: string, rules: FetchRules): URL | string {
  if (text.length > 2_048 || !URL.canParse(text)) return 'not a URL'
  const url = new URL(text)
  if (!rules.schemes.includes(url.protocol)) return `the scheme ${url.protocol} is not fetched`
  if (url.username || url.password) return 'a URL with credentials'
  const port = Number(url.port || (url.protocol === 'https:' ? 443 : 80))
  // The low ports speak other protocols, which a crafted request could talk into something.
  if (port < 1024 && port !== 80 && port !== 443) return `port ${port} is not fetched`
  const host = url.hostname.replace(/^\[|\]$/g, '')
  if (isIP(host) && !rules.allowPrivate && !isPublicAddress(host)) return `${host} is not a public address`
  return url
}

type OneAnswer = Fetched | { readonly kind: 'redirect'; readonly location: string; readonly repeats: boolean }

function once(url: URL, { post, known }: FetchRequest, rules: FetchRules, signal: AbortSignal): Promise<OneAnswer> {
  return new Promise((resolve) => {
    let answered = false
    const failed = (error: Error) => {
      if (error instanceof ForbiddenAddress) return resolve({ kind: 'forbidden', detail: error.message })
      const detail = signal.aborted ? `${url.host} took too long` : `${url.host}: ${error.message}`
      resolve({ kind: 'unreachable', detail, ...(!answered && { silent: true }) })
    }
    const send = url.protocol === 'https:' ? httpsRequest : httpRequest
    try {
      const request = send(url, {
        method: post ? 'POST' : 'GET',
        agent: false,
        signal,
        lookup: guardedLookup(rules),
        maxHeaderSize: 16_384,
        headers: {
          accept: '*/*',
          'accept-encoding': 'identity',
          'user-agent': 'direct-gateway',
          ...(known?.etag && { 'if-none-match': known.etag }),
          ...(known?.lastModified && { 'if-modified-since': known.lastModified }),
          ...(post && { 'content-type': post.type, 'content-length': post.body.length }),
        },
      })
      request.on('error', failed)
      // Where the far side switches protocols there is neither an answer nor an error.
      request.on('close', () => failed(new Error('closed without an answer')))
      request.on('response', (response) => {
        answered = true
        request.removeAllListeners('close')
        response.on('error', failed)
        receive(response, url, rules, known, post !== undefined).then(resolve, failed)
      })
      request.end(post?.body)
    } catch (error) {
      failed(error as Error) // What the platform refuses to send.
    }
  })
}

async function receive(
  response: IncomingMessage,
  url: URL,
  rules: FetchRules,
  known: Validators | undefined,
  posted: boolean,
): Promise<OneAnswer> {
  const status = response.statusCode ?? 0
  const give = (answer: OneAnswer): OneAnswer => {
    response.destroy()
    return answer
  }
  const unusable = (what: string) => give({ kind: 'unreachable', detail: `${url.host} answered ${what}` })
  if (status === 304 && (known?.etag || known?.lastModified))
    return give({ kind: 'unchanged', detail: `${url.host} says that nothing changed` })
  if (status >= 300 && status < 400 && status !== 304 && response.headers.location)
    return give({ kind: 'redirect', location: response.headers.location, repeats: status === 307 || status === 308 })
  if (status !== 200 && posted) {
    const said = await beginning(response)
    return give({ kind: 'unreachable', detail: `${url.host} answered ${status}`, status, said })
  }
  if (status !== 200) return unusable(`${status}`)
  const encoding = response.headers['content-encoding']
  if (encoding && encoding !== 'identity') return unusable(`in ${encoding.slice(0, 40)}, which was not asked for`)
  const tooMuch = `more than ${rules.sizeBytes} bytes`
  if (Number(response.headers['content-length']) > rules.sizeBytes) return unusable(tooMuch)
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > rules.sizeBytes) return unusable(tooMuch)
    chunks.push(chunk)
  }
  if (!response.complete) return { kind: 'unreachable', detail: `${url.host} broke off` }
  return { kind: 'fetched', body: Buffer.concat(chunks), validators: validatorsOf(response) }
}

/** What a refusal says, as far as anybody reads it. */
async function beginning(response: IncomingMessage): Promise<Buffer> {
  let said = Buffer.alloc(0)
  for await (const chunk of response as AsyncIterable<Buffer>) {
    said = Buffer.concat([said, chunk]).subarray(0, saidBytes)
    if (said.length === saidBytes) break
  }
  return said
}

const saidBytes = 1024

/** Validators as they may be kept and sent again: short, and without anything that does not belong in a header. */
function validatorsOf({ headers }: IncomingMessage): Validators {
  const plain = (value: string | undefined) => (value && /^[\x20-\x7e]{1,200}$/.test(value) ? value : undefined)
  const etag = plain(headers.etag)
  const lastModified = plain(headers['last-modified'])
  return { ...(etag && { etag }), ...(lastModified && { lastModified }) }
}

class ForbiddenAddress extends Error {
  override readonly name = 'ForbiddenAddress'
}

/** Look-up for sockets that lets only allowed addresses through, and fails where one of them is not. */
function guardedLookup(rules: FetchRules): LookupFunction {
  return (name, options, callback) => {
    rules.lookup(name).then(
      (addresses) => {
        const inside = rules.allowPrivate ? undefined : addresses.find(({ address }) => !isPublicAddress(address))
        const [first] = addresses
        if (inside || !first) {
          const words = inside ? `${name} is at ${inside.address}, not a public address` : `${name} has no address`
          callback(inside ? new ForbiddenAddress(words) : new Error(words), '', 0)
        } else if (options.all) callback(null, [...addresses])
        else callback(null, first.address, first.family)
      },
      (error: Error) => callback(error, '', 0),
    )
  }
}

/** Where a request that somebody else chose the place of may go: for senders of their own. */
export function outward({ allowPrivate, lookup }: Partial<Pick<FetchRules, 'allowPrivate' | 'lookup'>> = {}) {
  const rules = { ...fetchRules, ...(allowPrivate !== undefined && { allowPrivate }), ...(lookup && { lookup }) }
  return {
    lookup: guardedLookup(rules),
    /** A host that is an address already is never looked up. */
    isBarred(hostname: string): boolean {
      const host = hostname.replace(/^\[|\]$/g, '')
      return isIP(host) !== 0 && !rules.allowPrivate && !isPublicAddress(host)
    },
  }
}

const special = new BlockList()
for (const [network, prefix] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
] as const)
  special.addSubnet(network, prefix, 'ipv4')
// Inside 2000::/3: Teredo and its neighbours, documentation, 6to4, each of which can carry an IPv4 address or goes nowhere.
for (const [network, prefix] of [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
] as const)
  special.addSubnet(network, prefix, 'ipv6')
const globalUnicast = new BlockList()
globalUnicast.addSubnet('2000::', 3, 'ipv6')

/** Whether an IP address is one of the public internet (IANA special-purpose registries; RFC 6890). */
export function isPublicAddress(address: string): boolean {
  switch (isIP(address)) {
    case 4:
      return !special.check(address, 'ipv4')
    case 6:
      // Everything outside global unicast is special: loopback, mapped IPv4, NAT64, unique local, link local, multicast.
      return globalUnicast.check(address, 'ipv6') && !special.check(address, 'ipv6')
    default:
      return false
  }
}
