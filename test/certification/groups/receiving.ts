import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { openMail } from '../../../src/demo/mail.js'
import { cases } from '../cases.js'
import { complete, type Finding, type Measure, wants } from '../finding.js'
import { startNameServer } from '../world/dns.js'
import { deadlineSeconds, type Gateway, startGateway } from '../world/gateway.js'
import { startWeb, type WebServer } from '../world/http.js'
import { type Notice, readNotice } from '../world/notice.js'
import { atMost, type OpenSsl, openSsl } from '../world/openssl.js'
import { type Authority, openPki, type Party, type Pki } from '../world/pki.js'
import { startBind } from '../world/programs.js'
import { type Caught, type Sink, startSink } from '../world/sink.js'
import { mailDomain } from '../world/zone.js'
import { drafts, lenientDomain } from './drafts.js'
import { compose, type Letter, ourAddress, ourDomain, theirDomain } from './letters.js'

/** What may come to us from other gateways, good and bad, and what we answer. */
export interface Clinic {
  readonly openssl: OpenSsl
  readonly web: WebServer
  /** Trusted by our domains. */
  readonly authority: Authority
  /** Its bytes stand where nothing does: see the drafts. */
  readonly hidden: Authority
  readonly stranger: Authority
  /** Another authority that nobody trusts. */
  makeRoot(name: string): Promise<Authority>
  /** Whether our first domain can refuse what publishes no revocation. */
  readonly demandsRevocation: boolean
  /** Of the whole domain of the sender. */
  readonly sender: Party
}

/** What was seen of one letter. */
interface Outcome {
  readonly reply: string
  readonly notices: readonly Notice[]
  readonly delivered: number
  /** Why it was refused, where it is in quarantine. */
  readonly reasons: string
  readonly faults: readonly string[]
}

/** Runs the group: everything is sent, everything expected awaited, and after a quiet time each letter judged. */
export async function receiving(measure: Measure): Promise<readonly Finding[]> {
  const openssl = openSsl(join(measure.home, 'openssl'))
  const web = await startWeb()
  const sink = await startSink()
  const zone = [...mailDomain(theirDomain), ...mailDomain(`sub.${theirDomain}`), ...mailDomain('elsewhere.test')]
  const names =
    measure.peers === 'programs' ? await startBind(join(measure.home, 'bind'), zone) : await startNameServer(zone)
  const closers: (() => Promise<unknown>)[] = [web.close, sink.close, names.close]
  try {
    const pki = openPki(openssl)
    const clinic = await newClinic(openssl, pki, web, false)
    const ours = await pki.root('Patients Root')
    const key = await ours.issue('Patients', { subjectAltName: `DNS:${ourDomain}` })
    const lenientKey = await ours.issue('Lenient', { subjectAltName: `DNS:${lenientDomain}` })
    measure.tell('receiving: letters are written')
    const wanted = cases.filter(({ group, id }) => group === 'receiving' && wants(measure, id))
    const letters = await lettersOf(clinic, { key, lenientKey }, new Set(wanted.map(({ id }) => id)))

    const gateway = await startGateway(
      join(measure.home, 'gateway'),
      {
        domains: { [ourDomain]: [ourAddress], [lenientDomain]: [`pat.sample@${lenientDomain}`] },
        keys: [
          { owner: ourDomain, party: key },
          { owner: lenientDomain, party: lenientKey },
        ],
        anchors: [ourDomain, lenientDomain].map((owner) => ({ owner, party: clinic.authority })),
        commands: [
          ['domain', 'set', ourDomain, '--revocation', 'hard'],
          ['domain', 'set', lenientDomain, '--allow-sha1', 'yes', '--revocation', 'soft'],
        ],
      },
      { namePort: names.port, sinkPort: sink.port, ...(measure.program !== undefined && { program: measure.program }) },
    )
    closers.push(gateway.close)
    const outcomes = await exchanged(measure, letters, gateway, sink, { openssl, authority: ours })
    const unexpected = sink.caught.filter(({ to }) => !letters.some(({ from }) => to.some((one) => same(one, from))))
    if (unexpected.length > 0)
      throw new Error(`mail that nobody asked for: ${unexpected.map(({ to }) => to).join(' ')}`)
    return complete('receiving', measure, findingsOf(letters, outcomes, web))
  } finally {
    for (const close of closers.reverse()) await close()
  }
}

async function newClinic(openssl: OpenSsl, pki: Pki, web: WebServer, demandsRevocation: boolean): Promise<Clinic> {
  const places = (name: string) => ({ crl: `${web.url}/${name}.crl`, aia: `${web.url}/${name}.cer` })
  const authority = await pki.root('Clinic Root', places('clinic'))
  const hidden = await authority.subordinate('Hidden Issuing Authority', places('hidden'))
  // A short name and a long one: signer infos are a set, and DER puts the shorter first.
  const stranger = await pki.root('No', places('stranger'))
  const sender = await authority.issue('Clinic', { subjectAltName: `DNS:${theirDomain}` })
  const publish = (path: string, type: string, bytes: () => Buffer | Promise<Buffer>) =>
    web.places.set(path, { kind: 'bytes', type, bytes })
  publish('/clinic.crl', 'application/pkix-crl', () => authority.list())
  publish('/clinic.cer', 'application/pkix-cert', () => authority.certificate)
  publish('/hidden.crl', 'application/pkix-crl', () => hidden.list())
  publish('/stranger.crl', 'application/pkix-crl', () => stranger.list())
  publish('/stranger.cer', 'application/pkix-cert', () => stranger.certificate)
  publish('/page.cer', 'text/html', () => Buffer.from('<html><body>Not found</body></html>'))
  web.places.set('/hanging.cer', { kind: 'hangs' })
  return { openssl, web, authority, hidden, stranger, sender, makeRoot: (name) => pki.root(name), demandsRevocation }
}

async function lettersOf(
  clinic: Clinic,
  { key, lenientKey }: { readonly key: Party; readonly lenientKey: Party },
  wanted: ReadonlySet<string>,
): Promise<readonly Letter[]> {
  const several = atMost(3)
  const all = await Promise.all(
    [...wanted].map(async (caseId) => {
      const made = await (drafts[caseId]?.(clinic, caseId) ?? [])
      return Promise.all(
        made.map((draft) => {
          const recipient = draft.to?.endsWith(`@${lenientDomain}`) ? lenientKey : key
          return several(() => compose(clinic.openssl, recipient, caseId, draft))
        }),
      )
    }),
  )
  return all.flat()
}

/** Sends every letter and answers what came of each, once nothing more can come. */
async function exchanged(
  { tell, quietMs }: Measure,
  letters: readonly Letter[],
  gateway: Gateway,
  sink: Sink,
  far: { readonly openssl: OpenSsl; readonly authority: Authority },
): Promise<ReadonlyMap<Letter, Outcome>> {
  tell(`receiving: ${letters.length} letters are sent`)
  const replies = new Map<Letter, string>()
  for (const letter of letters) {
    const session = await openMail(gateway.smtpPort)
    replies.set(letter, await session.send(letter.from, [letter.to], letter.wire))
    session.close()
  }
  const noticesTo = ({ from }: Letter) => sink.caught.filter(({ to }) => to.some((one) => same(one, from)))
  const owed = { processed: 1, dispatched: 2, nothing: 0 }
  const missing = () => letters.filter((letter) => noticesTo(letter).length < owed[letter.expect])
  const deadline = Date.now() + 30_000
  while (missing().length > 0 && Date.now() < deadline) await sleep(100)
  await settled(gateway)
  tell('receiving: it is quiet')
  await sleep(quietMs)

  const refused = await refusedBy(gateway)
  const kept = new Map<string, Awaited<ReturnType<Gateway['messages']>>>()
  for (const to of new Set(letters.map(({ to: address }) => address.toLowerCase())))
    kept.set(to, await gateway.messages(to))
  const several = atMost(3)
  return new Map(
    await Promise.all(
      letters.map(async (letter): Promise<[Letter, Outcome]> => {
        const reply = replies.get(letter) ?? ''
        const notices = await Promise.all(
          noticesTo(letter).map((caught) => several(() => readAnswer(letter, caught, far))),
        )
        const here = (kept.get(letter.to.toLowerCase()) ?? []).filter(({ messageId }) => messageId === letter.messageId)
        const faults: string[] = []
        for (const { id, attachments } of here) {
          const address = letter.to.toLowerCase()
          const original = await gateway.original(address, id)
          if (!original.equals(letter.original)) faults.push('what was delivered is not what was written')
          const bytes = await Promise.all(attachments.map(({ index }) => gateway.attachment(address, id, index)))
          for (const [n, sent] of letter.attachments.entries())
            if (!bytes.some((got) => got.equals(sent))) faults.push(`attachment ${n} did not arrive byte for byte`)
        }
        const reasons = refused.get(/^250 2\.0\.0 (\S+)/.exec(reply)?.[1] ?? '') ?? ''
        return [letter, { reply, notices, delivered: here.length, reasons, faults }]
      }),
    ),
  )
}

function readAnswer(
  { reader, to }: Letter,
  caught: Caught,
  { openssl, authority }: { readonly openssl: OpenSsl; readonly authority: Authority },
): Promise<Notice> {
  return readNotice(openssl, caught, reader, authority.certificatePath, to)
}

/** Waits until every message that was accepted is judged: what waits for a verdict has a deadline. */
async function settled(gateway: Gateway): Promise<void> {
  const end = Date.now() + (deadlineSeconds + 10) * 1000
  while (Date.now() < end) {
    const waiting = JSON.parse(await gateway.command('queue', 'list', '--json')) as readonly {
      readonly queue: string
    }[]
    if (!waiting.some(({ queue }) => /inbound|outbound/.test(queue))) return
    await sleep(500)
  }
}

/** Reasons by spool id. */
async function refusedBy(gateway: Gateway): Promise<ReadonlyMap<string, string>> {
  const rows = JSON.parse(await gateway.command('quarantine', 'list', '--json', '--limit', '1000')) as readonly {
    readonly id: string
    readonly reasons: readonly string[]
  }[]
  return new Map(rows.map(({ id, reasons }) => [id, reasons.join(' ')]))
}

function findingsOf(
  letters: readonly Letter[],
  outcomes: ReadonlyMap<Letter, Outcome>,
  web: WebServer,
): readonly Finding[] {
  const byCase = new Map<string, Letter[]>()
  for (const letter of letters) byCase.set(letter.caseId, [...(byCase.get(letter.caseId) ?? []), letter])
  return [...byCase].map(([id, own]) => {
    const judged = own.map((letter) => {
      const outcome = outcomes.get(letter)
      const faults = outcome ? faultsOf(letter, outcome) : ['was not sent']
      const label = letter.about === '' ? '' : `${letter.about}: `
      return {
        faults,
        words: `${label}${[...(outcome ? [wordsOf(outcome)] : []), ...faults.map((one) => `!! ${one}`)].join(', ')}`,
      }
    })
    // The suite sees that the list was asked for.
    const asked = id !== 'RCV-DT-ExceptionPathRevokedCert' || web.asked.includes('/clinic.crl')
    const passed = asked && judged.every(({ faults }) => faults.length === 0)
    return {
      id,
      passed,
      seen: `${judged.map(({ words }) => words).join('; ')}${asked ? '' : '; !! no list was fetched'}`,
    }
  })
}

function wordsOf({ reply, notices, delivered, reasons }: Outcome): string {
  const told = notices.map(({ disposition }) => disposition || 'unreadable').sort()
  const refusal = reasons || (reply.startsWith('250') ? '' : reply)
  return [delivered > 0 ? 'delivered' : 'not delivered', ...told, ...(refusal ? [refusal] : [])].join(' + ')
}

/** What does not fit the expectation; none where all does, the negative half included. */
function faultsOf(letter: Letter, { reply, notices, delivered, reasons, faults }: Outcome): readonly string[] {
  const told = notices
    .map(({ disposition }) => disposition)
    .sort()
    .join(' ')
  const wrong = [...faults, ...notices.flatMap((notice) => notice.faults)]
  if (notices.some(({ originalMessageId }) => originalMessageId !== letter.messageId))
    wrong.push('a notice about another message')
  if (letter.expect === 'nothing') {
    if (delivered > 0) wrong.push('was delivered')
    if (notices.length > 0) wrong.push(`${notices.length} notices`)
    // Silence proves nothing before it was judged.
    if (reply.startsWith('250') && reasons === '') wrong.push('was never refused')
    return wrong
  }
  if (!reply.startsWith('250')) wrong.push(`was refused: ${reply}`)
  if (delivered !== 1) wrong.push(`was delivered ${delivered} times`)
  const wanted = letter.expect === 'processed' ? 'processed' : 'dispatched processed'
  if (told !== wanted) wrong.push(`the notices are ${told || 'none'}, not ${wanted}`)
  return wrong
}

const same = (one: string, other: string) => one.toLowerCase() === other.toLowerCase()
