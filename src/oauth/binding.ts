import type { Consents } from '../consent/consent.js'
import type { Avenue } from '../direct/access.js'
import type { People } from '../people/people.js'

/**
 * What stands behind the tokens of one authorization: who gave it, in which session, to which record. Kept in the grant of
 * the provider as an authorization detail (RFC 9396 §2), which it keeps and never tells.
 */
export interface Binding {
  readonly type: 'record-access'
  readonly person: string
  readonly session: string
  readonly avenue: Extract<Avenue, 'online' | 'offline'>
  /** Absent where the person only said who they are. */
  readonly access?: {
    /** Id of the consent, and of the record. */
    readonly grant: string
    readonly record: string
    /** The record as the application knows it. */
    readonly told: string
  }
  /** The user in terms of FHIR, under pseudonyms (SMART App Launch 2.2 §3.2, `fhirUser`). */
  readonly fhirUser: string
}

export interface BindingPorts {
  readonly people: Pick<People, 'person' | 'sessions'>
  readonly consents: Pick<Consents, 'access'>
}

/** The binding among the details of a grant as it was kept. */
export function bindingIn(details: unknown): Binding | undefined {
  if (!Array.isArray(details)) return undefined
  return details.find((one): one is Binding => (one as { type?: unknown } | null)?.type === 'record-access')
}

/**
 * Whether tokens of a binding are still good: the person is here, the session lives where the application comes with the
 * person, and the consent stands. Asked for every use.
 */
export async function isGood({ people, consents }: BindingPorts, binding: Binding): Promise<boolean> {
  const [person, isLive, access] = await Promise.all([
    people.person(binding.person),
    binding.avenue === 'offline' ? true : people.sessions.isLive(binding.session),
    binding.access === undefined ? true : consents.access(binding.access.grant, binding.avenue),
  ])
  return person?.state === 'active' && isLive && access !== undefined
}
