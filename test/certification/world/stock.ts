import { spawn } from 'node:child_process'
import { buffer, text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import type { Dovecot } from './dovecot.js'

/** Python's mail clients and parsers: a second opinion that shares nothing with the gateway. */
const script = fileURLToPath(new URL('./stock-mail.py', import.meta.url))

/** Runs the script; rejects with its words where it fails. */
async function python<T>(words: readonly string[], input = ''): Promise<T> {
  const child = spawn('python3', [script, ...words], { stdio: ['pipe', 'pipe', 'pipe'] })
  // A script that ends before it reads is told by its exit code.
  child.stdin.on('error', () => undefined).end(input)
  const ended = new Promise<number | null>((resolve, reject) => child.once('error', reject).once('close', resolve))
  const [out, said, code] = await Promise.all([buffer(child.stdout), text(child.stderr), ended])
  if (code !== 0) throw new Error(`python3 ${words[0]}: ${said.trim().split('\n').at(-1)}`)
  return JSON.parse(out.toString()) as T
}

const listOf = (many: readonly Uint8Array[]) => JSON.stringify(many.map((one) => Buffer.from(one).toString('base64')))
const bytesOf = (text: string) => Buffer.from(text, 'base64')

/** Every message of a mailbox by imaplib and by poplib, over STARTTLS. */
export async function stockFetched(
  { caPath, imapPort, popPort }: Pick<Dovecot, 'caPath' | 'imapPort' | 'popPort'>,
  account: string,
  secret: string,
): Promise<{ readonly imap: readonly Buffer[]; readonly pop: readonly Buffer[] }> {
  const words = ['fetch', caPath, String(imapPort), String(popPort), account, secret]
  const { imap, pop } = await python<Readonly<Record<'imap' | 'pop', readonly string[]>>>(words)
  return { imap: imap.map(bytesOf), pop: pop.map(bytesOf) }
}

export interface StockPart {
  readonly type: string
  readonly name: string | null
  readonly bytes: Buffer
  /** The outermost element where it is XML: `{urn:hl7-org:v3}ClinicalDocument`. */
  readonly root: string | null
}

export interface StockMail {
  /** By lower-case name. */
  readonly fields: Readonly<Record<string, string>>
  readonly defects: readonly string[]
  /** Whatever is no multipart, in order. */
  readonly parts: readonly StockPart[]
}

/** Messages as the email package reads them. */
export async function stockParsed(messages: readonly Uint8Array[]): Promise<readonly StockMail[]> {
  type Told = Omit<StockMail, 'parts'> & { readonly parts: readonly (Omit<StockPart, 'bytes'> & { bytes: string })[] }
  const all = await python<readonly Told[]>(['parse'], listOf(messages))
  return all.map((mail) => ({ ...mail, parts: mail.parts.map((part) => ({ ...part, bytes: bytesOf(part.bytes) })) }))
}

/** What an archive holds, by name. Rejects where it is damaged. */
export async function stockUnzipped(archive: Uint8Array): Promise<Readonly<Record<string, Buffer>>> {
  const [files = {}] = await python<readonly Readonly<Record<string, string>>[]>(['unzip'], listOf([archive]))
  return Object.fromEntries(Object.entries(files).map(([name, text]) => [name, bytesOf(text)]))
}
