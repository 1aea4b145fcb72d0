import type { DirectDomain } from '../direct/address.js'
import { domainOf } from '../direct/address.js'
import type { ExchangeAnswer, Exchanges } from '../ports/exchange.js'
import { type Apart, converse, type Dial, type Mail, type TlsPolicy } from './dialogue.js'
import { type DeliveryLimits, deliveryLimits } from './limits.js'

/** Where mail for a domain goes instead of its mail exchangers. */
export interface Route {
  readonly host: string
  readonly port?: number
  readonly tls?: TlsPolicy
  /** PEM certificates of authorities that may vouch for the host under `required`. */
  readonly ca?: string
}

export interface AttemptOptions {
  /** Our name in EHLO. */
  readonly hostname: string
  readonly exchanges: Exchanges
  readonly routes?: Readonly<Record<string, Route>>
  /** For every domain without a route of its own. */
  readonly defaultRoute?: Route
  /** Port of mail exchangers, and of routes that name none. */
  readonly port?: number
  /** For mail exchangers, and for routes that name none. */
  readonly tls?: TlsPolicy
  /** For the mail exchangers of single domains. */
  readonly tlsOf?: Readonly<Record<string, TlsPolicy>>
  readonly limits?: Partial<DeliveryLimits>
}

/** What became of the message for every recipient that is not named `apart`. */
export type AttemptOutcome = { readonly apart?: readonly Apart[] } & (
  | { readonly kind: 'delivered'; readonly host: string; readonly reply: string }
  | { readonly kind: 'temporary'; readonly host?: string; readonly detail: string }
  | { readonly kind: 'permanent'; readonly host?: string; readonly detail: string }
)

/** One attempt to hand over one message to recipients of one domain. Never throws for what name servers or the far side do. */
export type Attempt = (mail: Mail) => Promise<AttemptOutcome>

/**
 * Makes attempts: hosts in their order, each address of each, until one takes the message or refuses it for good
 * (RFC 5321 §5.1). A host whose STARTTLS fails is dialled again without, unless TLS is required. Where a message was
 * sent and its reply never came, nobody else is tried in the same attempt: it may have arrived. A recipient whose RCPT is
 * refused for good is named at no further host.
 */
export function openAttempts(options: AttemptOptions): Attempt {
  const limits = { ...deliveryLimits, ...options.limits }

  async function lookUp(domain: DirectDomain): Promise<{ answer: ExchangeAnswer; route: Partial<Route> }> {
    const routes = options.routes ?? {}
    const route = Object.hasOwn(routes, domain) ? routes[domain] : options.defaultRoute
    if (!route) return { answer: await options.exchanges.of(domain), route: {} }
    const answer = await options.exchanges.host(route.host)
    // A route is the operator's: a name in it that does not resolve is no reason to give up mail.
    return { answer: answer.kind === 'permanent' ? { ...answer, kind: 'temporary' } : answer, route }
  }

  const policyOf = (domain: DirectDomain) =>
    Object.hasOwn(options.tlsOf ?? {}, domain) ? options.tlsOf?.[domain] : options.tls

  return async (mail) => {
    const [first] = mail.to
    if (first === undefined) throw new TypeError('mail has at least one recipient')
    const domain = domainOf(first)
    const { answer, route } = await lookUp(domain)
    if (answer.kind !== 'hosts') return answer
    const dials = answer.hosts.flatMap(({ name, addresses }) =>
      addresses.map((address): Dial => {
        const port = route.port ?? options.port ?? 25
        const tls = route.tls ?? (route.host === undefined ? policyOf(domain) : options.tls) ?? 'opportunistic'
        return { host: name, address, port, tls, ...(route.ca !== undefined && { ca: route.ca }) }
      }),
    )

    return tryInTurn(mail, dials, options.hostname, limits)
  }
}

/** Dials one after another until one takes the message, refuses it for good, or leaves it in doubt. */
export async function tryInTurn(
  mail: Mail,
  dials: readonly Dial[],
  hostname: string,
  limits: DeliveryLimits,
): Promise<AttemptOutcome> {
  const deadline = AbortSignal.timeout(limits.attemptMs)
  let waiting = mail.to
  const apart: Apart[] = []
  let last: AttemptOutcome = { kind: 'temporary', detail: 'no host to dial' }
  for (const dial of dials.slice(0, limits.dials)) {
    const turn = { ...mail, to: waiting }
    let outcome = await converse(turn, dial, hostname, limits, deadline)
    if (outcome.kind === 'no-tls' && dial.tls === 'opportunistic') {
      outcome = await converse(turn, { ...dial, tls: 'off' }, hostname, limits, deadline)
    }
    const host = placeOf(dial)
    const others = outcome.apart ?? []
    switch (outcome.kind) {
      case 'delivered':
        return told({ kind: 'delivered', host, reply: outcome.reply }, [...apart, ...others])
      case 'permanent':
        return told({ kind: 'permanent', host, detail: outcome.detail }, [...apart, ...others])
      case 'in-doubt':
        return told({ kind: 'temporary', host, detail: `${outcome.detail}; the message may have arrived` }, apart)
      case 'no-tls':
      case 'temporary':
        last = { kind: 'temporary', host, detail: outcome.detail }
    }
    const refused = others.filter(({ kind }) => kind === 'permanent')
    apart.push(...refused)
    waiting = waiting.filter((recipient) => !refused.some((one) => one.recipient === recipient))
    if (deadline.aborted || waiting.length === 0) break
  }
  return told(last, apart)
}

function placeOf({ host, address, port }: Dial): string {
  return address.startsWith('/') ? address : `${host}[${address}]:${port}`
}

function told(outcome: AttemptOutcome, apart: readonly Apart[]): AttemptOutcome {
  return apart.length > 0 ? { ...outcome, apart } : outcome
}
