import type { DirectDomain } from '../direct/address.js'

/** A host that takes mail for a domain, with the addresses to dial, best first. */
export interface ExchangeHost {
  readonly name: string
  readonly addresses: readonly string[]
}

export type ExchangeAnswer =
  /** Hosts in the order in which to try them (RFC 5321 §5.1); never none. */
  | { readonly kind: 'hosts'; readonly hosts: readonly ExchangeHost[] }
  /** The domain does not exist, takes no mail, or names no host with an address. */
  | { readonly kind: 'permanent'; readonly detail: string }
  /** The name servers did not tell: ask again later. */
  | { readonly kind: 'temporary'; readonly detail: string }

/** Finds out where mail for a domain goes. */
export interface Exchanges {
  /** Never throws for what name servers say. */
  of(domain: DirectDomain): Promise<ExchangeAnswer>
  /** The addresses of one host, for routes that name it. */
  host(name: string): Promise<ExchangeAnswer>
}
