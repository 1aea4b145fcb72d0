import type { Undecided } from '../direct/refusal.js'
import type { KeyArithmetic } from '../ports/arithmetic.js'
import type { Audit } from '../ports/audit.js'
import type { AuthorityRefusal, CertificateAuthority, RevocationReason } from '../ports/authority.js'
import type { Batch, Store } from '../ports/store.js'
import type { Clock } from '../ports/world.js'
import { type Certificate, readCertificate } from '../x509/certificate.js'
import { nameText } from '../x509/name.js'
import { authorityLimits, type Issuer, issuersOf, refused, seconds } from './issuers.js'
import { revocationList } from './revocations.js'
import {
  base64,
  bytes,
  getRow,
  type IssuedRow,
  issuedKey,
  json,
  type ListRow,
  listKey,
  type RevokedRow,
  type Row,
  revokedPrefix,
  walkRows,
} from './rows.js'
import { type Signer, signed } from './signing.js'

export interface ListPorts {
  readonly store: Store
  readonly audit: Audit
  readonly clock: Clock
  readonly arithmetic: Pick<KeyArithmetic, 'signData'>
}

/** What must be true for the next list, read before it is made. */
interface ListState {
  readonly row: Row<ListRow>
  readonly revoked: readonly Row<RevokedRow>[]
}

/** The revocation lists of all authorities, and revoking, which makes the next one. */
export interface Lists extends Pick<CertificateAuthority, 'revoke' | 'renewLists'> {
  /** The first list of an authority, which revokes nothing. */
  first(signer: Signer, name: Uint8Array): Promise<{ readonly kind: 'list'; readonly row: ListRow } | Undecided>
}

/** Opens the lists; each is good for `listMs`. */
export function openLists({ store, audit, clock, arithmetic }: ListPorts, listMs: number): Lists {
  async function listState(id: string): Promise<ListState> {
    const row = await getRow<ListRow>(store, listKey(id))
    if (!row) throw new Error(`The authority ${id} has no list`)
    return { row, revoked: await walkRows<RevokedRow>(store, revokedPrefix(id)) }
  }

  async function signList(
    signer: Signer,
    name: Uint8Array,
    { number, now, revoked }: { number: number; now: number; revoked: readonly Row<RevokedRow>[] },
  ): Promise<{ readonly kind: 'list'; readonly row: ListRow } | Undecided> {
    const thisUpdate = seconds(now)
    const nextUpdate = thisUpdate + listMs
    const entries = revoked.map(({ key, value }) => ({
      serial: Buffer.from(key.slice(key.lastIndexOf('/') + 1), 'hex'),
      at: value.at,
      reason: value.reason,
    }))
    const issuer = { name, key: signer.publicKey }
    const made = await signed(
      revocationList({ issuer, number, thisUpdate, nextUpdate, revoked: entries }),
      signer,
      arithmetic,
    )
    if (made.kind === 'undecided') return made
    return { kind: 'list', row: { number, thisUpdate, nextUpdate, list: base64(made.der) } }
  }

  /** The next list, and what becomes true with it. A line leaves once a list told of it after its certificate had ended (RFC 5280 §3.3). */
  async function nextList(issuer: Issuer, { row, revoked }: ListState, added: readonly Row<RevokedRow>[] = []) {
    const isOver = ({ value }: Row<RevokedRow>) => value.notAfter < row.value.thisUpdate
    const over = revoked.filter(isOver)
    const told = [...revoked.filter((line) => !isOver(line)), ...added]
    const { subject } = issuer.certificate
    const made = await signList(issuer, subject, { number: row.value.number + 1, now: clock.now(), revoked: told })
    if (made.kind === 'undecided') return made
    const batch: Batch = {
      require: [{ key: row.key, version: row.version }],
      put: [{ key: row.key, value: json(made.row) }, ...added.map(({ key, value }) => ({ key, value: json(value) }))],
      del: over.map(({ key }) => key),
    }
    return { kind: 'list' as const, row: made.row, batch }
  }

  const revoke: CertificateAuthority['revoke'] = async (der, reason, by) => {
    const certificate = readCertificate(der)
    if (certificate.kind === 'malformed') return refused(certificate.detail)
    const serial = Buffer.from(certificate.serial).toString('hex')
    for (let round = 0; round < authorityLimits.rounds; round++) {
      const found = await foundIssued(certificate, serial)
      if (!found) return refused(`${nameText(certificate.subject)} was not issued by an authority of this gateway`)
      if (found.row.value.revoked) return { kind: 'revoked-before' }
      const done = await revokeOnce(found, serial, certificate, reason, by)
      if (done) return done
    }
    return refused('others change the same list all the time; try again')
  }

  async function foundIssued(certificate: Certificate, serial: string) {
    for (const issuer of await issuersOf(store)) {
      const row = await getRow<IssuedRow>(store, issuedKey(issuer.id, serial))
      if (row && Buffer.compare(bytes(row.value.certificate), certificate.der) === 0) return { issuer, row }
    }
    return undefined
  }

  async function revokeOnce(
    { issuer, row }: { readonly issuer: Issuer; readonly row: Row<IssuedRow> },
    serial: string,
    { notAfter, fingerprint }: Certificate,
    reason: RevocationReason,
    by: string,
  ): Promise<{ readonly kind: 'revoked' } | AuthorityRefusal | Undecided | undefined> {
    const state = await listState(issuer.id)
    if (state.revoked.length >= authorityLimits.revoked)
      return refused('the list of this authority is full: make a new one')
    const at = seconds(clock.now())
    const line = { key: revokedPrefix(issuer.id) + serial, value: { at, reason, notAfter }, version: 0 }
    const next = await nextList(issuer, state, [line])
    if (next.kind === 'undecided') return next
    const subject = { owner: row.value.owner, authority: issuer.id, serial, certificate: fingerprint, reason }
    const outcome = await store.commit({
      ...next.batch,
      require: [...(next.batch.require ?? []), { key: row.key, version: row.version }],
      put: [...(next.batch.put ?? []), { key: row.key, value: json({ ...row.value, revoked: { at, reason } }) }],
      append: [audit.entry({ at, action: 'certificate.revoked', actor: by, subject, outcome: 'success' })],
    })
    return outcome.kind === 'committed' ? { kind: 'revoked' } : undefined
  }

  const renewLists: CertificateAuthority['renewLists'] = async () => {
    let next: number | undefined
    for (const issuer of await issuersOf(store)) {
      const now = clock.now()
      if (issuer.certificate.notAfter <= now) continue
      const state = await listState(issuer.id)
      let dueAt = renewalOf(state.row.value)
      if (dueAt <= now) {
        const made = await nextList(issuer, state)
        // A key that cannot be had now is had in a minute, long before the list ends.
        if (made.kind === 'undecided') dueAt = now + 60_000
        else {
          await store.commit(made.batch) // where another node was faster, its list is as good
          dueAt = renewalOf(made.row)
        }
      }
      next = Math.min(next ?? dueAt, dueAt)
    }
    return next
  }

  function renewalOf({ thisUpdate, nextUpdate }: ListRow): number {
    return thisUpdate + Math.floor((nextUpdate - thisUpdate) / 7)
  }

  return {
    revoke,
    renewLists,
    first: (signer, name) => signList(signer, name, { number: 1, now: clock.now(), revoked: [] }),
  }
}
