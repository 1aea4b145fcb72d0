import { setTimeout as sleep } from 'node:timers/promises'
import type { TrailStep } from '../direct/verdict.js'
import type { ReceivedMail } from './mail.js'
import type { Credentials, OpenSsl } from './openssl.js'
import { patient, type Scene } from './story.js'
import { table } from './table.js'

/** A message of the story with the gateway's reply to it. */
export interface Sent {
  readonly scene: Scene
  readonly reply: string
  /** The spool id in the reply. */
  readonly id: string
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
  say(line: string): void
}

const patienceMs = 30_000

/** Asks again until `good`, at most `patienceMs`; answers the last answer. */
async function eventually<T>(ask: () => Promise<T>, good: (answer: T) => boolean): Promise<T> {
  const end = Date.now() + patienceMs
  for (;;) {
    const answer = await ask()
    if (good(answer) || Date.now() > end) return answer
    await sleep(100)
  }
}

interface ListedMessage {
  readonly id: string
  readonly from: string
  readonly subject: string
  readonly attachments: readonly { readonly mediaType: string; readonly sizeBytes: number }[]
}

interface ListedItem {
  readonly state: string
  readonly when?: unknown
  readonly negated: boolean
  readonly content: { readonly type: string } & Readonly<Record<string, unknown>>
}

/** Looks at the gateway from outside, through its API and its outgoing mail, and says what was seen. */
export async function look(view: View): Promise<Check[]> {
  const expected = view.sent.filter(({ scene }) => scene.refusal === undefined)
  const refusals = view.sent.filter(({ scene }) => scene.refusal !== undefined)
  const all: Check[] = view.sent.map(({ scene, reply }) => ({
    what: `250 for: ${scene.title}`,
    ok: reply.startsWith('250'),
    detail: reply,
  }))
  return [
    ...all,
    ...(await lookAtMail(view, expected)),
    ...(await lookAtItems(view)),
    ...(await lookAtNotices(view, expected)),
    ...(await lookAtRefusals(view, refusals)),
  ]
}

async function get<T>({ url, token }: View, path: string): Promise<T> {
  const response = await fetch(`${url}/api/v1${path}`, { headers: { authorization: `Bearer ${token}` } })
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`)
  return (await response.json()) as T
}

async function lookAtMail(view: View, expected: readonly Sent[]): Promise<Check[]> {
  const { messages } = await eventually(
    () => get<{ messages: ListedMessage[] }>(view, `/mailboxes/${patient}/messages`),
    ({ messages }) => messages.length >= expected.length,
  )
  view.say(`\nMailbox of ${patient}:`)
  const rows = messages.map(({ subject, from, attachments }) => [
    subject,
    from,
    attachments.map(({ mediaType, sizeBytes }) => `${mediaType}, ${sizeBytes} bytes`).join('; '),
  ])
  for (const line of table(['subject', 'from', 'attachments'], rows)) view.say(`  ${line}`)
  return [
    {
      what: 'exactly the trusted messages arrived',
      ok: messages.length === expected.length,
      detail: `${messages.length} of ${expected.length}`,
    },
  ]
}

async function lookAtItems(view: View): Promise<Check[]> {
  const { records } = await get<{ records: { recordId: string }[] }>(view, '/records')
  const items: ListedItem[] = []
  for (const { recordId } of records) {
    let cursor: string | undefined
    do {
      const page: { items: ListedItem[]; next?: string } = await get(
        view,
        `/records/${recordId}/items?limit=200${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ''}`,
      )
      items.push(...page.items)
      cursor = page.next
    } while (cursor)
  }
  view.say('\nRecord items, all proposed until the patient takes them in:')
  const rows = items.map(({ state, content, when, negated }) => [
    content.type,
    nameOf(content),
    whenOf(when),
    negated ? 'negated' : '',
    state,
  ])
  for (const line of table(['type', 'what', 'when', '', 'state'], rows)) view.say(`  ${line}`)
  const types = new Set(items.map(({ content }) => content.type))
  const wanted = [
    'demographics',
    'allergy',
    'problem',
    'medication',
    'immunization',
    'result',
    'vital-sign',
    'procedure',
    'encounter',
    'document',
  ]
  const missing = wanted.filter((type) => !types.has(type))
  return [
    {
      what: 'items of every type were read',
      ok: missing.length === 0,
      detail: missing.length === 0 ? `${items.length} items` : `missing: ${missing.join(', ')}`,
    },
    { what: 'every item is only proposed', ok: items.every(({ state }) => state === 'proposed'), detail: '' },
  ]
}

async function lookAtNotices(view: View, expected: readonly Sent[]): Promise<Check[]> {
  const notices = await eventually(
    async () => view.notices,
    (received) => received.length >= expected.length,
  )
  view.say('\nNotices that came back, decrypted and verified by OpenSSL:')
  const processed: string[] = []
  for (const { wire } of notices) {
    const text = await view.openssl.openNotice(wire, view.provider, view.authority)
    const disposition = /^Disposition: *(.*?)\r?$/m.exec(text)?.[1] ?? '(none)'
    const original = /^Original-Message-ID: *(.*?)\r?$/m.exec(text)?.[1] ?? '(none)'
    view.say(`  ${original}  ${disposition}`)
    if (/;\s*processed$/.test(disposition)) processed.push(original)
  }
  const ok = notices.length === expected.length && new Set(processed).size === expected.length
  return [
    { what: 'one processed notice for each trusted message', ok, detail: `${processed.length} of ${expected.length}` },
  ]
}

async function lookAtRefusals(view: View, refusals: readonly Sent[]): Promise<Check[]> {
  view.say('\nRefused, silently outside; inside, `direct-gateway trace` says why:')
  const checks: Check[] = []
  for (const { scene, id } of refusals) {
    const { steps } = await eventually(
      () => get<{ steps: TrailStep[] }>(view, `/trail/${id}`),
      ({ steps }) => steps.some(({ step }) => step === 'refused'),
    )
    const refusal = steps.find(({ step }) => step === 'refused')?.refusal
    view.say(`  ${scene.title}: ${refusal?.reason ?? 'not refused'} (${refusal?.detail || 'no more to say'})`)
    checks.push({
      what: `refused: ${scene.title}`,
      ok: refusal?.reason === scene.refusal,
      detail: `${refusal?.reason}`,
    })
  }
  return checks
}

function nameOf(content: Record<string, unknown>): string {
  for (const field of ['substance', 'problem', 'product', 'vaccine', 'test', 'procedure', 'encounter']) {
    const concept = content[field] as { text?: string; codings?: { display?: string; code: string }[] } | undefined
    if (concept) return concept.text ?? concept.codings?.[0]?.display ?? concept.codings?.[0]?.code ?? ''
  }
  if (typeof content['title'] === 'string') return content['title']
  return typeof content['name'] === 'string' ? content['name'] : String(content['format'] ?? '')
}

function whenOf(when: unknown): string {
  const { value, low, high } = (when ?? {}) as Record<'value' | 'low' | 'high', { text: string } | undefined>
  return value?.text ?? [low?.text, high?.text].filter(Boolean).join(' to ')
}
