import type { Entry } from '../ports/store.js'
import { type Vault, VaultFailed } from '../ports/vault.js'

/**
 * Rows of applications, grants and the history. Keys have ids alone.
 *
 * | key                                           | value                                          |
 * |-----------------------------------------------|------------------------------------------------|
 * | `consent/app/<app>`                           | whose data key (app or master), then the app, sealed |
 * | `consent/child/<master>/<app>`                | nothing                                        |
 * | `consent/grant/<grant>`                       | whose data key (the record), then the grant, sealed |
 * | `consent/standing/<person>/<record>/<app>`    | id of the grant that stands                    |
 * | `consent/record/<record>/<grant>`             | nothing, while the grant stands                |
 * | `consent/changed/<app>/<time>/<grant>`        | nothing, while the grant stands                |
 * | `consent/told/<app>/<pseudonym>/<grant>`      | nothing, while the grant stands                |
 * | `consent/activity/<record>/<time>-<random>`   | a line of the history, sealed                  |
 */
export const appPrefix = 'consent/app/'
export const grantPrefix = 'consent/grant/'

export const appKey = (app: string) => `${appPrefix}${segment(app)}`
export const childPrefix = (master: string) => `consent/child/${segment(master)}/`
export const childKey = (master: string, app: string) => childPrefix(master) + segment(app)
export const grantKey = (grant: string) => `${grantPrefix}${segment(grant)}`
export const standingPrefix = (person: string) => `consent/standing/${segment(person)}/`
export const standingKey = (app: string, person: string, record: string) =>
  `${standingPrefix(person)}${segment(record)}/${segment(app)}`
export const recordPrefix = (record: string) => `consent/record/${segment(record)}/`
export const recordKey = (record: string, grant: string) => recordPrefix(record) + segment(grant)
export const changedPrefix = (app: string) => `consent/changed/${segment(app)}/`
export const changedKey = (app: string, at: number, grant: string) =>
  `${changedPrefix(app)}${timeText(at)}/${segment(grant)}`
/** Grants of an app in a record that it names as it was told. */
export const toldPrefix = (app: string, told: string) => `consent/told/${segment(app)}/${segment(told)}/`
export const toldKey = (app: string, told: string, grant: string) => toldPrefix(app, told) + segment(grant)
export const activityPrefix = (record: string) => `consent/activity/${segment(record)}/`

export const appOwner = (app: string) => `app/${segment(app)}`
export const recordOwner = (record: string) => `record/${segment(record)}`

const timeDigits = 15

/** Unix milliseconds so that texts sort as times do. */
export function timeText(at: number): string {
  return String(Math.min(Math.max(0, Math.trunc(at)), 10 ** timeDigits - 1)).padStart(timeDigits, '0')
}

/** Whether a text could be an id: what could not be is not looked up. */
export function isId(text: string): boolean {
  return /^[\x21-\x7e]{1,128}$/.test(text)
}

function segment(text: string): string {
  return encodeURIComponent(text)
}

/** A random UUID (RFC 9562 §5.4). */
export function newId(bytes: Uint8Array): string {
  return uuidOf(bytes, 0x40)
}

/** 16 bytes as a UUID of this version, `0x40` for 4. */
export function uuidOf(bytes: Uint8Array, version: number): string {
  const all = Buffer.from(bytes.subarray(0, 16))
  all[6] = ((all[6] ?? 0) & 0x0f) | version
  all[8] = ((all[8] ?? 0) & 0x3f) | 0x80
  const hex = all.toString('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}

/** JSON sealed for an owner whose name stands before it, so that the row opens without knowing whose it is. */
export async function sealOwned(vault: Vault, owner: string, key: string, value: unknown): Promise<Uint8Array> {
  const sealed = await vault.seal(owner, key, Buffer.from(JSON.stringify(value)))
  return Buffer.concat([Buffer.from(`${owner}\n`), sealed])
}

/** What `sealOwned` sealed. Throws VaultFailed where the row was changed or moved. */
export async function openOwned<T>(
  vault: Pick<Vault, 'open'>,
  { key, value }: Pick<Entry, 'key' | 'value'>,
): Promise<T> {
  const end = value.indexOf(0x0a)
  if (end < 0) throw new VaultFailed('The row does not say whose it is')
  const owner = Buffer.from(value.subarray(0, end)).toString('latin1')
  const plain = await vault.open(owner, key, value.subarray(end + 1))
  return JSON.parse(Buffer.from(plain.buffer, plain.byteOffset, plain.length).toString('utf8')) as T
}
