import type { DirectAddress } from '../../src/direct/address.js'
import type { Signer } from '../../src/direct/signer.js'
import type { Direction, RevocationAnswer } from '../../src/ports/trust.js'
import { decideTrust, type TrustPorts, type TrustQuestion } from '../../src/trust/decide.js'
import { defaultTrustPolicy, type TrustPolicy } from '../../src/trust/policy.js'
import type { Identity } from '../fixtures/pki.js'

export const alice = 'alice@hisp.test' as DirectAddress
export const bob = 'bob@clinic.test' as DirectAddress

/** Ports of a world in which nothing is revoked and nobody needs to be asked, unless told otherwise. */
export function portsOf({
  anchors = [],
  revocation = () => ({ kind: 'not-published' }),
  issuers = [],
}: {
  readonly anchors?: readonly (Identity | { identity: Identity; owner?: DirectAddress; direction: Direction })[]
  readonly revocation?: (certificate: Uint8Array, issuer: Uint8Array) => RevocationAnswer
  readonly issuers?: readonly Identity[] | 'unreachable'
} = {}): TrustPorts {
  const all = anchors.map((anchor) =>
    'identity' in anchor ? anchor : { identity: anchor, direction: 'both' as const },
  )
  return {
    anchors: {
      of: async (address, direction) =>
        all
          .filter((anchor) => (anchor.owner ?? address) === address && ['both', direction].includes(anchor.direction))
          .map(({ identity, direction }) => ({ owner: address, certificate: identity.certificate, direction })),
    },
    revocation: {
      status: async ({ path: [certificate = new Uint8Array(), issuer = new Uint8Array()] }) =>
        revocation(certificate, issuer),
    },
    issuers: {
      of: async () =>
        issuers === 'unreachable'
          ? { kind: 'undecided', cause: 'issuer-unavailable', detail: 'nobody there' }
          : issuers.map(({ certificate }) => certificate),
    },
  }
}

/** A signer whose signature was verified. */
export function signedBy(identity: Identity): Signer {
  return { kind: 'verified', certificate: identity.certificate, digest: 'sha256', signature: 'rsa' }
}

/** Decides on a message from alice to bob, signed by these, with this bag. */
export function decide(
  signers: readonly (Identity | Signer)[],
  ports: TrustPorts,
  {
    bag = [],
    policy = {},
    ...question
  }: Partial<Omit<TrustQuestion, 'bag' | 'signers'>> & {
    readonly bag?: readonly Identity[]
    readonly policy?: Partial<TrustPolicy>
  } = {},
) {
  return decideTrust(
    {
      recipient: bob,
      sender: alice,
      at: Date.now(),
      ...question,
      signers: signers.map((signer) => ('kind' in signer ? signer : signedBy(signer))),
      bag: bag.map(({ certificate }) => certificate),
    },
    ports,
    { ...defaultTrustPolicy, ...policy },
  )
}

/** A verdict as one word: `trusted`, the reason or the cause. */
export async function wordOf(verdict: ReturnType<typeof decide>): Promise<string> {
  const found = await verdict
  return found.kind === 'refused' ? found.reason : found.kind === 'undecided' ? found.cause : found.kind
}
