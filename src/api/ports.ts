import type { FastifyInstance } from 'fastify'
import type { Packages } from '../connect/package/packages.js'
import type { Uploads as PackageUploads } from '../connect/package/uploads.js'
import type { PatientConnect } from '../connect/patient-connect.js'
import type { Requests } from '../connect/request.js'
import type { Activity, Apps, Consents } from '../consent/consent.js'
import type { Addresses } from '../directory/directory.js'
import type { Mailbox } from '../mailbox/mailbox.js'
import type { HealthCheck } from '../observe/health.js'
import type { PeopleHouse } from '../people/open.js'
import type { People } from '../people/people.js'
import type { Activation } from '../pipeline/activation.js'
import type { Claims } from '../pipeline/claim.js'
import type { Explained, ExplainQuestion } from '../pipeline/explain.js'
import type { Exports } from '../pipeline/export.js'
import type { Fhir, OauthUris } from '../pipeline/fhir.js'
import type { Newcomers } from '../pipeline/newuser.js'
import type { Queues } from '../pipeline/queue.js'
import type { Shares } from '../pipeline/share.js'
import type { SubmitOutcome, SubmitRequest } from '../pipeline/submit.js'
import type { Transmissions } from '../pipeline/transmit.js'
import type { Views } from '../pipeline/view.js'
import type { Audit, AuditReport } from '../ports/audit.js'
import type { AuthorityFiles } from '../ports/authority.js'
import type { Log, Metrics } from '../ports/observe.js'
import type { Store } from '../ports/store.js'
import type { Clock } from '../ports/world.js'
import type { PatientRecord } from '../record/record.js'
import type { Uploads } from '../record/uploads.js'
import type { Events } from '../spool/events.js'
import type { Quarantine } from '../spool/quarantine.js'
import type { Submissions } from '../spool/submission.js'
import type { Trail } from '../spool/trail.js'
import type { Caller } from './caller.js'
import type { Rate } from './rate.js'

/** Taking messages in to be sent, and telling what became of them. */
export interface Sending {
  submit(request: SubmitRequest): Promise<SubmitOutcome>
  readonly submissions: Pick<Submissions, 'get' | 'list' | 'message'>
}

/** What a request says of itself beside its token: what a token bound to a key is proved with (RFC 9449 §7). */
export interface Presented {
  readonly scheme: 'Bearer' | 'DPoP'
  /** The DPoP header. */
  readonly proof?: string
  readonly method: string
  /** From the root of the server on, query included. */
  readonly path: string
  /** Of the client. */
  readonly address: string
}

/** What the API asks of the rest of the house. */
export interface ApiPorts {
  readonly mailbox: Mailbox
  readonly record: PatientRecord
  /** Bytes on their way into records; without it there are none. */
  readonly uploads?: Uploads
  readonly fhir: Fhir
  /** Where applications are authorized, as the FHIR side tells them; without it, it does not. */
  readonly oauthUris?: OauthUris
  /** People who sign in, and their records; without it nobody does. */
  readonly people?: Pick<People, 'sessions' | 'records'> & Partial<Pick<People, 'person'>>
  /** Signing up and in, factors, recovery and sharing; without it they are `unavailable`. */
  readonly accounts?: PeopleHouse
  /** What applications were granted; without it they reach nothing. */
  readonly consents?: Consents
  /** Applications; without it there are none. */
  readonly apps?: Apps
  /** The history that the people of a record read; without it none is kept. */
  readonly activity?: Activity
  /** Patient Connect, and opening pickup codes of every kind; without it that is `unavailable`. */
  readonly connect?: PatientConnect
  /** Leaving packages for patients; without it that is `unavailable`. */
  readonly dropOff?: {
    readonly packages: Pick<Packages, 'allocate' | 'create'>
    readonly uploads: PackageUploads
    readonly requests: Pick<Requests, 'get' | 'list' | 'withdraw' | 'changeExternalId'>
  }
  /** SMART Health Links; without it they are `unavailable`. */
  readonly shares?: Shares
  /** Taking packages into records; without it that is `unavailable`. */
  readonly claims?: Claims
  /** A page to print with a pickup code, as HTML. */
  sheet?(code: {
    readonly code: string
    readonly url: string
    readonly friendlyName: string
    /** Unix milliseconds. */
    readonly expiresAt: number
  }): string
  readonly trail: Trail
  readonly quarantine: Quarantine
  readonly addresses: Pick<Addresses, 'get' | 'list' | 'ofRecord'>
  /** Taking Direct addresses for records; without it that is `unavailable`. */
  readonly activation?: Activation
  /** Sending out of records; without it that is `unavailable`. */
  readonly transmissions?: Transmissions
  /** Mail held for newcomers; without it that is `unavailable`. */
  readonly newcomers?: Pick<Newcomers, 'claim' | 'decline'>
  /** Sending; without it, what would send answers `unavailable`. */
  readonly sending?: Sending
  /** Who holds this secret now; undefined for an unknown, expired or revoked one. */
  authenticate(secret: string, presented?: Presented): Promise<Caller | undefined>
  /** Pages of documents; without it they are `unavailable`. */
  readonly views?: Views
  /** Documents made of records; without it they are `unavailable`. */
  readonly exports?: Exports
  /** Files of our own authorities; without it there are none. */
  readonly files?: AuthorityFiles
  /** How mail between addresses is decided, and why; without it that is `unavailable`. */
  explain?(question: ExplainQuestion): Promise<Explained>
  /** What waits in the queues, and what an operator may do to it. */
  readonly queues: Queues
  /** The log of events; without it, where none is kept, `unavailable`. */
  readonly events?: Events
  readonly store: Pick<Store, 'commit'>
  readonly audit: Audit
  /** What the audit log says; without it that is `unavailable`. */
  readonly auditReport?: AuditReport
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Metrics
  /** The named checks behind /readyz. */
  checks(): Promise<readonly HealthCheck[]>
  /** All metrics in the Prometheus text format. */
  exposition(): Promise<string>
}

export interface ApiOptions {
  /** Certificate and key in PEM: the listener then speaks TLS. */
  readonly tls?: { readonly cert: string; readonly key: string }
  /** A proxy that ends TLS stands in front, so plain HTTP may arrive on other than loopback interfaces. */
  readonly behindTlsProxy?: boolean
  /** Addresses or networks of proxies whose X-Forwarded-For is believed; none by default. */
  readonly trustedProxies?: readonly string[]
  /** Who may read /metrics: `loopback` (default), or holders of an operator token from anywhere. */
  readonly metrics?: 'loopback' | 'operator'
  readonly limits?: Partial<typeof apiLimits>
  /**
   * Where browsers see this gateway, `https://gw.example`: cookies of sessions are taken from its own pages only. Without it
   * none are taken.
   */
  readonly origin?: string
  /**
   * Routes of other rooms on the same server, under its rate limits and security headers. Each says `config: { access }`, and
   * `schema: { hide: true }` where it is no part of the API; parsers and hooks that it adds stay its own.
   */
  readonly also?: (app: FastifyInstance) => Promise<void>
}

export const apiLimits = {
  /** The largest body but that of a message is a change of four flags. */
  bodyBytes: 64 * 1024,
  /** A message to be sent: as large as submissions may be, with room for JSON around its attachments. */
  sendBytes: 44 * 1024 * 1024,
  /** Items written at once: two hundred of them at some 20 kB each. */
  itemsBytes: 4 * 1024 * 1024,
  /** One piece of an upload; as much as the record takes at once. */
  pieceBytes: 8 * 1024 * 1024,
  /** Node's default; a token and a few headers need a tenth. */
  headerBytes: 16 * 1024,
  /** Longest path segment: an address has at most 320 characters, three times that when percent-encoded. */
  parameterChars: 1000,
  /** From the first byte of a request to its last, so that a slow sender frees its socket. */
  requestMs: 30_000,
  /** A socket on which nothing moves. */
  idleMs: 60_000,
  keepAliveMs: 30_000,
  /** Sockets at once; each costs some 20 KiB. */
  connections: 1000,
  /** A page of a list every 50 ms, with room for a client that fetches a folder at once. */
  perToken: { perSecond: 20, burst: 100 } as Rate,
  /** Several tokens behind one address. */
  perAddress: { perSecond: 50, burst: 200 } as Rate,
  /** Failed authentications written to the audit log per network; the others are counted only. */
  failures: { perSecond: 10 / 900, burst: 10 } as Rate,
  /** Longer bearer tokens are refused unread. */
  tokenChars: 512,
  /** How often a change of flags is tried again when somebody else wrote first. */
  changeRounds: 4,
}
