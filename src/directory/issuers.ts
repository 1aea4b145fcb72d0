import { createHash } from 'node:crypto'
import { undecided } from '../direct/refusal.js'
import { StoreFailed } from '../ports/store.js'
import { readCertificate } from '../x509/certificate.js'
import { comparableName } from '../x509/name.js'
import { base64, described, isAuthority, once, readNew, stored } from './certificate.js'
import type { CertificateRecord, IssuerBook } from './directory.js'
import { problem } from './problem.js'
import { type DirectoryPorts, directoryLimits, type Row, type Rows } from './rows.js'

interface IssuerRow {
  /** Base64 of DER. */
  readonly certificate: string
  readonly addedAt: number
}

const prefix = 'directory/issuer/'
/** Certificates stand under a digest of their subject, so that a path finds its next step in one look. */
const subjectPrefix = (name: Uint8Array) =>
  `${prefix}${createHash('sha256').update(comparableName(name)).digest('hex')} `

export function openIssuers(rows: Rows, ports: DirectoryPorts): IssuerBook {
  const { clock } = ports
  const decode = once((found: readonly Row<IssuerRow>[]) => found.map(({ value }) => recordOf(value)))
  const all = () => rows.list<IssuerRow>(prefix, directoryLimits.issuers)

  const add: IssuerBook['add'] = async (der, by) => {
    const read = readNew(der, ports)
    if (read.kind === 'refused') return read
    const { certificate } = read
    const id = certificate.fingerprint
    if (!isAuthority(certificate)) return problem('not-an-issuer', id)
    if ((await all()).length >= directoryLimits.issuers) return problem('too-many')
    const key = subjectPrefix(certificate.subject) + id
    const row: IssuerRow = { certificate: base64(certificate.der), addedAt: clock.now() }
    const changed = await rows.change({
      require: [{ key, version: 'absent' }],
      put: [{ key, value: row }],
      action: 'issuer.added',
      by,
      subject: { certificate: id },
    })
    return changed ? { kind: 'added', certificate: recordOf(row) } : problem('already-exists', id)
  }

  const remove: IssuerBook['remove'] = async (id, by) => {
    const row = (await all()).find(({ key }) => key.endsWith(` ${id}`))
    if (!row) return problem('not-found', id)
    const changed = await rows.change({
      require: [{ key: row.key, version: row.version }],
      del: [row.key],
      action: 'issuer.removed',
      by,
      subject: { certificate: id },
    })
    return changed ? { kind: 'done' } : problem('changed-meanwhile', id)
  }

  /** Issuers by name only: whether the key fits is for the path to check. What does not parse has none. */
  const of: IssuerBook['of'] = async (der) => {
    const certificate = readCertificate(der)
    if (certificate.kind === 'malformed') return []
    try {
      const found = await rows.list<IssuerRow>(subjectPrefix(certificate.issuer), 100)
      return decode(found).map((record) => record.certificate)
    } catch (error) {
      if (error instanceof StoreFailed) return undecided('store-unavailable', error.message)
      throw error
    }
  }

  return { add, remove, of, list: async () => decode(await all()) }
}

function recordOf(row: IssuerRow): CertificateRecord {
  const facts = described(stored(row.certificate).certificate)
  return { ...facts, owner: facts.subject, addedAt: row.addedAt }
}
