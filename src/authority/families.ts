import { hash } from 'node:crypto'
import { parseAddress, parseDomain } from '../direct/address.js'
import { revocationReasons } from '../ports/authority.js'
import { keyUses } from '../ports/registrar.js'
import { type Family, isMoment, jsonOf, type RowFamily, sound } from '../ports/rows.js'
import { readCertificate } from '../x509/certificate.js'
import { readCrl } from '../x509/crl.js'
import { askedKey, authorityKey, authorityKeyPurpose, issuedKey, listKey, revokedPrefix } from './rows.js'

const partsOf = (key: string) => key.split('/').slice(2) as [string, string]
const among = (known: readonly string[], value: unknown) => typeof value === 'string' && known.includes(value)

function certificateOf(value: unknown) {
  const read = readCertificate(Buffer.from(String(value), 'base64'))
  sound(read.kind === 'certificate', 'the certificate does not read')
  return read
}

const authority: Family<'entry'> = {
  kind: 'entry',
  name: 'certification authority',
  form: /^authority\/ca\/[0-9a-f]{16}$/,
  check({ key, value }, { unwrap }) {
    const row = jsonOf(value)
    const digest = hash('sha256', certificateOf(row['certificate']).spki, 'hex')
    const [id] = partsOf(key)
    sound(digest.startsWith(id), 'the certificate is of another authority')
    sound(
      typeof row['closed'] === 'boolean' && isMoment(row['createdAt']),
      'it is neither open nor closed, or of no time',
    )
    sound(Array.isArray(row['within']) && row['within'].every((one) => parseDomain(one) === one), 'a domain is none')
    unwrap(authorityKeyPurpose, digest, Buffer.from(String(row['wrapped']), 'base64')).fill(0)
    return [{ kind: 'entry', key: listKey(id) }]
  },
}

const list: Family<'entry'> = {
  kind: 'entry',
  name: 'revocation list of ours',
  form: /^authority\/list\/[0-9a-f]{16}$/,
  check({ key, value }) {
    const { number, thisUpdate, nextUpdate, list } = jsonOf(value)
    const read = readCrl(Buffer.from(String(list), 'base64'))
    sound(read.kind === 'crl', 'the list does not read')
    sound(read.thisUpdate === thisUpdate && read.nextUpdate === nextUpdate, 'the list is of another time')
    sound(Number.isInteger(number), 'the list has no number')
    return [{ kind: 'entry', key: authorityKey(partsOf(key)[0]) }]
  },
}

const issued: Family<'entry'> = {
  kind: 'entry',
  name: 'issued certificate',
  form: /^authority\/issued\/[0-9a-f]{16}\/[0-9a-f]{32}$/,
  check({ key, value }) {
    const { owner, use, certificate, issuedAt, revoked } = jsonOf(value)
    const [id, serial] = partsOf(key)
    sound(Buffer.from(certificateOf(certificate).serial).toString('hex') === serial, 'the certificate is another one')
    sound(typeof owner === 'string' && (parseAddress(owner) ?? parseDomain(owner)) === owner, 'it is of no owner')
    sound(among(keyUses, use) && isMoment(issuedAt), 'it has no use or no time')
    if (revoked !== undefined) sound(isRevocation(revoked), 'it was revoked at no time or for no reason')
    return [{ kind: 'entry', key: authorityKey(id) }]
  },
}

const revoked: Family<'entry'> = {
  kind: 'entry',
  name: 'revoked certificate',
  form: /^authority\/revoked\/[0-9a-f]{16}\/[0-9a-f]{32}$/,
  check({ key, value }) {
    const row = jsonOf(value)
    sound(isRevocation(row) && isMoment(row['notAfter']), 'it was revoked at no time or for no reason')
    const [id, serial] = partsOf(key)
    sound(key === revokedPrefix(id) + serial, 'the key is of another form')
    return [{ kind: 'entry', key: issuedKey(id, serial) }]
  },
}

const asked: Family<'entry'> = {
  kind: 'entry',
  name: 'answered certificate request',
  form: /^authority\/asked\/[0-9a-f]{16}\/[0-9a-f]{64}$/,
  check({ key, value }) {
    const { serial } = jsonOf(value)
    const [id, digest] = partsOf(key)
    sound(key === askedKey(id, digest) && typeof serial === 'string', 'it was answered with nothing')
    return [{ kind: 'entry', key: issuedKey(id, String(serial)) }]
  },
}

function isRevocation(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  const { at, reason } = value as { readonly at?: unknown; readonly reason?: unknown }
  return isMoment(at) && among(revocationReasons, reason)
}

/** Every row that this room writes. */
export const authorityFamilies: readonly RowFamily[] = [authority, list, issued, revoked, asked]
