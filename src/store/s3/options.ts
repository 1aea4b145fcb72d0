import { StoreFailed } from '../../ports/store.js'

export interface S3Options {
  /** `https://s3.eu-central-1.amazonaws.com`; plain `http:` for loopback only. */
  readonly endpoint: string
  readonly region: string
  readonly bucket: string
  /** In front of every name, such as `gateway/`; the bucket may then be shared with others. */
  readonly prefix?: string
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
  /** `https://host/bucket/name` in place of `https://bucket.host/name`: most servers other than Amazon's want it. */
  readonly forcePathStyle?: boolean
  /** Certificate authorities to trust in place of the system's, PEM. */
  readonly ca?: string
  /** A local directory of its own for what is on its way to the bucket. */
  readonly draftDirectory: string
  readonly limits?: Partial<S3Limits>
}

export interface S3Limits {
  readonly answerMs: number
  readonly sendMs: number
  readonly tries: number
  readonly retryMs: number
  readonly connections: number
  readonly errorBytes: number
  readonly readBytes: number
  readonly pages: number
}

export const s3Limits: S3Limits = {
  /** Without a byte for this long, a try is given up: object stores answer within a second, and within ten when troubled. */
  answerMs: 20_000,
  /** One try to send a blob: four of them end before a sender gives up waiting for our 250 (10 minutes, RFC 5321 §4.5.3.2.6). */
  sendMs: 120_000,
  /** Four tries ride out a `503 SlowDown` or a restart of one front end. */
  tries: 4,
  /** Before the second try, doubled for each further one, less up to half by chance. */
  retryMs: 200,
  /** To one endpoint at once; beyond it requests wait in line. */
  connections: 64,
  /** An error answer is a few hundred bytes. */
  errorBytes: 16 * 1024,
  /** One chunk handed to a reader, as the port promises. */
  readBytes: 64 * 1024,
  /** Of a listing, 1,000 names each: more is a server that goes round in circles. */
  pages: 100_000,
}

/** The endpoint as a URL, all options being sound. Throws StoreFailed that names the option which is not. */
export function checkedEndpoint({ endpoint, region, bucket, prefix = '', ...options }: S3Options): URL {
  const refuse = (what: string) => new StoreFailed(`The blob bucket cannot be opened: ${what}`)
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined
  if (!url || (url.protocol !== 'https:' && url.protocol !== 'http:'))
    throw refuse('endpoint must be an https: address')
  if (url.username || url.password || url.search || url.hash)
    throw refuse('endpoint must have no user, query or fragment')
  if (url.protocol === 'http:' && !isLoopback(url.hostname)) throw refuse('endpoint must be https: beyond loopback')
  if (!/^[a-z0-9-]{1,64}$/.test(region)) throw refuse('region must be a word such as eu-central-1')
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucket)) throw refuse('bucket must be 3 to 63 of a-z, 0-9, dot, dash')
  if (!/^(?:[A-Za-z0-9_-][A-Za-z0-9._-]*(?:\/|$))*$/.test(prefix) || prefix.length > 512)
    throw refuse('prefix must be words of letters, digits, dot, dash and underscore, with / between')
  if (!options.accessKeyId || !options.secretAccessKey) throw refuse('accessKeyId and secretAccessKey must be given')
  if (!options.forcePathStyle && url.protocol === 'https:' && bucket.includes('.'))
    throw refuse('a bucket with a dot fits no certificate as a host name: set forcePathStyle')
  return url
}

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname)
}
