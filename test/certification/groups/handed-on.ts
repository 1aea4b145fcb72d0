import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { until } from '../../fixtures/process.js'
import { cases } from '../cases.js'
import { submitted, swaks } from '../world/smtp-client.js'
import { stockParsed, stockUnzipped } from '../world/stock.js'
import { type ClinicsWorld, doctor, nurse } from './clinics-world.js'
import { type Attached, nameOf } from './letters.js'
import { documents, type Sample, xdmDocument } from './samples.js'

/** Messages with documents, from an EHR through two gateways to another: what comes out is held against what went in. */

/** What a case sends: its parts in their order. */
const note: Sample = { name: '', type: 'text/plain', bytes: Buffer.from('See the attachment. Grüße!\r\n') }
const { ccda, pdf, xdm, badStylesheet, noStylesheet, badPageXdm, octetXdm, applicationXmlXdm } = documents

export const partsOf: Readonly<Record<string, readonly Sample[]>> = {
  'SMTP-25a': [note, ccda],
  'SMTP-25b': [pdf, ccda],
  'SMTP-25c': [note, xdm],
  'SMTP-25d': [ccda, note],
  'SMTP-25e': [ccda, pdf],
  'SMTP-25f': [xdm, note],
  'SMTP-26a': [note, badStylesheet],
  'SMTP-26b': [note, noStylesheet],
  'SMTP-27': [note, badPageXdm],
  'SMTP-28': [note, octetXdm],
  'SMTP-29': [note, applicationXmlXdm],
  'SMTP-16': [note],
  'DT-SMTP-HappyPathPlainDirectMessage': [note, ccda],
}

export const messageIdOf = (caseId: string, about = '') => `<${nameOf(caseId, about)}@north.test>`

/** A message from our doctor, as an EHR writes it. */
export function written(caseId: string, to: string, parts: readonly Attached[] = [note], about = ''): string {
  if (!cases.some(({ id }) => id === caseId)) throw new Error(`${caseId} is no case`)
  const header = [
    `From: Doctor <${doctor}>`,
    `To: <${to}>`,
    'Subject: Documents',
    `Message-ID: ${messageIdOf(caseId, about)}`,
    `Date: ${new Date().toUTCString().replace('GMT', '+0000')}`,
    'MIME-Version: 1.0',
  ]
  const boundary = 'the-parts-of-this-message'
  const body = parts.map((part) => `--${boundary}\r\n${partOf(part)}\r\n`)
  const type = `Content-Type: multipart/mixed; boundary="${boundary}"`
  return `${header.join('\r\n')}\r\n${type}\r\n\r\n${body.join('')}--${boundary}--\r\n`
}

function partOf({ name, type, bytes }: Attached): string {
  const named =
    name === ''
      ? [`Content-Type: ${type}; charset=utf-8`]
      : [`Content-Type: ${type}; name="${name}"`, `Content-Disposition: attachment; filename="${name}"`]
  const text = bytes.toString('base64').replace(/.{76}(?=.)/g, '$&\r\n')
  return [...named, 'Content-Transfer-Encoding: base64', '', text, ''].join('\r\n')
}

/** The suite's own samples, where they lie beside the project: each in the place of the last of our documents. */
const corpus = fileURLToPath(new URL('../../../../shared/corpus/clinical/onc-ett', import.meta.url))
const theirFiles: Readonly<Record<string, string>> = {
  'SMTP-25a': 'CCDA_Ambulatory.xml',
  'SMTP-25b': 'CCDA_Inpatient.xml',
  'SMTP-25c': 'CCDA_Ambulatory_in_XDM.zip',
  'SMTP-25d': 'CCDA_Ambulatory.xml',
  'SMTP-25e': 'CCDA_Inpatient.xml',
  'SMTP-25f': 'CCDA_INPATIENT_IN_XDM.ZIP',
  'SMTP-27': 'BadXHTML.zip',
  'SMTP-28': 'XDM_FULL.ZIP',
  'SMTP-29': 'XDM_LIM.ZIP',
}

/** The same parts with the suite's sample; none where it has none for the case, or is not there. */
function withTheirs(caseId: string, parts: readonly Sample[]): readonly Sample[] | undefined {
  const name = theirFiles[caseId]
  if (name === undefined || !existsSync(join(corpus, name))) return undefined
  const bytes = readFileSync(join(corpus, name))
  const place = parts.findLast((part) => part === ccda || /zip/i.test(part.name))
  return parts.map((part) => (part === place ? { ...part, name, bytes } : part))
}

/** Sends what the case is about, and looks at what the other EHR was given. */
export async function handedOn(world: ClinicsWorld, caseId: string) {
  const parts = partsOf[caseId] ?? []
  const theirs = withTheirs(caseId, parts)
  const looks = [
    await sentOn(world, caseId, parts, ''),
    ...(theirs ? [await sentOn(world, caseId, theirs, 'theirs')] : []),
  ]
  const missing =
    !theirs && theirFiles[caseId] !== undefined ? ["SKIPPED: the suite's sample is not beside the project"] : []
  return {
    seen: [...looks.map(({ seen }) => seen), ...missing].join('; '),
    wrong: looks.flatMap(({ wrong }) => wrong),
  }
}

async function sentOn(world: ClinicsWorld, caseId: string, parts: readonly Sample[], about: string) {
  const content = written(caseId, nurse, parts, about)
  const reply = caseId.startsWith('DT-')
    ? await bySwaks(world, caseId, content)
    : await submitted(world.submissionPort, world.ca, world.login, { from: doctor, to: [nurse], content })
  if (!reply.startsWith('250')) return { seen: reply.slice(0, 200), wrong: ['was not accepted'] }
  const pushed = await arrived(world, messageIdOf(caseId, about))
  if (!pushed) return { seen: reply, wrong: ['never came to the other EHR'] }
  const names = parts.map(({ name }) => name || 'text').join(', ')
  return { seen: `${names}: ${pushed.length} octets came`, wrong: await partFaults(parts, pushed) }
}

/** The message as it was pushed; undefined where it never was. */
export async function arrived({ system }: ClinicsWorld, messageId: string): Promise<Buffer | undefined> {
  const there = () => system.caught.find(({ wire }) => wire.includes(`\r\nMessage-ID: ${messageId}\r\n`))?.wire
  return until(there, 40_000).catch(() => undefined)
}

/** A client that is not ours, told to verify the listener's certificate. Answers the reply to the message. */
async function bySwaks(world: ClinicsWorld, caseId: string, content: string): Promise<string> {
  const { submissionPort, caPath, login, write } = world
  const { said } = await swaks(submissionPort, [
    ...['--tls', '--tls-verify', '--tls-ca-path', caPath, '--auth', 'PLAIN'],
    ...['--auth-user', login.account, '--auth-password', login.secret],
    ...['--from', doctor, '--to', nurse, '--data', `@${write(`${nameOf(caseId)}.eml`, Buffer.from(content))}`],
  ])
  // Replies inside TLS are shown behind `<~  `; the last but one is to the end of DATA.
  const replies = [...said.matchAll(/^<~[ *]{2}(\d{3} .*)$/gm)].map(([, reply = '']) => reply)
  if (!replies.some((reply) => reply.startsWith('235'))) return `no 235: ${replies.at(-1) ?? said.slice(-200)}`
  return replies.findLast((reply) => !reply.startsWith('221')) ?? said.slice(-200)
}

/** What is wrong with the parts of a message, as Python reads them: bytes, types, names and order. */
async function partFaults(sent: readonly Sample[], wire: Buffer): Promise<readonly string[]> {
  const [mail] = await stockParsed([wire])
  if (!mail) return ['cannot be read']
  const wrong = [...mail.defects]
  if (mail.parts.length !== sent.length) wrong.push(`${mail.parts.length} parts, not ${sent.length}`)
  for (const [n, { name, type, bytes, root }] of sent.entries()) {
    const part = mail.parts[n]
    const what = name || 'the text'
    if (!part?.bytes.equals(bytes)) wrong.push(`${what} did not come byte for byte`)
    else if (part.type !== type || (part.name ?? '') !== name)
      wrong.push(`${what} (${type}) came as ${part.name} (${part.type})`)
    else if (part.root !== (root ?? null)) wrong.push(`${what} is read as ${part.root}`)
    else if (/zip/i.test(name) && !holdsDocument(await stockUnzipped(part.bytes)))
      wrong.push(`${what} does not hold its document`)
  }
  return wrong
}

function holdsDocument(files: Readonly<Record<string, Buffer>>): boolean {
  const ours = files[xdmDocument]
  return ours ? ours.equals(ccda.bytes) : Object.values(files).some((file) => file.includes('<ClinicalDocument'))
}
