import { setTimeout as sleep } from 'node:timers/promises'
import type { RecordItemType } from '../direct/clinical.js'
import type { Refused } from '../direct/refusal.js'
import type { TrailStep } from '../direct/verdict.js'
import { sampleTypes } from './documents.js'
import type { ReceivedMail } from './mail.js'
import type { Credentials, OpenSsl } from './openssl.js'
import { patient, type Scene } from './story.js'

/** A message of the story with the gateway's reply to it. */
export interface Sent {
  readonly scene: Scene
  readonly reply: string
  /** The spool id in the reply. */
  readonly id: string
}

export interface ListedMessage {
  readonly from: string
  readonly subject: string
  readonly attachments: readonly { readonly mediaType: string; readonly sizeBytes: number }[]
}

export interface ListedItem {
  readonly state: string
  readonly when?: unknown
  readonly negated: boolean
  readonly content: { readonly type: RecordItemType } & Readonly<Record<string, unknown>>
}

/** A notice as OpenSSL opened it. */
export interface OpenedNotice {
  /** Message-ID of what it speaks of, in angle brackets. */
  readonly about: string
  readonly disposition: string
}

/** All that can be seen of the gateway from outside once the story was told. */
export interface Seen {
  readonly sent: readonly Sent[]
  readonly messages: readonly ListedMessage[]
  readonly items: readonly ListedItem[]
  readonly notices: readonly OpenedNotice[]
  /** What the trail says of each message that was to be refused, by its spool id. */
  readonly refusals: ReadonlyMap<string, Pick<Refused, 'reason' | 'detail'>>
}

/** One thing that must be so. */
export interface Check {
  readonly what: string
  readonly ok: boolean
  readonly detail: string
}

export interface View {
  readonly url: string
  /** Reads the patient's mail and record, and trails. */
  readonly token: string
  readonly sent: readonly Sent[]
  readonly notices: readonly ReceivedMail[]
  readonly openssl: OpenSsl
  /** Opens the notices. */
  readonly provider: Credentials
  /** Must have issued who signed them. */
  readonly authority: Credentials
}

const patienceMs = 30_000

/** Asks again until `good`, at most `patienceMs`; answers the last answer. */
async function eventually<T>(ask: () => Promise<T>, good: (answer: T) => boolean): Promise<T> {
  const end = Date.now() + patienceMs
  for (;;) {
    const answer = await ask()
    if (good(answer) || Date.now() > end) return answer
    await sleep(50)
  }
}

const delivered = (sent: readonly Sent[]) => sent.filter(({ scene }) => scene.refusal === undefined)
const refused = (sent: readonly Sent[]) => sent.filter(({ scene }) => scene.refusal !== undefined)

/** Looks at the gateway from outside: through its API, and through the notices that it sent. */
export async function look(view: View): Promise<Seen> {
  const { sent, openssl } = view
  const expected = delivered(sent).length
  const { messages } = await eventually(
    () => get<{ messages: ListedMessage[] }>(view, `/mailboxes/${patient}/messages`),
    ({ messages }) => messages.length >= expected,
  )
  const refusals = new Map<string, Pick<Refused, 'reason' | 'detail'>>()
  for (const { id } of refused(sent)) {
    const { steps } = await eventually(
      () => get<{ steps: TrailStep[] }>(view, `/trail/${id}`),
      ({ steps }) => steps.some(({ step }) => step === 'refused'),
    )
    const refusal = steps.find(({ step }) => step === 'refused')?.refusal
    if (refusal) refusals.set(id, refusal)
  }
  await eventually(
    async () => view.notices.length,
    (count) => count >= expected,
  )
  const notices = await Promise.all(
    view.notices.map(async ({ wire }) => readNotice(await openssl.openNotice(wire, view.provider, view.authority))),
  )
  return { sent, messages, items: await everyItem(view), notices, refusals }
}

async function get<T>({ url, token }: Pick<View, 'url' | 'token'>, path: string): Promise<T> {
  const response = await fetch(`${url}/api/v1${path}`, { headers: { authorization: `Bearer ${token}` } })
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`)
  return (await response.json()) as T
}

async function everyItem(view: View): Promise<ListedItem[]> {
  const { records } = await get<{ records: { recordId: string }[] }>(view, '/records')
  const items: ListedItem[] = []
  for (const { recordId } of records) {
    let cursor: string | undefined
    do {
      const after = cursor ? `&cursor=${encodeURIComponent(cursor)}` : ''
      const page: { items: ListedItem[]; next?: string } = await get(
        view,
        `/records/${recordId}/items?limit=200${after}`,
      )
      items.push(...page.items)
      cursor = page.next
    } while (cursor)
  }
  return items
}

function readNotice(text: string): OpenedNotice {
  const field = (name: string) => new RegExp(`^${name}: *(.*?)\\r?$`, 'm').exec(text)?.[1] ?? '(none)'
  return { about: field('Original-Message-ID'), disposition: field('Disposition') }
}

/** What must be so, and whether it is. Nothing is taken for granted: each check fails for some gateway that does wrong. */
export function judge({ sent, messages, items, notices, refusals }: Seen): Check[] {
  const expected = delivered(sent)
  const unacknowledged = sent.filter(({ reply, id }) => !reply.startsWith('250 ') || id === '')
  const missing = sampleTypes.filter((type) => !items.some(({ content }) => content.type === type))
  const taken = items.filter(({ state }) => state !== 'proposed')
  const processed = notices.filter(({ disposition }) => /;\s*processed$/.test(disposition)).map(({ about }) => about)
  const ids = expected.map(({ scene }) => scene.messageId)
  return [
    check('every message got its 250', unacknowledged.length === 0, titles(unacknowledged)),
    check(
      'exactly the trusted messages arrived',
      sameSet(
        messages.map(({ subject }) => subject),
        expected.map(({ scene }) => scene.subject),
      ),
      messages.map(({ subject }) => subject).join(', '),
    ),
    check('items of every type in the documents were read', missing.length === 0, `missing: ${missing.join(', ')}`),
    check('every item is only proposed', items.length > 0 && taken.length === 0, `${taken.length} are not`),
    check(
      'one processed notice came back for each of them, and no other',
      notices.length === expected.length && sameSet(processed, ids),
      notices.map(({ about, disposition }) => `${about} ${disposition}`).join(', '),
    ),
    ...refused(sent).map(({ scene, id }) => {
      const reason = refusals.get(id)?.reason ?? 'not refused'
      return check(`refused with ${scene.refusal}: ${scene.title}`, reason === scene.refusal, reason)
    }),
  ]
}

function check(what: string, ok: boolean, detail: string): Check {
  return { what, ok, detail: ok ? '' : detail }
}

function titles(sent: readonly Sent[]): string {
  return sent.map(({ scene, reply }) => `${scene.title}: ${reply}`).join(', ')
}

function sameSet(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && new Set(one).size === one.length && one.every((each) => other.includes(each))
}
