import { audit } from '../../src/audit/audit.js'
import { type AuthoritySettings, openAuthority } from '../../src/authority/authority.js'
import { newRequest } from '../../src/authority/request.js'
import { readPublicKey } from '../../src/authority/signing.js'
import type { DirectAddress, DirectDomain } from '../../src/direct/address.js'
import type { KeyKind } from '../../src/ports/arithmetic.js'
import type { KeyUse } from '../../src/ports/registrar.js'
import { openSteps } from '../../src/workers/steps.js'
import { random, world } from '../directory/worlds.js'

export const clinic = 'clinic.test' as DirectDomain
export const anna = 'anna@clinic.test' as DirectAddress

/** A store with its authorities, and a hand that asks them. Keys of curves, since making them takes no time. */
export async function authorities(settings: Partial<AuthoritySettings> = { publicUrl: 'http://pki.clinic.test' }) {
  const found = await world()
  const steps = openSteps(found.master.secret)
  const ports = { ...found.ports, audit, random, arithmetic: steps }
  const authority = openAuthority(ports, settings)

  async function requestOf(owner: DirectAddress | DirectDomain, use: KeyUse = 'both', kind: KeyKind = 'p256') {
    const made = await steps.newKey(kind, 'asked-key')
    const publicKey = readPublicKey(made.spki)
    if (publicKey.kind === 'unfit') throw new Error(publicKey.detail)
    const request = await newRequest({ key: made.key, publicKey }, owner, use, steps)
    if (request.kind === 'undecided') throw new Error(request.detail)
    return { request: request.der, owner, use, key: made.key, publicKey }
  }

  async function created(name = 'Clinic Authority', kind: KeyKind = 'p256') {
    const made = await authority.create({ name, kind }, 'operator')
    if (made.kind !== 'created') throw new Error(made.detail)
    return made.authority
  }

  async function issued(owner: DirectAddress | DirectDomain = anna, use: KeyUse = 'both') {
    const asked = await requestOf(owner, use)
    const answer = await authority.issue(asked, 'operator')
    if (answer.kind !== 'issued') throw new Error(answer.detail)
    return { ...answer.issued, asked }
  }

  return { ...found, ports, steps, authority, requestOf, created, issued, again: () => openAuthority(ports, settings) }
}
