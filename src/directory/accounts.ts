import { createHash, timingSafeEqual } from 'node:crypto'
import { type DirectAddress, type DirectDomain, domainOf, parseAddress, parseDomain } from '../direct/address.js'
import type { Accounts, Addresses, EdgeAccount } from './directory.js'
import { domainKey } from './domains.js'
import { type DirectoryRefusal, problem } from './problem.js'
import { type DirectoryPorts, directoryLimits, type Row, type Rows } from './rows.js'

/** An address with the mailbox it had when it was named: an account never passes to the next holder of an address. */
interface Held {
  readonly address: DirectAddress
  readonly mailbox: string
}

interface AccountRow {
  readonly senders: readonly (Held | DirectDomain)[]
  readonly reads?: Held
  /** SHA-256 of the secret, lower-case hex. */
  readonly secret: string
  readonly disabled: boolean
  readonly createdAt: number
  readonly renewedAt?: number
}

const prefix = 'directory/account/'
export const accountName = /^[a-z0-9._@-]{1,64}$/
const secretForm = /^dge_[A-Za-z0-9_-]{43}$/
const idDigits = 16

/** A secret has 256 random bits, so that a plain digest is as good as a slow one. */
const digestOf = (secret: string) => createHash('sha256').update(secret).digest()

/** What the digest of no secret is: whom nobody knows is compared with it, so that it takes as long. */
const nobody = Buffer.alloc(32)

export function openAccounts(rows: Rows, addresses: Addresses, { clock, random }: DirectoryPorts): Accounts {
  const all = () => rows.list<AccountRow>(prefix, directoryLimits.accounts)

  /** From the one list that is remembered whole, so that a name that is known takes as long as one that is not. */
  const find = async (name: string) => (await all()).find(({ key }) => key === prefix + name)

  function newSecret(): { readonly secret: string; readonly digest: string } {
    const secret = `dge_${Buffer.from(random.bytes(32)).toString('base64url')}`
    return { secret, digest: digestOf(secret).toString('hex') }
  }

  async function held(text: string): Promise<Held | DirectoryRefusal> {
    const address = parseAddress(text)
    if (!address) return problem('bad-address', text)
    const found = await addresses.get(address)
    return found ? { address, mailbox: found.mailbox } : problem('address-not-served', address)
  }

  async function sendersOf(
    texts: readonly string[],
  ): Promise<{ readonly kind: 'senders'; readonly senders: AccountRow['senders'] } | DirectoryRefusal> {
    const senders: (Held | DirectDomain)[] = []
    for (const text of new Set(texts)) {
      if (text.includes('@')) {
        const sender = await held(text)
        if ('kind' in sender) return sender
        senders.push(sender)
        continue
      }
      const domain = parseDomain(text)
      if (!domain) return problem('bad-domain', text)
      if (!(await rows.get(domainKey(domain)))) return problem('domain-not-served', domain)
      senders.push(domain)
    }
    if (senders.length > directoryLimits.sendersPerAccount) return problem('too-many', 'senders')
    return { kind: 'senders', senders }
  }

  async function readsOf(
    text: string | undefined,
  ): Promise<{ readonly kind: 'reads'; readonly reads?: Held } | DirectoryRefusal> {
    if (text === undefined) return { kind: 'reads' }
    const reads = await held(text)
    return 'kind' in reads ? reads : { kind: 'reads', reads }
  }

  const create: Accounts['create'] = async ({ name, senders: texts, reads: mailbox }, by) => {
    if (!accountName.test(name)) return problem('bad-account-name', name)
    const senders = await sendersOf(texts)
    if (senders.kind === 'refused') return senders
    const reads = await readsOf(mailbox)
    if (reads.kind === 'refused') return reads
    if (senders.senders.length === 0 && !reads.reads) return problem('useless-account', name)
    if ((await all()).length >= directoryLimits.accounts) return problem('too-many', 'accounts')
    const { secret, digest } = newSecret()
    const key = prefix + name
    const value: AccountRow = {
      senders: senders.senders,
      ...(reads.reads && { reads: reads.reads }),
      secret: digest,
      disabled: false,
      createdAt: clock.now(),
    }
    const changed = await rows.change({
      require: [{ key, version: 'absent' }],
      put: [{ key, value }],
      action: 'account.added',
      by,
      subject: { account: name, ...subjectOf(value) },
    })
    return changed ? { kind: 'added', account: accountOf({ key, value }), secret } : problem('already-exists', name)
  }

  /** Puts what `next` makes of the row in its place; nothing is written where it makes nothing. */
  async function changeRow(
    name: string,
    by: string,
    action: string,
    next: (row: AccountRow) => AccountRow | undefined,
  ): Promise<{ readonly kind: 'changed'; readonly account: EdgeAccount } | DirectoryRefusal> {
    const found = await find(name)
    if (!found) return problem('not-found', name)
    const { key, version } = found
    const value = next(found.value)
    if (!value) return { kind: 'changed', account: accountOf(found) }
    const changed = await rows.change({
      require: [{ key, version }],
      put: [{ key, value }],
      action,
      by,
      subject: { account: name, ...subjectOf(value) },
    })
    return changed ? { kind: 'changed', account: accountOf({ key, value }) } : problem('changed-meanwhile', name)
  }

  const setSenders: Accounts['setSenders'] = async (name, texts, by) => {
    const read = await sendersOf(texts)
    if (read.kind === 'refused') return read
    const found = await find(name)
    if (found && read.senders.length === 0 && !found.value.reads) return problem('useless-account', name)
    return changeRow(name, by, 'account.senders-changed', (row) => ({ ...row, senders: read.senders }))
  }

  const setReads: Accounts['setReads'] = async (name, text, by) => {
    const read = await readsOf(text)
    if (read.kind === 'refused') return read
    const found = await find(name)
    if (found?.value.senders.length === 0 && !read.reads) return problem('useless-account', name)
    return changeRow(name, by, 'account.reading-changed', ({ reads: _, ...row }) => ({
      ...row,
      ...(read.reads && { reads: read.reads }),
    }))
  }

  const renew: Accounts['renew'] = async (name, by) => {
    const { secret, digest } = newSecret()
    const changed = await changeRow(name, by, 'account.renewed', (row) => ({
      ...row,
      secret: digest,
      renewedAt: clock.now(),
    }))
    return changed.kind === 'changed' ? { ...changed, kind: 'renewed', secret } : changed
  }

  const setDisabled: Accounts['setDisabled'] = async (name, disabled, by) => {
    const action = disabled ? 'account.disabled' : 'account.enabled'
    const changed = await changeRow(name, by, action, (row) =>
      row.disabled === disabled ? undefined : { ...row, disabled },
    )
    return changed.kind === 'changed' ? { kind: 'done' } : changed
  }

  const remove: Accounts['remove'] = async (name, by) => {
    const found = await find(name)
    if (!found) return problem('not-found', name)
    const { key, version } = found
    const changed = await rows.change({
      require: [{ key, version }],
      del: [key],
      action: 'account.removed',
      by,
      subject: { account: name },
    })
    return changed ? { kind: 'done' } : problem('changed-meanwhile', name)
  }

  const authenticate: Accounts['authenticate'] = async (name, secret) => {
    const found = await find(name)
    const same = timingSafeEqual(digestOf(secret), found ? Buffer.from(found.value.secret, 'hex') : nobody)
    if (!found || !same || !secretForm.test(secret) || found.value.disabled) return undefined
    return accountOf(found)
  }

  const maySendAs: Accounts['maySendAs'] = async (account, address) => {
    const row = (await find(account.name))?.value
    if (!row || row.disabled || secretIdOf(row) !== account.secretId) return false
    if (!(await addresses.isServed(address))) return false
    if (row.senders.includes(domainOf(address))) return true
    const named = row.senders.find((sender): sender is Held => typeof sender === 'object' && sender.address === address)
    return named !== undefined && (await addresses.get(address))?.mailbox === named.mailbox
  }

  const logins: Accounts['logins'] = async () => {
    const found = []
    for (const { key, value } of await all()) {
      const { reads, disabled, secret } = value
      if (disabled || !reads || !(await addresses.isServed(reads.address))) continue
      if ((await addresses.get(reads.address))?.mailbox !== reads.mailbox) continue
      found.push({ name: key.slice(prefix.length), reads: reads.address, mailbox: reads.mailbox, sha256: secret })
    }
    return found
  }

  return {
    create,
    async get(name) {
      const found = await find(name)
      return found && accountOf(found)
    },
    list: async () => (await all()).map(accountOf),
    authenticate,
    maySendAs,
    logins,
    setSenders,
    setReads,
    renew,
    setDisabled,
    remove,
  }
}

function nameOf(sender: Held | DirectDomain): DirectAddress | DirectDomain {
  return typeof sender === 'string' ? sender : sender.address
}

function secretIdOf({ secret }: AccountRow): string {
  return secret.slice(0, idDigits)
}

function subjectOf(row: AccountRow): Record<string, string> {
  const { senders, reads } = row
  return {
    secret: secretIdOf(row),
    senders: senders.slice(0, directoryLimits.auditedSenders).map(nameOf).join(' '),
    ...(senders.length > directoryLimits.auditedSenders && { sendersInAll: String(senders.length) }),
    ...(reads && { reads: reads.address }),
  }
}

function accountOf({ key, value }: Pick<Row<AccountRow>, 'key' | 'value'>): EdgeAccount {
  const { senders, reads, disabled, createdAt, renewedAt } = value
  return {
    name: key.slice(prefix.length),
    secretId: secretIdOf(value),
    senders: senders.map(nameOf),
    ...(reads && { reads: reads.address }),
    disabled,
    createdAt,
    ...(renewedAt !== undefined && { renewedAt }),
  }
}
