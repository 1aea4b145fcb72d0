import { createHash } from 'node:crypto'
import { AlreadyExistsError, Attribute, Change, type Client, type Entry, NoSuchObjectError } from 'ldapts'
import type { Publication } from '../ports/publish.js'

/** What our entries bear in their description. An entry without it is somebody else's and is never touched. */
export const ldapMark = 'direct-gateway'

const certificates = 'userCertificate;binary'

/** One of our entries, as it is there. */
export interface Kept {
  readonly dn: string
  readonly digest: string
}

/** The part of a directory that is ours. Each call throws where the directory fails or refuses. */
export interface Unit {
  /** Makes the organizational unit where it is missing. */
  make(): Promise<void>
  /** Our entries by owner; `surplus` are further ones of the same owner. Throws beyond `limit` entries. */
  read(limit: number): Promise<{ readonly found: ReadonlyMap<string, Kept>; readonly surplus: readonly string[] }>
  /** Whether an entry says what is to be published. */
  says(kept: Kept, publication: Publication): boolean
  /** False where somebody else's entry has the name. */
  add(publication: Publication): Promise<boolean>
  change(dn: string, publication: Publication): Promise<void>
  /** An entry that is gone already is fine. */
  remove(dn: string): Promise<void>
}

/** Opens the unit at a distinguished name, through a bound client. */
export function openUnit(client: Client, baseDn: string, pageSize: number): Unit {
  return {
    async make() {
      try {
        await client.search(baseDn, { scope: 'base', attributes: ['1.1'] })
      } catch (error) {
        if (!(error instanceof NoSuchObjectError)) throw error
        const [, ou] = /^ou=((?:[^,\\]|\\.)+)(?:,|$)/i.exec(baseDn) ?? []
        if (ou === undefined) throw new Error(`${baseDn} is not there, and is no organizational unit (ou=…)`)
        await client.add(baseDn, { objectClass: ['top', 'organizationalUnit'], ou: ou.replace(/\\(.)/g, '$1') })
      }
    },

    async read(limit) {
      const found = new Map<string, Kept>()
      const surplus: string[] = []
      const pages = client.searchPaginated(baseDn, {
        scope: 'one',
        filter: `(description=${ldapMark})`,
        attributes: ['cn', 'mail', certificates],
        explicitBufferAttributes: [certificates, 'userCertificate'],
        paged: { pageSize },
      })
      for await (const { searchEntries } of pages)
        for (const entry of searchEntries) {
          const owner = textOf(entry, 'cn')
          if (found.has(owner)) surplus.push(entry.dn)
          else found.set(owner, { dn: entry.dn, digest: digestOf(textOf(entry, 'mail'), derOf(entry)) })
          if (found.size > limit) throw new Error(`more than ${limit} entries`)
        }
      return { found, surplus }
    },

    says: ({ digest }, publication) => digest === digestOf(publication.owner, publication.certificates),

    async add({ owner, certificates: ders }) {
      try {
        await client.add(`cn=${escaped(owner)},${baseDn}`, [
          attribute('objectClass', ['top', 'person', 'organizationalPerson', 'inetOrgPerson']),
          // Nothing about a person but the address: names are for nobody.
          attribute('cn', [owner]),
          attribute('sn', [owner]),
          attribute('mail', [owner]),
          attribute('description', [ldapMark]),
          new Attribute({ type: certificates, values: ders.map((der) => Buffer.from(der)) }),
        ])
        return true
      } catch (error) {
        if (error instanceof AlreadyExistsError) return false
        throw error
      }
    },

    async change(dn, { owner, certificates: ders }) {
      const values = ders.map((der) => Buffer.from(der))
      await client.modify(dn, [
        new Change({ operation: 'replace', modification: attribute('mail', [owner]) }),
        new Change({ operation: 'replace', modification: new Attribute({ type: certificates, values }) }),
      ])
    },

    async remove(dn) {
      try {
        await client.del(dn)
      } catch (error) {
        if (!(error instanceof NoSuchObjectError)) throw error
      }
    },
  }
}

function attribute(type: string, values: string[]): Attribute {
  return new Attribute({ type, values })
}

/** A value within a distinguished name (RFC 4514 §2.4): all that is special anywhere, since local parts may start with `#`. */
function escaped(owner: string): string {
  return owner.replace(/[,+"\\<>;=#/]/g, (char) => `\\${char.charCodeAt(0).toString(16).padStart(2, '0')}`)
}

function textOf(entry: Entry, name: string): string {
  const [first] = [entry[name] ?? ''].flat()
  return String(first ?? '').toLowerCase()
}

function derOf(entry: Entry): Buffer[] {
  // Some servers answer without the option that was asked for.
  return [entry[certificates] ?? entry['userCertificate'] ?? []].flat().map((value) => Buffer.from(value))
}

/** The same for the same owner and certificates, in whatever order the directory has them. */
function digestOf(owner: string, ders: readonly Uint8Array[]): string {
  const each = ders.map((der) => createHash('sha256').update(der).digest('hex')).sort()
  return createHash('sha256')
    .update([owner, ...each].join(' '))
    .digest('hex')
}
