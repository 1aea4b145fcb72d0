import {
  type AuthenticationResponseJSON,
  generateAuthenticationOptions,
  generateRegistrationOptions,
  type PublicKeyCredentialCreationOptionsJSON,
  type PublicKeyCredentialRequestOptionsJSON,
  type RegistrationResponseJSON,
  verifyAuthenticationResponse,
  verifyRegistrationResponse,
} from '@simplewebauthn/server'
import type { Passkey } from './person.js'
import type { PeopleRoom } from './rows.js'

/**
 * Passkeys (WebAuthn Level 3): discoverable, and always with the user verified, so that one is two factors. Attestation is
 * not asked for: whose authenticator it is, is the person's business.
 */
export interface RegistrationTicket {
  readonly kind: 'passkey-registration'
  readonly person: string
  readonly challenge: string
}

export type PasskeyCreation = PublicKeyCredentialCreationOptionsJSON
export type PasskeyRequest = PublicKeyCredentialRequestOptionsJSON

/** ES256, EdDSA, RS256: what authenticators have (COSE). */
const algorithms = [-7, -8, -257]

/** What a browser needs to make a passkey. The user handle is the account's random id (WebAuthn §14.6.1). */
export async function creationOptions(
  { origin, house, random }: PeopleRoom,
  person: { readonly id: string; readonly email: string; readonly name: string; readonly passkeys: readonly Passkey[] },
): Promise<PasskeyCreation> {
  return generateRegistrationOptions({
    ...{ rpName: house, rpID: rpIdOf(origin), userName: person.email, userDisplayName: person.name },
    userID: new Uint8Array(Buffer.from(person.id)),
    challenge: new Uint8Array(random.bytes(32)),
    attestationType: 'none',
    excludeCredentials: person.passkeys.map(({ id, transports }) => ({ id, transports: [...transports] })),
    authenticatorSelection: { residentKey: 'required', userVerification: 'required' },
    supportedAlgorithmIDs: algorithms,
  })
}

/** The passkey that a browser made, or undefined where its answer does not verify. */
export async function verifiedCreation(
  { origin, clock }: PeopleRoom,
  response: unknown,
  challenge: string,
  label: string,
): Promise<Passkey | undefined> {
  if (!hasShape(response)) return undefined
  try {
    const { verified, registrationInfo } = await verifyRegistrationResponse({
      response: response as unknown as RegistrationResponseJSON,
      ...{ expectedChallenge: challenge, expectedOrigin: origin, expectedRPID: rpIdOf(origin) },
      ...{ requireUserVerification: true, supportedAlgorithmIDs: algorithms },
    })
    if (!verified) return undefined
    const { credential, credentialBackedUp } = registrationInfo
    return {
      ...{ id: credential.id, publicKey: Buffer.from(credential.publicKey).toString('base64url') },
      ...{ counter: credential.counter, backedUp: credentialBackedUp },
      transports: (credential.transports ?? []).slice(0, 8).map((one) => String(one).slice(0, 20)),
      ...{ label, addedAt: clock.now() },
    }
  } catch {
    return undefined // whatever the bytes were, they are no passkey
  }
}

/** What a browser needs to prove a passkey of any account: names none, and so tells nothing. */
export async function requestOptions({ origin, random }: PeopleRoom): Promise<PasskeyRequest> {
  return generateAuthenticationOptions({
    ...{ rpID: rpIdOf(origin), userVerification: 'required' },
    challenge: new Uint8Array(random.bytes(32)),
  })
}

/** The passkey after it was proved, with its new counter; undefined where the answer does not verify (a clone too, §6.1.1). */
export async function verifiedRequest(
  { origin }: PeopleRoom,
  response: unknown,
  challenge: string,
  passkey: Passkey,
): Promise<Passkey | undefined> {
  if (!hasShape(response)) return undefined
  try {
    const { verified, authenticationInfo } = await verifyAuthenticationResponse({
      response: response as unknown as AuthenticationResponseJSON,
      ...{ expectedChallenge: challenge, expectedOrigin: origin, expectedRPID: rpIdOf(origin) },
      requireUserVerification: true,
      credential: {
        id: passkey.id,
        publicKey: new Uint8Array(Buffer.from(passkey.publicKey, 'base64url')),
        counter: passkey.counter,
      },
    })
    if (!verified) return undefined
    return { ...passkey, counter: authenticationInfo.newCounter, backedUp: authenticationInfo.credentialBackedUp }
  } catch {
    return undefined
  }
}

/** The id of the credential that an answer speaks of, and the account's id as the authenticator keeps it. */
export function namedIn(response: unknown): { readonly credential: string; readonly user?: string } | undefined {
  if (!hasShape(response)) return undefined
  const { userHandle } = response.response as { readonly userHandle?: unknown }
  return {
    credential: response.id,
    ...(typeof userHandle === 'string' && { user: Buffer.from(userHandle, 'base64url').toString('utf8') }),
  }
}

function hasShape(response: unknown): response is { readonly id: string; readonly response: object } {
  const { id, response: inner } = (response ?? {}) as { readonly id?: unknown; readonly response?: unknown }
  return typeof id === 'string' && /^[\w-]{1,1400}$/.test(id) && typeof inner === 'object' && inner !== null
}

function rpIdOf(origin: string): string {
  return new URL(origin).hostname
}
