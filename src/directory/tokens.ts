import { createHash } from 'node:crypto'
import { type DirectAddress, parseAddress } from '../direct/address.js'
import type { Addresses, TokenRecord, TokenScope, Tokens } from './directory.js'
import { tokenScopes } from './directory.js'
import { problem } from './problem.js'
import { type DirectoryPorts, directoryLimits, type Row, type Rows } from './rows.js'

interface TokenRow {
  readonly address: DirectAddress | '*'
  /** The mailbox the address had when the token was made: a token never passes to the next holder of an address. */
  readonly mailbox?: string
  readonly scopes: readonly TokenScope[]
  readonly label: string
  readonly createdAt: number
  readonly expiresAt?: number
  readonly revokedAt?: number
}

const prefix = 'directory/token/'
const secretForm = /^dgt_[A-Za-z0-9_-]{43}$/
const idDigits = 16

/** Only the digest of a secret is kept. It has 256 random bits, so that a plain digest is as good as a slow one. */
const tokenKey = (secret: string) => prefix + createHash('sha256').update(secret).digest('hex')

export function openTokens(rows: Rows, addresses: Addresses, { clock, random }: DirectoryPorts): Tokens {
  const all = () => rows.list<TokenRow>(prefix, 2 * directoryLimits.tokens)

  /** The address a token is for, with the mailbox it has now. */
  async function holder(text: string) {
    if (text === '*') return { kind: 'holder' as const, address: '*' as const }
    const address = parseAddress(text)
    if (!address) return problem('bad-address', text)
    const found = await addresses.get(address)
    if (!found) return problem('address-not-served', address)
    return { kind: 'holder' as const, address, mailbox: found.mailbox }
  }

  const create: Tokens['create'] = async ({ address: text, scopes, label, expiresAt }, by) => {
    const known: readonly string[] = tokenScopes
    const unknown = scopes.find((scope) => !known.includes(scope))
    if (scopes.length === 0 || unknown !== undefined) return problem('bad-scope', unknown ?? 'no scope')
    const held = await holder(text)
    if (held.kind === 'refused') return held
    const wide = scopes.find((scope) => scope === 'operator' || scope === 'apps')
    if (held.address !== '*' && wide !== undefined) return problem('bad-scope', wide)
    const existing = await all()
    const forgotten = existing.filter((row) => endedBefore(row.value, clock.now() - directoryLimits.tokenMemoryMs))
    if (existing.length - forgotten.length >= directoryLimits.tokens) return problem('too-many')

    const secret = `dgt_${Buffer.from(random.bytes(32)).toString('base64url')}`
    const key = tokenKey(secret)
    const value: TokenRow = {
      address: held.address,
      ...('mailbox' in held ? { mailbox: held.mailbox } : {}),
      scopes: [...new Set(scopes)],
      label: label.replace(/\p{Cc}/gu, ' ').slice(0, directoryLimits.labelCharacters),
      createdAt: clock.now(),
      ...(expiresAt === undefined ? {} : { expiresAt }),
    }
    const token = recordOf({ key, value })
    const changed = await rows.change({
      require: [{ key, version: 'absent' }],
      put: [{ key, value }],
      del: forgotten.map((row) => row.key),
      action: 'token.created',
      by,
      subject: { token: token.id, address: held.address, scopes: value.scopes.join(' ') },
    })
    return changed ? { kind: 'added', token, secret } : problem('changed-meanwhile')
  }

  const authenticate: Tokens['authenticate'] = async (secret, now) => {
    if (!secretForm.test(secret)) return undefined
    // Found by the digest of all of it: what the time of the look-up tells is about a digest, not about the secret.
    const row = await rows.get<TokenRow>(tokenKey(secret))
    if (!row) return undefined
    const { address, mailbox, scopes, expiresAt, revokedAt } = row.value
    if (revokedAt !== undefined || (expiresAt !== undefined && now >= expiresAt)) return undefined
    if (address !== '*') {
      if (!(await addresses.isServed(address))) return undefined
      if ((await addresses.get(address))?.mailbox !== mailbox) return undefined
    }
    return { token: idOf(row.key), address, scopes }
  }

  const revoke: Tokens['revoke'] = async (id, by) => {
    const row = (await all()).find(({ key }) => idOf(key) === id)
    if (!row) return problem('not-found', id)
    if (row.value.revokedAt !== undefined) return { kind: 'done' }
    const changed = await rows.change({
      require: [{ key: row.key, version: row.version }],
      put: [{ key: row.key, value: { ...row.value, revokedAt: clock.now() } }],
      action: 'token.revoked',
      by,
      subject: { token: id, address: row.value.address },
    })
    return changed ? { kind: 'done' } : problem('changed-meanwhile', id)
  }

  return { create, authenticate, revoke, list: async () => (await all()).map(recordOf) }
}

const idOf = (key: string) => key.slice(prefix.length, prefix.length + idDigits)

function recordOf({ key, value }: Pick<Row<TokenRow>, 'key' | 'value'>): TokenRecord {
  const { mailbox: _, ...told } = value
  return { id: idOf(key), ...told }
}

/** Whether a token was revoked or ran out before `at`; the audit log remembers it longer than the directory does. */
function endedBefore({ revokedAt, expiresAt }: TokenRow, at: number): boolean {
  return Math.min(revokedAt ?? Number.POSITIVE_INFINITY, expiresAt ?? Number.POSITIVE_INFINITY) < at
}
