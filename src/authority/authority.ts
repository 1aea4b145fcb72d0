import { hash } from 'node:crypto'
import { type DirectAddress, type DirectDomain, domainOf } from '../direct/address.js'
import type { KeyArithmetic } from '../ports/arithmetic.js'
import type { Audit } from '../ports/audit.js'
import type { CertificateAuthority } from '../ports/authority.js'
import { type Batch, type Store, within } from '../ports/store.js'
import type { Clock, Random } from '../ports/world.js'
import { sameName } from '../x509/name.js'
import { commonName } from './extensions.js'
import { authorityLimits, type Issuer, issuersOf, ourPublicKey, refused, seconds } from './issuers.js'
import { openLists } from './lists.js'
import { authorityCertificate, ownerCertificate } from './profile.js'
import { readRequest } from './request.js'
import {
  type AuthorityRow,
  askedKey,
  authorityKey,
  authorityKeyPurpose,
  authorityRecord,
  base64,
  bytes,
  getRow,
  type IssuedRow,
  issuedKey,
  issuedPrefix,
  issuedRecord,
  json,
  type ListRow,
  listKey,
  rowOf,
  storedCertificate,
} from './rows.js'
import { signed } from './signing.js'

export interface AuthoritySettings {
  /** `http://pki.clinic.example`: where peers reach our files, without `/pki`. Without it certificates name no list. */
  readonly publicUrl?: string
  readonly ownerDays: number
  readonly authorityYears: number
  /** How long a list is good for; it is made anew after a seventh of that. */
  readonly listDays: number
  /** Certificate policies (dotted) that certificates for owners assert. */
  readonly policies: readonly string[]
}

export const authorityDefaults: AuthoritySettings = {
  ownerDays: 730, // under the three years that trust communities allow
  authorityYears: 10,
  listDays: 7, // so that a long weekend without us does not stop our peers
  policies: [],
}

export interface AuthorityPorts {
  readonly store: Store
  readonly audit: Audit
  readonly clock: Clock
  readonly random: Random
  readonly arithmetic: KeyArithmetic
}

const dayMs = 86_400_000

/** Opens the authorities that the store has. None is ever made by itself. */
export function openAuthority(
  { store, audit, clock, random, arithmetic }: AuthorityPorts,
  settings: Partial<AuthoritySettings> = {},
): CertificateAuthority {
  const { publicUrl, ownerDays, authorityYears, listDays, policies } = { ...authorityDefaults, ...settings }
  const lists = openLists({ store, audit, clock, arithmetic }, listDays * dayMs)

  const told = (action: string, by: string, subject: Readonly<Record<string, string>>): Batch => ({
    append: [audit.entry({ at: clock.now(), action, actor: by, subject, outcome: 'success' })],
  })

  /** 126 random bits: positive, of one length, and never the same twice (RFC 5280 §4.1.2.2). */
  function newSerial(): Uint8Array {
    const serial = Uint8Array.from(random.bytes(16))
    serial[0] = ((serial[0] as number) & 0x7f) | 0x40
    return serial
  }

  const create: CertificateAuthority['create'] = async (asked, by) => {
    const { kind = 'rsa-3072', years = authorityYears, within: domains = [], closed = false } = asked
    const name = asked.name.trim()
    if (!/^[\x20-\x7e]+$/.test(name) || name.length > authorityLimits.nameCharacters)
      return refused(`a name has 1 to ${authorityLimits.nameCharacters} ASCII characters`)
    if (!Number.isInteger(years) || years < 1 || years > authorityLimits.yearsAtMost)
      return refused(`an authority lives 1 to ${authorityLimits.yearsAtMost} years`)
    const known = await issuersOf(store)
    if (known.length >= authorityLimits.authorities) return refused('there are as many authorities as are kept')
    const subject = commonName(name, '')
    if (known.some(({ certificate }) => sameName(certificate.subject, subject)))
      return refused(`there is an authority named ${name}; give the new one a name of its own, such as with its year`)

    const made = await arithmetic.newKey(kind, authorityKeyPurpose)
    const signer = { key: made.key, publicKey: ourPublicKey(made.spki) }
    const now = clock.now()
    const notBefore = seconds(now - authorityLimits.backdateMs)
    const notAfter = seconds(notBefore + years * 365.25 * dayMs)
    const tbs = authorityCertificate({
      serial: newSerial(),
      name: subject,
      key: signer.publicKey,
      within: domains,
      notBefore,
      notAfter,
    })
    const certificate = await signed(tbs, signer, arithmetic)
    if (certificate.kind === 'undecided') return certificate
    const list = await lists.first(signer, subject)
    if (list.kind === 'undecided') return list

    const id = hash('sha256', made.spki, 'hex').slice(0, 16)
    const row: AuthorityRow = {
      certificate: base64(certificate.der),
      wrapped: base64(made.key.wrapped),
      closed,
      within: domains,
      createdAt: now,
    }
    const key = authorityKey(id)
    const outcome = await store.commit({
      require: [{ key, version: 'absent' }],
      put: [
        { key, value: json(row) },
        { key: listKey(id), value: json(list.row) },
      ],
      ...told('authority.created', by, { authority: id, certificate: storedCertificate(row.certificate).fingerprint }),
    })
    if (outcome.kind !== 'committed') return refused('somebody else made it at the same moment')
    return { kind: 'created', authority: authorityRecord({ key, value: row, version: 0 }, list.row) }
  }

  const list: CertificateAuthority['list'] = async () => {
    const records = (await issuersOf(store)).map(async ({ id, row }) => {
      const current = await getRow<ListRow>(store, listKey(id))
      if (!current) throw new Error(`The authority ${id} has no list`)
      return authorityRecord(row, current.value)
    })
    return (await Promise.all(records)).sort((a, b) => b.createdAt - a.createdAt)
  }

  async function setClosed(id: string, closed: boolean, by: string): ReturnType<CertificateAuthority['close']> {
    const row = await getRow<AuthorityRow>(store, authorityKey(id))
    if (!row) return refused(`there is no authority ${id}`)
    if (row.value.closed === closed) return { kind: 'done' }
    const outcome = await store.commit({
      require: [{ key: row.key, version: row.version }],
      put: [{ key: row.key, value: json({ ...row.value, closed }) }],
      ...told(closed ? 'authority.closed' : 'authority.opened', by, { authority: id }),
    })
    return outcome.kind === 'committed' ? { kind: 'done' } : refused('somebody else changed it at the same moment')
  }

  const issue: CertificateAuthority['issue'] = async ({ request, owner, use }, by) => {
    const asks = readRequest(request)
    if (asks.kind === 'bad') return refused(asks.detail)
    if (asks.others > 0 || asks.names.length !== 1 || asks.names[0] !== owner)
      return refused(`the request must ask for ${owner} and for no other name`)
    const now = clock.now()
    const [issuer] = (await issuersOf(store))
      .filter(({ row, certificate }) => !row.value.closed && certificate.notAfter > now)
      .sort((a, b) => b.row.value.createdAt - a.row.value.createdAt)
    if (!issuer) return refused('there is no open authority; make one with `direct-gateway authority create`')
    const { within: domains } = issuer.row.value
    if (domains.length > 0 && !domains.some((domain) => lies(owner, domain)))
      return refused(`${owner} is outside the domains of the authority ${issuer.id}`)
    const digest = hash('sha256', Buffer.concat([asks.key.spki, Buffer.from(` ${use} ${owner}`)]), 'hex')
    const asked = askedKey(issuer.id, digest)
    const answered = await answeredBefore(asked, issuer, now)
    if (answered) return answered

    const serial = newSerial()
    const tbs = ownerCertificate({
      serial,
      owner,
      use,
      key: asks.key,
      issuer: { name: issuer.certificate.subject, key: issuer.publicKey },
      notBefore: Math.max(seconds(now - authorityLimits.backdateMs), issuer.certificate.notBefore),
      notAfter: Math.min(seconds(now + ownerDays * dayMs), issuer.certificate.notAfter),
      ...(publicUrl !== undefined && { urls: urlsOf(publicUrl, issuer.id) }),
      policies,
    })
    const certificate = await signed(tbs, issuer, arithmetic)
    if (certificate.kind === 'undecided') return certificate
    const row: IssuedRow = { owner, use, certificate: base64(certificate.der), issuedAt: now }
    const serialHex = Buffer.from(serial).toString('hex')
    const key = issuedKey(issuer.id, serialHex)
    const outcome = await store.commit({
      require: [
        { key, version: 'absent' },
        { key: asked, version: 'absent' },
      ],
      put: [
        { key, value: json(row) },
        { key: asked, value: json({ serial: serialHex }) },
      ],
      ...told('certificate.issued', by, { owner, authority: issuer.id, serial: serialHex }),
    })
    if (outcome.kind === 'committed') return { kind: 'issued', issued: issuedRecord({ key, value: row, version: 0 }) }
    return (await answeredBefore(asked, issuer, now)) ?? refused('somebody else changed it at the same moment')
  }

  async function answeredBefore(asked: string, { id }: Issuer, now: number) {
    const row = await getRow<{ readonly serial: string }>(store, asked)
    const before = row && (await getRow<IssuedRow>(store, issuedKey(id, row.value.serial)))
    if (!before) return undefined
    const issued = issuedRecord(before)
    if (issued.revoked) return refused('this key was certified before, and the certificate is revoked: make a new key')
    if (issued.notAfter <= now)
      return refused('this key was certified before, and the certificate has ended: make a new key')
    return { kind: 'issued' as const, issued }
  }

  const issued: CertificateAuthority['issued'] = async (after) => {
    const { gte, lt } = within(issuedPrefix)
    const from = after ? `${issuedKey(after.authority, after.serial)}\0` : gte
    const page = await store.range({ gte: from, lt, limit: authorityLimits.pageRows })
    return page.map((entry) => issuedRecord(rowOf<IssuedRow>(entry)))
  }

  const file: CertificateAuthority['file'] = async (name) => {
    const [, id = '', kind] = /^([0-9a-f]{16})\.(crl|cer)$/.exec(name) ?? []
    if (kind === 'cer') {
      const row = await getRow<AuthorityRow>(store, authorityKey(id))
      const { certificateAgeSeconds } = authorityLimits
      return row && fileOf('application/pkix-cert', row.value.certificate, row.value.createdAt, certificateAgeSeconds)
    }
    const row = kind === 'crl' ? await getRow<ListRow>(store, listKey(id)) : undefined
    if (!row) return undefined
    const { list: text, thisUpdate, nextUpdate } = row.value
    const left = Math.max(0, Math.floor((nextUpdate - clock.now()) / 1_000))
    return fileOf('application/pkix-crl', text, thisUpdate, Math.min(authorityLimits.listAgeSeconds, left))
  }

  return {
    create,
    list,
    close: (id, by) => setClosed(id, true, by),
    open: (id, by) => setClosed(id, false, by),
    issue,
    issued,
    revoke: lists.revoke,
    renewLists: lists.renewLists,
    file,
  }
}

/** RFC 2585 §4 names the media types. */
function fileOf(mediaType: string, text: string, lastModified: number, maxAgeSeconds: number) {
  const body = bytes(text)
  return { mediaType, bytes: body, lastModified, maxAgeSeconds, etag: `"${hash('sha256', body, 'hex').slice(0, 32)}"` }
}

function urlsOf(publicUrl: string, id: string) {
  const base = `${publicUrl.replace(/\/+$/, '')}/pki/${id}`
  return { list: `${base}.crl`, certificate: `${base}.cer` }
}

/** As name constraints see it: addresses of the domain itself, names in it and below. */
function lies(owner: DirectAddress | DirectDomain, domain: DirectDomain): boolean {
  if (owner.includes('@')) return domainOf(owner as DirectAddress) === domain
  return owner === domain || owner.endsWith(`.${domain}`)
}
