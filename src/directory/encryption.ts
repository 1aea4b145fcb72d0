import { type DirectAddress, domainOf, spellings } from '../direct/address.js'
import { type EncryptionPreference, rsaTransports, sealingCiphers } from '../direct/encryption.js'
import { once, readOwner } from './certificate.js'
import type { EncryptionBook, EncryptionRecord, Owner } from './directory.js'
import { problem } from './problem.js'
import { type DirectoryPorts, directoryLimits, type Row, type Rows } from './rows.js'

interface EncryptionRow extends EncryptionPreference {
  readonly addedAt: number
}

const prefix = 'directory/encryption/'
const encryptionKey = (owner: Owner) => prefix + owner

export function openEncryption(rows: Rows, { clock }: Pick<DirectoryPorts, 'clock'>): EncryptionBook {
  // Read as a whole: there are few, and each message asks for each of its recipients, most of whom have none.
  const all = () => rows.list<EncryptionRow>(prefix, directoryLimits.encryption)
  const byOwner = once((found: readonly Row<EncryptionRow>[]) => new Map(found.map((row) => [row.key, recordOf(row)])))

  const set: EncryptionBook['set'] = async (text, wanted, by) => {
    const named = readOwner(text)
    if (named.kind === 'refused') return named
    const { owner } = named
    const preference = readPreference(wanted)
    if (!preference) return problem('bad-encryption', Object.values(wanted).join(' '))
    const key = encryptionKey(owner)
    const found = await all()
    const existing = found.find((row) => row.key === key)
    if (!existing && found.length >= directoryLimits.encryption) return problem('too-many', owner)
    const value: EncryptionRow = { ...preference, addedAt: clock.now() }
    const changed = await rows.change({
      require: [{ key, version: existing?.version ?? 'absent' }],
      put: [{ key, value }],
      action: 'encryption.set',
      by,
      subject: { owner, ...preference },
    })
    return changed ? { kind: 'set', record: { owner, ...value } } : problem('changed-meanwhile', owner)
  }

  const remove: EncryptionBook['remove'] = async (text, by) => {
    const named = readOwner(text)
    if (named.kind === 'refused') return named
    const row = await rows.get<EncryptionRow>(encryptionKey(named.owner))
    if (!row) return problem('not-found', named.owner)
    const changed = await rows.change({
      require: [{ key: row.key, version: row.version }],
      del: [row.key],
      action: 'encryption.removed',
      by,
      subject: { owner: named.owner },
    })
    return changed ? { kind: 'done' } : problem('changed-meanwhile', named.owner)
  }

  const of = async (address: DirectAddress): Promise<EncryptionPreference> => {
    const known = byOwner(await all())
    let preference: EncryptionPreference = {}
    // From the widest to the exact name, each word over the one before.
    for (const owner of [domainOf(address), ...spellings(address).toReversed()]) {
      const record = known.get(encryptionKey(owner))
      if (record) preference = { ...preference, ...preferenceOf(record) }
    }
    return preference
  }

  return { set, remove, of, list: async () => [...byOwner(await all()).values()] }
}

function recordOf({ key, value }: Row<EncryptionRow>): EncryptionRecord {
  return { owner: key.slice(prefix.length) as Owner, ...value }
}

function preferenceOf({ rsaTransport, contentCipher }: EncryptionPreference): EncryptionPreference {
  return { ...(rsaTransport && { rsaTransport }), ...(contentCipher && { contentCipher }) }
}

/** The preference in words that exist, with at least one of them. */
export function readPreference(wanted: {
  readonly rsaTransport?: unknown
  readonly contentCipher?: unknown
}): EncryptionPreference | undefined {
  const rsaTransport = rsaTransports.find((one) => one === wanted.rsaTransport)
  const contentCipher = sealingCiphers.find((one) => one === wanted.contentCipher)
  const unknown =
    (wanted.rsaTransport !== undefined && !rsaTransport) || (wanted.contentCipher !== undefined && !contentCipher)
  if (unknown || (!rsaTransport && !contentCipher)) return undefined
  return preferenceOf({ ...(rsaTransport && { rsaTransport }), ...(contentCipher && { contentCipher }) })
}
