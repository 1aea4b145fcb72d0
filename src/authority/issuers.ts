import { hash } from 'node:crypto'
import type { AuthorityRefusal } from '../ports/authority.js'
import { type Store, within } from '../ports/store.js'
import type { Certificate } from '../x509/certificate.js'
import {
  type AuthorityRow,
  authorityKeyPurpose,
  authorityPrefix,
  bytes,
  type Row,
  rowOf,
  storedCertificate,
} from './rows.js'
import { type PublicKey, readPublicKey, type Signer } from './signing.js'

export const authorityLimits = {
  /** Each roll-over adds one; lists are made for all of them. */
  authorities: 32,
  /** Lines of one list, some 50 bytes each: peers refuse lists of many megabytes. */
  revoked: 50_000,
  /** Certificates begin before now, for peers whose clocks are slow. */
  backdateMs: 3_600_000,
  /** Peers and proxies may keep a list so long, though it is good for longer: revocation should be learnt soon. */
  listAgeSeconds: 3_600,
  certificateAgeSeconds: 86_400,
  nameCharacters: 64,
  yearsAtMost: 25,
  pageRows: 500,
  /** How often a change is tried again when another node wrote first. */
  rounds: 5,
}

/** An authority with all it needs to sign. */
export interface Issuer extends Signer {
  readonly id: string
  readonly row: Row<AuthorityRow>
  readonly certificate: Certificate
}

/** Every authority that the store has, open or closed. */
export async function issuersOf(store: Pick<Store, 'range'>): Promise<readonly Issuer[]> {
  const rows = await store.range({ ...within(authorityPrefix), limit: authorityLimits.authorities })
  return rows.map((entry) => issuerOf(rowOf<AuthorityRow>(entry)))
}

function issuerOf(row: Row<AuthorityRow>): Issuer {
  const certificate = storedCertificate(row.value.certificate)
  const { spki } = certificate
  return {
    id: row.key.slice(authorityPrefix.length),
    row,
    certificate,
    publicKey: ourPublicKey(spki),
    key: {
      kind: 'wrapped',
      purpose: authorityKeyPurpose,
      id: hash('sha256', spki, 'hex'),
      wrapped: bytes(row.value.wrapped),
    },
  }
}

/** A key that we made ourselves. */
export function ourPublicKey(spki: Uint8Array): PublicKey {
  const key = readPublicKey(spki)
  if (key.kind === 'unfit') throw new Error(`A key of ours is not fit: ${key.detail}`)
  return key
}

/** Times in certificates have no fractions. */
export function seconds(at: number): number {
  return Math.floor(at / 1_000) * 1_000
}

/** Why nothing was done, for people. */
export function refused(detail: string): AuthorityRefusal {
  return { kind: 'refused', detail }
}
