import { readFile, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import type { Address } from './options.js'

/**
 * The password for an address: what the options say, then PGPASSWORD, then the first line that matches in PGPASSFILE or
 * ~/.pgpass (PostgreSQL 34.16). Empty where there is none: a server may ask for none.
 */
export async function passwordFor(address: Address): Promise<string> {
  const { password } = address
  if (typeof password === 'string') return password
  if (password) return password()
  const { PGPASSWORD, PGPASSFILE } = process.env
  if (PGPASSWORD) return PGPASSWORD
  const file = PGPASSFILE ?? join(homedir(), '.pgpass')
  return (await readPrivate(file).then((text) => findPassword(text, address))) ?? ''
}

/** Finds `host:port:database:user:password`; `*` stands for anything, a backslash takes the next character as it is. */
export function findPassword(text: string, address: Omit<Address, 'password' | 'tls'>): string | undefined {
  const host = address.host.startsWith('/') ? 'localhost' : address.host
  const wanted = [host, String(address.port), address.database, address.user]
  for (const line of text.split(/\r?\n/)) {
    if (line.startsWith('#')) continue
    const fields = [...`${line}:`.matchAll(/((?:\\.|[^:\\])*):/g)].map(([, field = '']) => field)
    const matches = wanted.every((one, i) => fields[i] === '*' || unescaped(fields[i]) === one)
    if (matches && fields.length >= 5) return unescaped(fields[4])
  }
  return undefined
}

const unescaped = (field = '') => field.replace(/\\(.)/g, '$1')

/** What others may read is no secret any more and is passed over, as psql does. */
async function readPrivate(file: string): Promise<string> {
  try {
    const { mode } = await stat(file)
    return (mode & 0o077) === 0 ? await readFile(file, 'utf8') : ''
  } catch {
    return ''
  }
}
