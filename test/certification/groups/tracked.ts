import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Finding } from '../finding.js'
import { opened } from '../world/cms.js'
import { actsOf, prepare } from '../world/listener.js'
import { atMost } from '../world/openssl.js'
import type { Caught } from '../world/sink.js'
import { messageIdIn, type Told, toldBy } from '../world/told.js'
import {
  type Asks,
  type EdgeKind,
  edgeAddress,
  farDomain,
  type Owed,
  ourDomain,
  type TrackedDraft,
} from './tracked-letters.js'
import { faultsOfMail, keptOf, type TrackedWorld } from './tracked-world.js'

/** Messages go out, the far side answers as it was told to, and everything that their senders are told is counted. */
interface TrackedLetter extends TrackedDraft {
  /** Without angle brackets. */
  readonly messageId: string
  readonly message: string
}

/** One notice that an edge was given. */
interface Heard extends Told {
  /** When it was first seen, Unix milliseconds. */
  readonly at: number
}

interface Handed {
  readonly at: number
  readonly reply: string
}

export interface Tracked {
  readonly caseId: string
  readonly words: string
  readonly faults: readonly string[]
}

const optionsLine: Readonly<Record<Asks, string | undefined>> = {
  nothing: undefined,
  processed: undefined,
  dispatched: 'Disposition-Notification-Options: X-DIRECT-FINAL-DESTINATION-DELIVERY=optional,true',
  malformed: 'Disposition-Notification-Options: X-XXXX-FINAL-X-DELXXXX=optioXXX,tXX',
}

/** Whom every message names whom nobody looks at. */
const recipientsOf = ({ owed }: TrackedDraft) => owed.map(({ to }) => to)

function written(draft: TrackedDraft, turn: number): TrackedLetter {
  const { caseId, edge, asks } = draft
  const messageId = `${turn}.${caseId.toLowerCase().replace(/[^a-z0-9]+/g, '-')}@ehr.${ourDomain}`
  const options = optionsLine[asks]
  const message = [
    `From: <${edgeAddress(edge)}>`,
    `To: ${recipientsOf(draft)
      .map((to) => `<${to}>`)
      .join(',\r\n ')}`,
    'Subject: Tracked',
    `Message-ID: <${messageId}>`,
    `Date: ${new Date().toUTCString().replace('GMT', '+0000')}`,
    ...(asks === 'nothing' ? [] : [`Disposition-Notification-To: <${edgeAddress(edge)}>`]),
    ...(options === undefined ? [] : [options]),
    'MIME-Version: 1.0',
    'Content-Type: text/plain; charset=utf-8',
    '',
    `The text of ${messageId}.`,
    '',
  ].join('\r\n')
  return { ...draft, messageId, message }
}

/** Sends all drafts and judges each, once nothing more can come. `meanwhile` runs as soon as everything was sent. */
export async function tracked(
  world: TrackedWorld,
  drafts: readonly TrackedDraft[],
  meanwhile?: () => Promise<void>,
): Promise<readonly Tracked[]> {
  const { measure, far, timers } = world
  const letters = drafts.map(written)
  if (letters.length === 0) return []
  measure.tell(`answers to ${letters.length} messages are written`)
  const several = atMost(3)
  await Promise.all(
    letters.flatMap((letter) => recipientsOf(letter).map((to) => several(() => prepared(world, letter, to)))),
  )
  measure.tell('messages are sent')
  const handed = new Map<TrackedLetter, Handed>()
  const edges = [...new Set(letters.map(({ edge }) => edge))]
  await Promise.all(
    edges.map(async (edge) => {
      for (const letter of letters.filter((one) => one.edge === edge)) {
        const at = Date.now()
        handed.set(letter, { at, reply: await world.submit(edge, recipientsOf(letter), letter.message) })
      }
    }),
  )
  await meanwhile?.()
  const watch = watching(world, edges)
  const limit = Date.now() + (timers.dispatched + 45) * 1000
  const owed = letters.flatMap((letter) => letter.owed.map((one) => ({ letter, one })))
  const missing = () =>
    owed.filter(
      ({ letter, one }) =>
        one.told !== 'nothing' && !watch.heard(letter.edge).some((heard) => about(heard, letter, one)),
    )
  for (;;) {
    await watch.look()
    if (Date.now() > limit || (missing().length === 0 && !far.busy())) break
    await sleep(500)
  }
  await settled(world)
  measure.tell('it is quiet')
  await sleep(measure.quietMs)
  await watch.look()
  const strays = edges.flatMap((edge) =>
    watch
      .heard(edge)
      .filter((heard) => !letters.some((letter) => letter.edge === edge && letter.messageId === heard.about)),
  )
  const whole = await world.gateway().tried('verify')
  if (whole.code !== 0) throw new Error(`the store is not whole: ${whole.said.slice(-600)}`)
  if (strays.length > 0) throw new Error(`mail that nobody asked for: ${JSON.stringify(strays)}`)
  return judgedAll(world, letters, handed, watch)
}

const about = (heard: Told, { messageId }: TrackedLetter, { to, told }: Owed) =>
  heard.about === messageId && heard.kind === told && heard.recipients.includes(to.toLowerCase())

function prepared({ far, seals, timers }: TrackedWorld, letter: TrackedLetter, to: string): Promise<void> {
  const [localPart = '', domain] = to.split('@')
  const acts = domain === farDomain ? actsOf(localPart, letter.asks === 'dispatched', timers.dispatched * 1000) : []
  const message = { messageId: `<${letter.messageId}>`, from: edgeAddress(letter.edge) }
  return prepare(far, seals, message, to, acts)
}

interface Watch {
  look(): Promise<void>
  heard(edge: EdgeKind): readonly Heard[]
}

/** Looks into every edge's mailbox, and remembers when each mail was first there; the order in which they stand is nobody's promise. */
function watching({ inbox }: TrackedWorld, edges: readonly EdgeKind[]): Watch {
  const heard = new Map<EdgeKind, Heard[]>(edges.map((edge) => [edge, []]))
  const known = new Map<string, number>()
  return {
    heard: (edge) => heard.get(edge) ?? [],
    async look() {
      for (const edge of edges) {
        const all = await inbox(edge)
        const at = Date.now()
        const counted = new Map<string, number>()
        for (const wire of all) {
          const key = `${edge} ${createHash('sha256').update(wire).digest('hex')}`
          const times = (counted.get(key) ?? 0) + 1
          counted.set(key, times)
          if (times <= (known.get(key) ?? 0)) continue
          known.set(key, times)
          heard.get(edge)?.push({ ...toldBy(wire.toString('latin1')), at })
        }
      }
    },
  }
}

/** Waits until nothing is on its way: the queues are empty, and the far side has said everything. */
export async function settled({ gateway, far, timers }: TrackedWorld): Promise<void> {
  const end = Date.now() + (timers.dispatched + 30) * 1000
  while (Date.now() < end) {
    const waiting = JSON.parse(await gateway().command('queue', 'list', '--json')) as readonly {
      readonly queue: string
    }[]
    if (!far.busy() && !waiting.some(({ queue }) => /submission|inbound|outbound|edge|tracking/.test(queue))) return
    // Each question is a process.
    await sleep(1_500)
  }
}

async function judgedAll(
  world: TrackedWorld,
  letters: readonly TrackedLetter[],
  handed: ReadonlyMap<TrackedLetter, Handed>,
  watch: Watch,
): Promise<readonly Tracked[]> {
  const states = new Map<EdgeKind, ReadonlyMap<string, string>>()
  const kept = new Map<EdgeKind, readonly Told[]>()
  for (const edge of new Set(letters.map((one) => one.edge))) {
    states.set(edge, await statesOf(world, edge))
    kept.set(
      edge,
      (await keptOf(world.gateway(), edgeAddress(edge))).map((wire) => toldBy(wire.toString('latin1'))),
    )
  }
  const several = atMost(3)
  return Promise.all(
    letters.map(async (letter): Promise<Tracked> => {
      const heard = watch.heard(letter.edge).filter((one) => one.about === letter.messageId)
      const there = (kept.get(letter.edge) ?? []).filter((one) => one.about === letter.messageId)
      const { at = 0, reply = 'was not sent' } = handed.get(letter) ?? {}
      const faults = [
        ...(reply.startsWith('250') ? [] : [`was refused: ${reply}`]),
        ...letter.owed.flatMap((one) => faultsOfNotices(letter, one, heard, at, world.timers)),
        ...letter.owed.flatMap((one) => faultOfState(one, letter, states.get(letter.edge))),
        ...(there.length === heard.length
          ? []
          : [`its mailbox here holds ${there.length} notices, the edge has ${heard.length}`]),
        ...answersRefused(world, letter),
        ...(await several(() => faultsOfTrail(world, letter))),
        ...(await several(() => faultsOfMails(world, letter))),
      ]
      return { caseId: letter.caseId, words: wordsOf(letter, heard, at), faults }
    }),
  )
}

/** Each recipient's notices: exactly what is owed, once, and not before its time. */
function faultsOfNotices(
  { asks }: TrackedLetter,
  { to, told, after }: Owed,
  heard: readonly Heard[],
  handedAt: number,
  timers: TrackedWorld['timers'],
): readonly string[] {
  // Whether a malformed request still asks to be told `processed` is left to us.
  const own = heard.filter(
    ({ kind, recipients }) =>
      recipients.includes(to.toLowerCase()) && !(asks === 'malformed' && kind === 'processed' && told === 'nothing'),
  )
  const kinds = own.map(({ kind }) => kind).join(' ')
  const wrong: string[] = []
  if (kinds !== (told === 'nothing' ? '' : told)) wrong.push(`${to}: told ${kinds || 'nothing'}, not ${told}`)
  const [first] = own
  if (first && after && first.at < handedAt + timers[after] * 1000)
    wrong.push(`${to}: told after ${first.at - handedAt} ms, not after ${timers[after]} s`)
  return wrong
}

/** By Message-ID and recipient, what the sender's list of sent messages says. */
async function statesOf({ gateway }: TrackedWorld, edge: EdgeKind): Promise<ReadonlyMap<string, string>> {
  const states = new Map<string, string>()
  const base = `/api/v1/mailboxes/${encodeURIComponent(edgeAddress(edge))}/submissions?limit=200`
  for (let cursor = ''; ; ) {
    const { status, bytes } = await gateway().ask(`${base}${cursor}`)
    if (status !== 200) throw new Error(`${base} answered ${status}`)
    const page = JSON.parse(bytes.toString()) as {
      readonly submissions: readonly {
        readonly messageId: string
        readonly recipients: readonly { readonly recipient: string; readonly state: string }[]
      }[]
      readonly next?: string
    }
    for (const { messageId, recipients } of page.submissions)
      for (const { recipient, state } of recipients) states.set(`${messageId} ${recipient}`, state)
    if (page.next === undefined) return states
    cursor = `&cursor=${encodeURIComponent(page.next)}`
  }
}

function faultOfState(
  { to, state }: Owed,
  { messageId }: TrackedLetter,
  states?: ReadonlyMap<string, string>,
): readonly string[] {
  const said = states?.get(`<${messageId}> ${to}`)
  return state === undefined || said === state ? [] : [`${to}: its state is ${said ?? 'unknown'}, not ${state}`]
}

/** What came too late, or once more, is told to nobody, and still known. */
async function faultsOfTrail(
  { gateway }: TrackedWorld,
  { messageId, owed }: TrackedLetter,
): Promise<readonly string[]> {
  if (!owed.some(({ swallowed }) => swallowed)) return []
  const { said } = await gateway().tried('trace', `<${messageId}>`, '--json')
  return /"step":\s*"swallowed"/.test(said) ? [] : ['its trail says nothing of what came late']
}

/** What the far side said that was sealed as it must be, and was not taken. */
function answersRefused({ far }: TrackedWorld, { messageId }: TrackedLetter): readonly string[] {
  return far.sent
    .filter(({ wire }) => messageIdIn(wire.toString('latin1')).endsWith(`.${messageId}`))
    .filter(
      ({ wire, reply }) =>
        /^content-type:\s*application\/pkcs7-mime/im.test(wire.toString('latin1')) && !reply.startsWith('250'),
    )
    .map(({ reply, from }) => `an answer from <${from}> was not taken: ${reply}`)
}

/** What the far side got of a message: once, for exactly those who are there, and as it was written. */
async function faultsOfMails(world: TrackedWorld, letter: TrackedLetter): Promise<readonly string[]> {
  const mails = world.far.caught.filter(({ wire }) => messageIdIn(wire.toString('latin1')) === letter.messageId)
  const expected = letter.owed.filter(({ to, kept }) => !kept && to.endsWith(`@${farDomain}`)).map(({ to }) => to)
  const reached = mails.flatMap(({ to }) => to)
  const wrong =
    [...reached].sort().join() === [...expected].sort().join() ? [] : [`reached ${reached.join(' ') || 'nobody'}`]
  const inside = await Promise.all(mails.map((mail) => faultsOfInside(world, letter, mail)))
  return [...wrong, ...inside.flat()]
}

async function faultsOfInside(
  world: TrackedWorld,
  letter: TrackedLetter,
  { wire }: Caught,
): Promise<readonly string[]> {
  const { openssl, seals, ours } = world
  const read = await opened(openssl, wire, seals.far, ours.certificatePath)
  if (read.kind === 'closed') return [read.detail]
  const wrong = judgesRules(world, letter) ? [...(await faultsOfMail(wire, seals.far))] : []
  if (!read.entity.includes(`The text of ${letter.messageId}.`)) wrong.push('other content')
  // RFC 8098 §2.2: whoever is asked must see what was asked, unchanged.
  for (const name of ['Disposition-Notification-To', 'Disposition-Notification-Options']) {
    const line = (text: string) => new RegExp(`^${name}:.*$`, 'im').exec(text)?.[0].trim()
    if (line(read.entity) !== line(letter.message)) wrong.push(`${name} became ${line(read.entity) ?? 'nothing'}`)
  }
  return wrong
}

/** Every mail is held against the rules of the validators, a dozen programs each; in the quick run only those of variants. */
function judgesRules({ measure }: TrackedWorld, { about }: TrackedLetter): boolean {
  return measure.peers === 'programs' || about !== ''
}

function wordsOf({ about: label, owed }: TrackedLetter, heard: readonly Heard[], handedAt: number): string {
  const told = owed.map(({ to }) => {
    const own = heard.filter(({ recipients }) => recipients.includes(to.toLowerCase()))
    const words = own.map(({ kind, at }) => `${kind} after ${((at - handedAt) / 1000).toFixed(1)} s`).join(' + ')
    return `${owed.length > 1 ? `${to.split('@')[0]} ` : ''}${words || 'told nothing'}`
  })
  return `${label === '' ? '' : `${label}: `}${told.join(', ')}`
}

/** One finding a case: it passed where all of its messages did. */
export function findingsOf(judged: readonly Tracked[]): readonly Finding[] {
  const byCase = new Map<string, Tracked[]>()
  for (const one of judged) byCase.set(one.caseId, [...(byCase.get(one.caseId) ?? []), one])
  return [...byCase].map(([id, own]) => ({
    id,
    passed: own.every(({ faults }) => faults.length === 0),
    seen: own.map(({ words, faults }) => [words, ...faults.map((one) => `!! ${one}`)].join(', ')).join('; '),
  }))
}
