import type { CertificateAuthority } from '../ports/authority.js'
import type { Registrar, RegistrarAnswer } from '../ports/registrar.js'

/** Our own authority, which answers at once. `by` is who the audit log names. */
export function ownRegistrar(authority: Pick<CertificateAuthority, 'issue'>, by: string): Registrar {
  const request: Registrar['request'] = async (asked): Promise<RegistrarAnswer> => {
    const answer = await authority.issue(asked, by)
    switch (answer.kind) {
      case 'issued':
        // The authority is an anchor, and an anchor convinces nobody by being sent along.
        return { kind: 'issued', certificate: answer.issued.certificate, chain: [] }
      case 'undecided':
        return { kind: 'unavailable', detail: answer.detail }
      case 'refused':
        return answer
    }
  }
  return { name: 'own', request, poll: (_, asked) => request(asked) }
}

/**
 * A person who carries the request to an authority outside and brings the certificate back: always pending here; the
 * certificate comes in by `accept` of the registration.
 */
export const handRegistrar: Registrar = {
  name: 'hand',
  request: async () => ({ kind: 'pending', ticket: 'by hand' }),
  poll: async (ticket) => ({ kind: 'pending', ticket }),
}
